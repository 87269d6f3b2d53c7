"""Ported numbers: single numbers, each with the operator that has it now.

In: numbers in order. Out: `Ported`, one word of 64 bits a number (the number filled up to 15 digits, then which
operator), found by bisection.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.numbering import sections
from gateway.numbering.ranges import BUCKET, index_of

SHIFT: Final = 14
MAX_OPERATORS: Final = 1 << SHIFT
"""Different names that one table holds."""

_MASK: Final = MAX_OPERATORS - 1
_LAST: Final = 2**64 - 1  # ends the words, so that bisection never falls off


class Ported:
    """The compiled table. `names[i]` is an operator, as the source spells it, that has `counts[i]` numbers."""

    def __init__(self, words: Sequence[int], index: Sequence[int], names: list[str], counts: Sequence[int]) -> None:
        self.words, self.index, self.names, self.counts = words, index, names, counts

    @classmethod
    def of(cls, data: memoryview) -> Ported:
        """What `write` wrote. Raises sections.FormatError."""
        parts = sections.read(data)
        names = msgspec.msgpack.decode(parts["names"], type=list[str])
        return cls(parts["words"].cast("Q"), parts["index"].cast("I"), names, parts["counts"].cast("Q"))

    def find(self, number: int) -> int:
        """Which operator has a number that is filled up; -1 when it was not ported."""
        word, bucket = number << SHIFT, number // BUCKET
        found: int = self.words[bisect_left(self.words, word, self.index[bucket], self.index[bucket + 1])]
        return found & _MASK if found >> SHIFT == number else -1

    @property
    def count(self) -> int:
        """How many numbers."""
        return len(self.words) - 1


def compiled(numbers: Iterable[tuple[int, int]], given: Iterable[str]) -> Ported:
    """The table in memory, of numbers that are filled up, in order and each once, and places among the `given` names,
    which may become more while numbers are read."""
    words = array("Q", (number << SHIFT | name for number, name in numbers))
    names = list(given)
    counts = array("Q", bytes(8 * len(names)))
    for name, count in Counter(map(_MASK.__and__, words)).items():
        counts[name] = count
    words.append(_LAST)
    return Ported(words, index_of(words, BUCKET << SHIFT), names, counts)


def write(path: Path, table: Ported) -> None:
    """The table as a file."""
    parts: dict[str, array[int] | bytes] = {
        "words": array("Q", table.words),
        "index": array("I", table.index),
        "counts": array("Q", table.counts),
        "names": msgspec.msgpack.encode(table.names),
    }
    sections.write(path, parts)
