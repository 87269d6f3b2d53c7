"""Lines of files as registries and spreadsheets write them, and what is wrong with them.

In: paths. Out: lines of text with their numbers, the encoding found out by itself (BOM, UTF-8, else Windows-1251), and
a `Report` in the end. Never: a whole file in memory.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.datasets.report import SHOWN, Fault, Report

DELIMITERS: Final = (";", ",", "\t")
_LOOKED_AT: Final = 1 << 20
_TELL_EVERY: Final = 20_000
_TOLERATED: Final = 1000
"""One row of so many may be wrong, unless told otherwise."""


class SourceError(Exception):
    """The file as a whole cannot be used. The text says what would be right."""


class Source(msgspec.Struct, frozen=True):
    """A file, and what to call it in sentences."""

    path: Path
    name: str


class Reading:
    """One reading of some files: counts rows and collects faults."""

    def __init__(self, progress: Callable[[int], None] | None = None, max_errors: int | None = None) -> None:
        """`progress` gets how many bytes were read since it was called last."""
        self._progress = progress
        self._max_errors = max_errors
        self._file = ""
        self.line = 0
        self.errors = 0
        self.faults: list[Fault] = []

    def wrong(self, sentence: str, line: int | None = None) -> None:
        """Note what is wrong with the line that was read last, or another."""
        self.errors += 1
        if len(self.faults) < SHOWN:
            self.faults.append(Fault(self.line if line is None else line, sentence, self._file))

    def lines(self, source: Source) -> Iterator[str]:
        """The lines that are not blank, without their ends. Raises SourceError."""
        self._file, self.line = source.name, 0
        encoding, skipped = _encoding(source)
        done = told = 0
        try:
            with source.path.open("rb") as file:
                file.seek(skipped)
                for raw in file:
                    self.line += 1
                    done += len(raw)
                    if not self.line % _TELL_EVERY and self._progress is not None:
                        self._progress(done - told)
                        told = done
                    try:
                        line = raw.decode(encoding).rstrip("\r\n")
                    except UnicodeDecodeError:
                        self.wrong(f"this line is not {encoding} text, as the lines before it are: convert the file")
                        continue
                    if line and not line.isspace():
                        yield line
        except OSError as e:
            raise SourceError(f"{source.name} cannot be read: {e.strerror}") from e
        if self._progress is not None:
            self._progress(done - told)

    def report(self, rows: int, remarks: Sequence[str] = ()) -> Report:
        """What was read."""
        tolerated = (rows + self.errors) // _TOLERATED if self._max_errors is None else self._max_errors
        return Report(
            rows=rows, errors=self.errors, tolerated=tolerated, faults=tuple(self.faults), remarks=tuple(remarks)
        )


def fields(line: str, delimiter: str) -> list[str]:
    """The fields of a line, without blanks and quotes around; quotes inside a field are its own."""
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    if line.startswith('"') or delimiter + '"' in line.replace(" ", ""):
        try:
            found = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True))
        except csv.Error:
            found = line.split(delimiter)
    else:
        found = line.split(delimiter)
    return [_unquoted(field) for field in found]


def _unquoted(field: str) -> str:
    text = field.strip()
    if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1].replace('""', ""):
        text = text[1:-1]
    return text.replace('""', '"').strip()


def _encoding(source: Source) -> tuple[str, int]:
    """The encoding, and how many bytes come before the text. Raises SourceError."""
    try:
        with source.path.open("rb") as file:
            start = file.read(_LOOKED_AT)
    except OSError as e:
        raise SourceError(f"{source.name} cannot be read: {e.strerror}") from e
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"{source.name} is UTF-16: save it as UTF-8")
    if start.startswith(b"PK\x03\x04"):
        raise SourceError(f"{source.name} is an archive or a spreadsheet: give the CSV file in it")
    if start.startswith(b"\x1f\x8b"):
        raise SourceError(f"{source.name} is compressed: gunzip it first")
    if b"\0" in start:
        raise SourceError(f"{source.name} is no text: give a CSV file")
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8", len(codecs.BOM_UTF8)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "cp1251", 0
    return "utf-8", 0
