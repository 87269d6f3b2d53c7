"""The two CSV files as they are kept: UTF-8, a header, in order, nothing wrong in them.

    numbers: first;last;operator;country;region;zones;mcc_mnc     ported: number,operator

In: rows. Out: lines, and rows again. `first` and `last` are digits of E.164 of the same length: everything that begins
with one of them. Zones are apart by blanks.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from gateway.numbering.ranges import Record, fill_up

NUMBERS_HEADER: Final = "first;last;operator;country;region;zones;mcc_mnc"
PORTED_HEADER: Final = "number,operator"


def write_numbers(path: Path, rows: Iterable[tuple[str, str, Record]]) -> int:
    """Write the rows in order of their first number, wider ones first; how many."""
    ordered = sorted(rows, key=lambda row: (fill_up(row[0]), len(row[0]), row[1]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        file.write(NUMBERS_HEADER + "\n")
        for first, last, record in ordered:
            zones = " ".join(record.zones)
            writer.writerow((first, last, record.operator, record.country, record.region, zones, record.mcc_mnc))
    return len(ordered)


def read_numbers(path: Path) -> Iterator[tuple[str, str, Record]]:
    """The rows, records of the same words being the same object."""
    records: dict[tuple[str, ...], Record] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, delimiter=";")
        next(reader, None)
        for first, last, *words in reader:
            key = tuple(words)
            record = records.get(key)
            if record is None:
                operator, country, region, zones, mcc_mnc = words
                record = records[key] = Record(operator, country, region, tuple(zones.split()), mcc_mnc)
            yield first, last, record


def ported_line(number: str, operator: str) -> str:
    """One line. It is not quoted, so that ten million are read quickly; lines in the order of texts are in that of
    numbers, because a comma is less than any digit."""
    return f"{number},{operator}\n"


def plain(name: str) -> str:
    """A name as it can stand in `ported_line`."""
    return " ".join(name.replace('"', "").replace(",", " ").split())


def read_ported(file: IO[str]) -> Iterator[tuple[str, str]]:
    """Numbers and names, in order."""
    file.readline()
    for line in file:
        number, _, name = line.rstrip("\n").partition(",")
        yield number, name
