"""Daily partitions: which day a time belongs to, literal bounds, and making what is missing.

An id of any day finds a partition: whoever writes asks `Days.ensure` first, which asks PostgreSQL once a day.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from gateway.store.pool import Pool

DAY_MS = 86_400_000
AHEAD = 3
REMEMBERED = 30
"""Days back from the latest that retention leaves alone for certain."""
_EPOCH = datetime.date(1970, 1, 1)


def day_of(at_ms: int) -> int:
    """Days since the epoch, UTC."""
    return at_ms // DAY_MS


def partition(table: str, day: int) -> str:
    """The name of a table's partition of one day, as ensure_day() gives it."""
    return f"days.{table}_{_EPOCH + datetime.timedelta(days=day):%Y%m%d}"


def time_bounds(column: str, first_day: int, last_day: int) -> str:
    """A condition that keeps whole days, both ends included. Literal, so that no other partition gets into the plan."""
    low, high = (
        f"'{_EPOCH + datetime.timedelta(days=day)} 00:00+00'::timestamptz" for day in (first_day, last_day + 1)
    )
    return f"{column} >= {low} and {column} < {high}"


class Days:
    """The days that are known to have partitions."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known: set[int] = set()

    async def ensure(self, days: Iterable[int]) -> None:
        """Return when each of these days has its partitions."""
        for day in sorted(set(days) - self._known):
            await self._pool.execute("select ensure_day($1)", _EPOCH + datetime.timedelta(days=day))
            self._known.add(day)
        if self._known:  # retention may drop older ones at any time
            self._known = {day for day in self._known if day > max(self._known) - REMEMBERED}

    def forget(self) -> None:
        """Ask again: PostgreSQL may have been restored from a copy that is older than some partitions."""
        self._known.clear()

    async def ensure_ahead(self, now_ms: int) -> None:
        """Make the coming days' partitions while nobody waits for them."""
        today = day_of(now_ms)
        await self.ensure(range(today, today + AHEAD + 1))
