"""The rows of a file of numbers: CSV with `,`, `;` or tab, or NDJSON, read as a stream.

In: a path. Out: `Row` after `Row`, the same every time the file is read. Never: the whole file in memory.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

DELIMITERS: Final = (";", ",", "\t")
JSON_SUFFIXES: Final = (".ndjson", ".jsonl", ".json")
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class FileFault(click.ClickException):
    """The file cannot be used. The text says what would be right."""

    exit_code = 2


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row. `values` by column, names without blanks around; `fault`: why it cannot be a message."""

    line: int
    cells: tuple[str, ...]
    values: dict[str, str]
    fault: str = ""


class Sheet:
    """A file of rows. `columns` are those of its header, none for NDJSON. Made by `open_sheet`."""

    def __init__(self, path: Path, encoding: str, delimiter: str, columns: tuple[str, ...], skip: int) -> None:
        self.path, self.encoding, self.delimiter, self.columns = path, encoding, delimiter, columns
        self._skip = skip

    @property
    def is_json(self) -> bool:
        return not self.columns

    def rows(self) -> Generator[Row, None, None]:
        """Every row that is not blank. Raises FileFault."""
        try:
            with self.path.open(encoding=self.encoding, newline="\n" if self.is_json else "") as text:
                yield from self._objects(text) if self.is_json else self._table(text)
        except UnicodeDecodeError as e:
            raise FileFault(_not_in(self.path, self.encoding)) from e
        except OSError as e:
            raise FileFault(f"{self.path} cannot be read: {e.strerror}") from e

    def _table(self, text: io.TextIOWrapper) -> Iterator[Row]:
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        width, begun = len(self.columns), 0
        try:
            for cells in reader:
                line, begun = begun + 1, reader.line_num
                if line <= self._skip or not any(cell.strip() for cell in cells):
                    continue
                values = {c: v.strip() for c, v in zip(self.columns, cells, strict=False) if c}
                yield Row(line, tuple(cells), values, _width_fault(cells, width))
        except csv.Error as e:
            raise FileFault(
                f'{self.path}, near line {begun + 1}: this is no CSV ({e}). A text with a quote or a "{self.delimiter}"'
                ' in it stands in quotes, and a quote in it is doubled: "He said ""yes"""'
            ) from e

    def _objects(self, text: io.TextIOWrapper) -> Iterator[Row]:
        for line, raw in enumerate(text, 1):
            if not raw.strip():
                continue
            try:
                found = msgspec.json.decode(raw)
            except msgspec.DecodeError:
                found = None
            if not isinstance(found, dict):
                yield Row(line, (raw.rstrip("\r\n"),), {}, 'The line is no JSON object such as {"to": "+79161234567"}.')
                continue
            yield Row(line, (raw.rstrip("\r\n"),), {name.strip(): _text(value) for name, value in found.items()})


def open_sheet(path: Path, encoding: str = "utf-8-sig") -> Sheet:
    """Look at the beginning of the file. Raises FileFault with what would be right."""
    if not path.is_file():
        what = "is not there" if not path.exists() else "is no file that can be read twice: save it first"
        raise FileFault(f"{path} {what}")
    try:
        with path.open("rb") as file:
            if file.read(2) in _UTF16 and encoding == "utf-8-sig":
                encoding = "utf-16"
        with path.open(encoding=encoding, newline="") as text:
            head = [text.readline(65_536) for _ in range(2)]
    except (UnicodeDecodeError, UnicodeError) as e:
        raise FileFault(_not_in(path, encoding)) from e
    except OSError as e:
        raise FileFault(f"{path} cannot be read: {e.strerror}") from e
    if not head[0].strip():
        raise FileFault(f"{path} begins with an empty line: its first line names the columns, such as to;name")
    if path.suffix.lower() in JSON_SUFFIXES or head[0].lstrip().startswith("{"):
        return Sheet(path, encoding, "", (), 0)
    told = head[0].strip().strip('"')
    if told.lower().startswith("sep=") and len(told) == 5:  # what Excel writes to tell itself the delimiter
        return Sheet(path, encoding, told[4], _columns(path, head[1], (told[4],))[1], 2)
    delimiter, columns = _columns(path, head[0], DELIMITERS)
    return Sheet(path, encoding, delimiter, columns, 1)


def _columns(path: Path, header: str, delimiters: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The delimiter and the names, `to`, `ref` and `text` in small letters."""
    found: dict[str, tuple[str, ...]] = {}
    for delimiter in delimiters:
        cells = next(csv.reader([header.rstrip("\r\n")], delimiter=delimiter), [])
        names = (cell.strip() for cell in cells)
        found[delimiter] = tuple(n.lower() if n.lower() in ("to", "ref", "text") else n for n in names)
    delimiter = max(delimiters, key=lambda d: ("to" in found[d], len(found[d])))
    columns = found[delimiter]
    if "to" not in columns:
        first = columns[0] if columns else ""
        if first[:1] in "+0123456789" and first[1:2].isdigit():
            raise FileFault(
                f"the first line of {path} holds a number, not the names of columns:"
                " put a line before it that names them, such as `to` or `to;name`"
            )
        named = ", ".join(f"`{name}`" for name in columns if name)
        raise FileFault(f"no column of {path} is named `to`: its first line names {named}. Name the numbers' column so")
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise FileFault(f"{path} has two columns named `{twice[0]}`: give each a name of its own")
    return delimiter, columns


def _width_fault(cells: list[str], width: int) -> str:
    """Blank cells at the end are no cells: spreadsheets write them."""
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        return f"The row has {len(cells)} cells, and the header names {width} columns."
    return ""


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else msgspec.json.encode(value).decode()


def _not_in(path: Path, encoding: str) -> str:
    name = "UTF-8" if encoding == "utf-8-sig" else encoding
    return f"{path} is not in {name}: save it as “CSV UTF-8”, or say what it is in: --encoding cp1251"
