"""The numbers of a file for a stop list: one a line, or the numbers' column of a CSV.

In: a path. Out: slices of E.164 numbers, and what is wrong with the other lines. Never: the whole file in memory.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from gateway.text import numbers

SLICE: Final = 10_000
NAMES: Final = ("to", "number", "phone", "msisdn", "recipient")
"""How the numbers' column may be called."""

_DELIMITERS: Final = (";", ",", "\t")


class FileFault(Exception):
    """The file cannot be used. The text says what would be right."""


class Wrong(msgspec.Struct, frozen=True):
    """A line that has no number. Never shows the line itself."""

    line: int
    sentence: str


class Slice(msgspec.Struct):
    """Some lines of the file."""

    numbers: list[str]
    wrong: list[Wrong]
    lines: int


class Numbers:
    """A file. `slices` may be read once or more. Raises FileFault."""

    def __init__(
        self, path: Path, region: str, column: str | None = None, name: str = "", slice_lines: int = SLICE
    ) -> None:
        """`name`: what faults call it, if not by its path."""
        self.path, self._region, self._name, self._slice_lines = path, region, name or str(path), slice_lines
        self._shapes: dict[tuple[str, int], tuple[int, str]] = {}
        first = self._first_line()
        self._delimiter = max(_DELIMITERS, key=first.count) if any(d in first for d in _DELIMITERS) else ","
        self._place, self._skip = self._header(first, column)

    def count(self) -> int:
        """About how many lines there are."""
        with self.path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) + 1

    def slices(self) -> Iterator[Slice]:
        """All of it, in order."""
        made = Slice([], [], 0)
        try:
            with self._open() as text:
                for cells in (rows := csv.reader(text, delimiter=self._delimiter)):
                    made.lines += 1
                    if (rows.line_num == 1 and self._skip) or not cells:
                        continue
                    self._take(cells, rows.line_num, made)
                    if made.lines >= self._slice_lines:
                        yield made
                        made = Slice([], [], 0)
        except UnicodeDecodeError:
            raise FileFault(f"{self._name} is not in UTF-8: save it as “CSV UTF-8”") from None
        except (OSError, csv.Error) as e:
            raise FileFault(f"{self._name} cannot be read: {getattr(e, 'strerror', None) or e}") from e
        yield made

    def _take(self, cells: list[str], line: int, made: Slice) -> None:
        text = cells[self._place].strip() if self._place < len(cells) else ""
        if not text:
            if any(cell.strip() for cell in cells):
                made.wrong.append(Wrong(line, "The line has no number in its place."))
            return
        try:
            made.numbers.append(self._parse(text))
        except numbers.NumberError as e:
            made.wrong.append(Wrong(line, e.sentence))

    def _parse(self, text: str) -> str:
        """As sending reads them. How bare digits of one beginning and length become E.164 is found out once."""
        if text[0] == "+" or not (text.isascii() and text.isdigit()):
            return numbers.parse(text, self._region)
        shape = text[:4], len(text)
        known = self._shapes.get(shape)
        if known is None:
            found = numbers.parse(text, self._region)
            same = len(text)
            while same and not found.endswith(text[-same:]):
                same -= 1
            if same >= 6 and same > len(text) - 4:  # only the first digits changed: so it is with all of this shape
                self._shapes[shape] = len(text) - same, found[: len(found) - same]
            return found
        cut, head = known
        return head + text[cut:]

    def _first_line(self) -> str:
        try:
            with self._open() as text:
                first = text.readline(4096)
        except UnicodeDecodeError:
            raise FileFault(f"{self._name} is not in UTF-8: save it as “CSV UTF-8”") from None
        except OSError as e:
            raise FileFault(f"{self._name} cannot be read: {e.strerror}") from e
        if not first.strip():
            raise FileFault(f"{self._name} begins with an empty line: put a number in each, or name the columns first")
        return first

    def _header(self, first: str, column: str | None) -> tuple[int, bool]:
        """Where the numbers are, and whether the first line names the columns."""
        names = [cell.strip().lower() for cell in next(csv.reader([first.rstrip("\r\n")], delimiter=self._delimiter))]
        if column is not None:
            if column.lower() not in names:
                raise FileFault(
                    f"no column of {self._name} is named `{column}`: its first line names {', '.join(names)}"
                )
            return names.index(column.lower()), True
        for name in NAMES:
            if name in names:
                return names.index(name), True
        if any(any(c.isdigit() for c in name) for name in names):
            return next(n for n, name in enumerate(names) if any(c.isdigit() for c in name)), False
        if len(names) == 1:
            return 0, True
        raise FileFault(
            f"it is not clear which column of {self._name} holds the numbers: name it `to`, or say --column NAME"
        )

    def _open(self) -> IO[str]:
        return self.path.open(encoding="utf-8-sig", newline="")
