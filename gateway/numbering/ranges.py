"""Ranges of numbers, each with a record: the narrowest range that holds a number is the one that counts.

In: ranges of E.164 digits, which may overlap. Out: `Ranges`, disjoint pieces in order, found by bisection. Numbers are
compared as if they were filled up with zeros to 15 digits, so a prefix is the range of everything that begins with it.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.numbering import sections

DIGITS: Final = 15
BUCKET: Final = 10 ** (DIGITS - 6)
"""What begins with the same six digits is one bucket; the index says where each begins."""
_BUCKETS: Final = 10**6


class Record(msgspec.Struct, array_like=True, frozen=True):
    """What a source says of a range. Fields grow only at the end, with defaults."""

    operator: str = ""
    """As the source spells it."""
    country: str = ""
    region: str = ""
    zones: tuple[str, ...] = ()
    mcc_mnc: str = ""


NOTHING: Final = Record()

Piece = tuple[int, int, int]
"""First and one past the last of a range, both filled up; which record."""


def fill_up(digits: str) -> int:
    """The number, or the first of those that begin so."""
    return int(digits.ljust(DIGITS, "0"))


def span(first: str, last: str) -> tuple[int, int]:
    """Everything that begins with one of the digits from `first` to `last`, both of the same length."""
    scale: int = 10 ** (DIGITS - len(first))
    return int(first) * scale, (int(last) + 1) * scale


class Ranges:
    """The compiled table. `ids[i]` is the record of what is between `starts[i]` and `starts[i + 1]`; 0: nothing."""

    def __init__(self, starts: Sequence[int], ids: Sequence[int], index: Sequence[int], records: list[Record]) -> None:
        self.starts, self.ids, self.index, self.records = starts, ids, index, records

    @classmethod
    def of(cls, data: memoryview) -> Ranges:
        """What `write` wrote. Raises sections.FormatError."""
        parts = sections.read(data)
        records = msgspec.msgpack.decode(parts["records"], type=list[Record])
        return cls(parts["starts"].cast("Q"), parts["ids"].cast("I"), parts["index"].cast("I"), records)

    def find(self, number: int) -> int:
        """The record of a number that is filled up; 0 when nothing holds it."""
        bucket = number // BUCKET
        return self.ids[bisect_right(self.starts, number, self.index[bucket], self.index[bucket + 1]) - 1]

    def is_piece(self, first: int, last: int) -> bool:
        """Whether one record holds for all numbers from the first to the last, both filled up."""
        return bisect_right(self.starts, first) == bisect_right(self.starts, last)

    @property
    def count(self) -> int:
        """How many pieces."""
        return len(self.starts)


def compiled(pieces: Iterable[Piece], records: list[Record]) -> Ranges:
    """The table in memory. Record 0 is for what no piece holds: it has to be NOTHING."""
    starts, ids = _flatten(pieces)
    return Ranges(starts, ids, index_of(starts), records)


def nested(pieces: Iterable[Piece], records: list[Record]) -> Ranges:
    """`compiled` for pieces in order, each either inside the one before it or behind it, as sorted prefixes are."""
    starts, ids = array("Q", [0]), array("I", [0])
    above = [(10**DIGITS, 0)]  # where each that goes on ends, and its record: the innermost is the last

    def cut(at: int, record: int) -> None:
        if starts[-1] == at:
            starts.pop()
            ids.pop()
        if not ids or ids[-1] != record:
            starts.append(at)
            ids.append(record)

    for start, end, record in pieces:
        while above[-1][0] <= start:
            cut(above.pop()[0], above[-1][1])
        above.append((end, record))
        cut(start, record)
    while len(above) > 1:
        cut(above.pop()[0], above[-1][1])
    return Ranges(starts, ids, index_of(starts), records)


def write(path: Path, table: Ranges) -> None:
    """The table as a file."""
    parts: dict[str, array[int] | bytes] = {
        "starts": array("Q", table.starts),
        "ids": array("I", table.ids),
        "index": array("I", table.index),
        "records": msgspec.msgpack.encode(table.records),
    }
    sections.write(path, parts)


def index_of(ordered: Sequence[int], scale: int = BUCKET) -> array[int]:
    """For each bucket, how many of the ordered numbers are below it; `scale` is the width of a bucket."""
    index = array("I", bytes(4 * (_BUCKETS + 2)))
    low, high = (min(end // scale, _BUCKETS) for end in (ordered[0], ordered[-1]))
    if len(ordered) < high - low:
        bucket = 0
        for place, number in enumerate(ordered):
            if (begins := min(number // scale, _BUCKETS) + 1) > bucket:
                index[bucket:begins] = array("I", [place]) * (begins - bucket)
                bucket = begins
    else:
        place = 0
        for bucket in range(low, high + 1):
            place = index[bucket] = bisect_left(ordered, bucket * scale, place)
    index[high + 1 :] = array("I", [len(ordered)]) * (_BUCKETS + 1 - high)
    return index


def _flatten(pieces: Iterable[Piece]) -> tuple[array[int], array[int]]:
    """Disjoint pieces from zero on, in order. Of two ranges as narrow as each other the one that came later counts."""
    line = _Line()
    for start, end, later, record in sorted((start, end, -n, record) for n, (start, end, record) in enumerate(pieces)):
        line.close(start)
        heapq.heappush(line.open, (end - start, later, end, record))
        line.begin(start, line.open[0][3])
    line.close(10**DIGITS)
    return line.starts, line.ids


class _Line:
    """The numbers from zero up to where the sweep is, cut where the record changes."""

    def __init__(self) -> None:
        self.starts, self.ids = array("Q", [0]), array("I", [0])
        self.open: list[tuple[int, int, int, int]] = []
        """Width, minus its place, end and record of the ranges that go on: the narrowest is the first."""

    def begin(self, at: int, record: int) -> None:
        if self.starts[-1] == at:
            self.starts.pop()
            self.ids.pop()
        if not self.ids or self.ids[-1] != record:
            self.starts.append(at)
            self.ids.append(record)

    def close(self, until: int) -> None:
        """End the ranges that go no further than `until`."""
        while self.open and (end := self.open[0][2]) <= until:
            while self.open and self.open[0][2] <= end:
                heapq.heappop(self.open)
            self.begin(end, self.open[0][3] if self.open else 0)
