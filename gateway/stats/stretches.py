"""Cuts many groups into stretches of neighbours, so that a page is added up from few of a month's rows. Pure.

In: the values of groups' first dimensions, with how many messages have them, in order. Out: from which to which of
them to read next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.stats import sources

FEW: Final = 25_000
"""Rows that are read at once anyway, and of a long time first."""

_MOST_VALUES: Final = 3
_GROWS: Final = 8.0


class Bounds(NamedTuple):
    """Of these dimensions from and to these values, both included."""

    dimensions: Sequence[str]
    low: tuple[str, ...]
    high: tuple[str, ...]


def first_of(by: Sequence[str]) -> tuple[str, ...]:
    """The first dimensions that a booked view has all of; it tells their values from few rows."""
    return next((some for n in range(_MOST_VALUES, 0, -1) if sources.booked({*(some := tuple(by[:n]))})), ())


class Stretches:
    """Those that are left of `values`, which have about so many rows."""

    def __init__(self, dimensions: Sequence[str], values: Sequence[tuple[tuple[str, ...], int]], rows: float) -> None:
        self._dimensions = dimensions
        self._values = values
        self._a_message = rows / max(1, sum(messages for _, messages in values))
        self._at = 0
        self._rows = float(FEW)

    @property
    def are_left(self) -> bool:
        return self._at < len(self._values)

    def next(self) -> Bounds:
        """The next one: one of the values at least."""
        begin, rows = self._at, 0.0
        while self._at < len(self._values):
            rows += self._values[self._at][1] * self._a_message
            if rows > self._rows and self._at > begin:
                break
            self._at += 1
        return Bounds(self._dimensions, self._values[begin][0], self._values[self._at - 1][0])

    def widen(self, lacking: float, most_rows: float) -> None:
        """What was read was so many times too little; the next stretch has at most about so many rows."""
        self._rows = min(self._rows * min(max(1.0, 1.2 * lacking), _GROWS), most_rows)
