"""What is to happen later, in buckets of one tick: thousands of items cost one entry of the heap and one timer.

In: items with the time they are due. Out: those that are due. Never: a clock; the time is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import chain
from typing import Generic, TypeVar

T = TypeVar("T")


class Agenda(Generic[T]):
    """Items by due time, rounded down to a tick; within a tick in the order they came."""

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._buckets: dict[int, list[T]] = {}
        self._ticks: list[int] = []

    def put(self, due: float, item: T) -> None:
        """Keep `item` until `due`, in seconds of the caller's clock."""
        tick = int(due / self._tick_s)
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [item]
            heappush(self._ticks, tick)
        else:
            bucket.append(item)

    def next_due(self) -> float | None:
        """When the earliest bucket is due, or None when there is nothing."""
        return self._ticks[0] * self._tick_s if self._ticks else None

    def take(self, now: float) -> list[T]:
        """Everything that is due, earliest first; it is no longer kept."""
        taken: list[T] = []
        limit = int(now / self._tick_s)
        while self._ticks and self._ticks[0] <= limit:
            taken += self._buckets.pop(heappop(self._ticks))
        return taken

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._buckets.values())
