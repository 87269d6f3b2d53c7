"""A file of everything that the sandbox took, one JSON line a part, written before the answer leaves.

In: submits as they are kept. Out: lines that outlive a kill -9 of the sandbox; a new one goes on where it ended. Never:
what was refused. Numbers and texts stand in it as they came: it is for tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gateway.embedded.sandbox.handset import Kept, decode, segment


class Line(msgspec.Struct, frozen=True, gc=False):
    """A part that was taken: when (seconds since the epoch), under which id, for whom."""

    at: float
    id: str
    to: str
    part: int
    parts: int
    text: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class Journal:
    """Open from its making until the process ends. Raises OSError when the file cannot be written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, kept: Kept) -> None:
        """Write one part down. Not synced: a killed process loses nothing, a power cut may."""
        place = segment(kept.submit)
        to = "+" + kept.submit.recipient[2:-1].decode("latin-1")
        name = kept.message_id.decode("latin-1")
        line = Line(kept.at, name, to, place.number, place.total, decode(place.coding, place.body))
        os.write(self._file, _encode(line) + b"\n")


def read_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """Inverse of what `Journal` writes."""
    return map(_decode, lines)
