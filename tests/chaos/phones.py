"""What the carriers' phones got, read from the journals of the sandbox while it is written.

In: one file a carrier. Out: every part that arrived, by carrier and id. A kill -9 of a carrier costs it nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.embedded.sandbox.journal import Line, read_lines


class Phones:
    """Life: `read` any number of times."""

    def __init__(self, journals: Mapping[str, Path]) -> None:
        self._journals = dict(journals)
        self._read_bytes: Counter[str] = Counter()
        self.lines: list[tuple[str, Line]] = []
        """Carrier and part, each as often as it arrived."""

    def read(self) -> Sequence[tuple[str, Line]]:
        """What arrived since the last time."""
        began = len(self.lines)
        for carrier, path in self._journals.items():
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(self._read_bytes[carrier])
                whole = file.read()
            whole = whole[: whole.rfind(b"\n") + 1]  # the last line may be half written
            self._read_bytes[carrier] += len(whole)
            self.lines += [(carrier, line) for line in read_lines(whole.splitlines())]
        return self.lines[began:]
