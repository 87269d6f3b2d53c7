"""From the CSV files as they are kept to those that processes map. dataset_kinds runs it in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.numbering import kept, ported, ranges
from gateway.numbering.ranges import NOTHING, Piece, Record, fill_up, span


def compile_numbers(source: Path, target: Path) -> None:
    """`numbers`: ranges with their records."""
    records: dict[Record, int] = {NOTHING: 0}
    pieces: list[Piece] = []
    for first, last, record in kept.read_numbers(source):
        pieces.append((*span(first, last), records.setdefault(record, len(records))))
    ranges.write(target, ranges.compiled(pieces, list(records)))


def compile_ported(source: Path, target: Path) -> None:
    """`ported`: numbers with their operators."""
    names: dict[str, int] = {}

    def numbers() -> Iterator[tuple[int, int]]:
        with source.open(encoding="utf-8") as file:
            for number, name in kept.read_ported(file):
                place = names.get(name)
                if place is None:
                    place = names[name] = len(names)
                yield fill_up(number), place

    ported.write(target, ported.compiled(numbers(), names.keys()))
