"""What is wrong with a plan, as values that a person, an editor and the API can show.

In: where and why. Out: `Problem`. Never the value of a setting, which may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import msgspec

from gateway.plan.lines import Lines, Path, pointer


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. An error keeps a plan from being used; a warning does not."""

    line: int
    """Line of the document, from 1."""
    pointer: str
    """JSON pointer into the document."""
    code: str
    """Stable, for programs."""
    sentence: str
    """What is wrong, and what would be right."""
    severity: str = "error"
    """`error` or `warning`."""


class Problems(list[Problem]):
    """Problems of one document in the order found."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def add(self, path: Path, code: str, sentence: str, severity: str = "error") -> None:
        """Note a problem of what stands at `path`."""
        line = self._lines.of(path)
        self.append(Problem(line=line, pointer=pointer(path), code=code, sentence=sentence, severity=severity))


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Those that keep the plan from being used."""
    return [p for p in problems if p.severity == "error"]


def close_to(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?` when a known name is close, else nothing."""
    found = get_close_matches(name, sorted(known), n=1)
    return f" Did you mean `{found[0]}`?" if found else ""
