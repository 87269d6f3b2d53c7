"""What a version of a dataset changes: rows that came, rows that went, rows whose operator is another.

In: two files as they are kept. Out: `Changes`. Both are read once, side by side, never as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from gateway.numbering import kept
from gateway.numbering.ranges import fill_up

SHOWN: Final = 10

_Key = tuple[int, int, str]


class Move(msgspec.Struct, frozen=True):
    """How many rows went from one operator to another."""

    before: str
    after: str
    count: int


class Changes(msgspec.Struct, frozen=True):
    """Rows are ranges, or ported numbers."""

    added: int
    removed: int
    changed: int
    """Rows of another operator."""
    moves: tuple[Move, ...] = ()
    """The greatest of these."""


def changes(kind: str, before: Path | None, after: Path) -> Changes:
    """Compare what `kept` wrote; None: there was nothing before."""
    old, new = (_rows(kind, before) if before else iter(())), _rows(kind, after)
    added = removed = 0
    moves: Counter[tuple[str, str]] = Counter()
    left, right = next(old, None), next(new, None)
    while left or right:
        if right is None or (left is not None and left[0] < right[0]):
            removed += 1
            left = next(old, None)
        elif left is None or right[0] < left[0]:
            added += 1
            right = next(new, None)
        else:
            if left[1] != right[1]:
                moves[left[1], right[1]] += 1
            left, right = next(old, None), next(new, None)
    greatest = tuple(Move(one, other, count) for (one, other), count in moves.most_common(SHOWN))
    return Changes(added, removed, moves.total(), greatest)


def _rows(kind: str, path: Path) -> Iterator[tuple[_Key, str]]:
    if kind == "numbers":
        for first, last, record in kept.read_numbers(path):
            yield (fill_up(first), len(first), last), record.operator or record.mcc_mnc
        return
    with path.open(encoding="utf-8") as file:
        for number, name in kept.read_ported(file):
            yield (fill_up(number), 0, ""), name
