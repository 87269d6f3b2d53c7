"""CSV as spreadsheets write it: any of the usual encodings and separators, columns by any of their names.

In: the bytes of a file, and what its columns may be called. Out: rows with their lines, or what is wrong with the file
as a whole. Never: what a cell means.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

Names = Mapping[str, Sequence[str]]
"""A column's own name, and what else people call it; all in lower case, words divided by one space."""

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS: Final = (";", ",", "\t", "|")
_PUNCTUATION: Final = re.compile(r"[\s_\-./\\:()№*]+")


class Fault(NamedTuple):
    """Something wrong in a file; lines begin with 1."""

    line: int
    sentence: str


class Line(NamedTuple):
    """A row: where it stands, and its cells by the columns' own names, without spaces around them."""

    number: int
    cells: dict[str, str]


class Table(NamedTuple):
    """What a file holds. Without the columns that it must have it is unusable: only faults then."""

    columns: tuple[str, ...]
    lines: list[Line]
    faults: list[Fault]
    remarks: list[str]


def read(data: bytes, names: Names, required: Sequence[str]) -> Table:
    """Rows of the first line on that names the required columns; titles above it are passed over."""
    text = decode(data)
    known = {spelling: name for name, others in names.items() for spelling in (name.replace("_", " "), *others)}
    header, separator, rows = _header(text, known, required)
    if header is None:
        return Table((), [], [_no_header(text, required)], [])
    columns = [known.get(_plain(cell), "") for cell in header.cells]
    faults, remarks = [], []
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        faults.append(Fault(header.line, f"Two columns mean `{twice[0]}`: leave one of them out."))
    if strange := [cell for cell, name in zip(header.cells, columns, strict=True) if not name and cell]:
        remarks.append(f"Not used: the columns {', '.join(f'`{cell}`' for cell in strange[:10])}.")
    lines = []
    for line, cells in rows:
        if not any(cells):
            continue
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            what = f"{len(cells)} cells where the header has {len(columns)}"
            faults.append(Fault(line, f'{what}: a cell with `{separator}` in it stands in quotes ("…").'))
            continue
        filled = dict.fromkeys((name for name in columns if name), "")
        filled |= {name: cell for name, cell in zip(columns, cells, strict=False) if name}
        lines.append(Line(line, filled))
    return Table(tuple(name for name in columns if name), lines, faults, remarks)


class _Header(NamedTuple):
    line: int
    cells: list[str]


_Found = tuple[_Header | None, str, Iterator[tuple[int, list[str]]]]


def _header(text: str, known: Mapping[str, str], required: Sequence[str]) -> _Found:
    """The separator under which one of the first lines names most columns, and the rows below it."""
    best: tuple[int, _Header, str] | None = None
    for separator in _SEPARATORS:
        for line, cells in _rows(text, separator):
            if line > 20:
                break
            found = {known[plain] for cell in cells if (plain := _plain(cell)) in known}
            if found.issuperset(required) and (best is None or len(found) > best[0]):
                best = len(found), _Header(line, cells), separator
    if best is None:
        return None, "", iter(())
    _, header, separator = best
    return header, separator, ((n, cells) for n, cells in _rows(text, separator) if n > header.line)


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Cells by the line that a row begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    begins = 1
    try:
        for cells in reader:
            yield begins, [cell.strip(" \t\u00a0\u202f\ufeff") for cell in cells]
            begins = reader.line_num + 1
    except csv.Error:
        return  # a cell of more than 128 KB: this separator is not the right one


def _no_header(text: str, required: Sequence[str]) -> Fault:
    first = next((line.strip()[:80] for line in text.splitlines() if line.strip()), "")
    columns = ", ".join(f"`{name}`" for name in required)
    if not first:
        return Fault(1, f"The file is empty: its first line names the columns, at least {columns}.")
    return Fault(1, f"No line names the columns: the first one must, at least {columns}; it is `{first}`.")


def decode(data: bytes) -> str:
    """UTF-8 with or without its mark, UTF-16 with it, else Windows-1251."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1251", "replace")


def _plain(cell: str) -> str:
    """A column's name as `Names` spell it."""
    return " ".join(_PUNCTUATION.sub(" ", cell.casefold().replace("ё", "е")).split())
