"""How a look that does not know its day reaches all daily partitions without planning for each of them.

A plan over 400 days takes ten times as long as its 400 index probes. So the newest days are asked first, with literal
bounds, because only these get into the plan then; what is older is asked in one statement whose plan the connection
keeps. That statement ends before yesterday: partitions that still change would have it planned anew.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from gateway.message import make_id
from gateway.store.days import DAY_MS, day_of

NEWEST: Final = b"\xff" * 16
"""Later than any id."""

_EPOCH: Final = datetime.date(1970, 1, 1)
_NEWEST_DAYS: Final = 2
_WIDER: Final = 8
_WIDEST: Final = 1_000


def id_bound(day: int) -> str:
    """The smallest id of a day, as a literal."""
    return f"'{make_id(day * DAY_MS, bytes(10)).hex()}'::uuid"


def time_bound(day: int) -> str:
    """When a day begins, UTC, as a literal."""
    return f"'{_EPOCH + datetime.timedelta(days=day)} 00:00+00'::timestamptz"


def settled_before() -> int:
    """Partitions of earlier days than this hardly change any more."""
    return day_of(_now_ms()) - 1


def newest(before_ms: int | None = None) -> int:
    """The first of the newest days that a look begins with, for what is older than this."""
    now_ms = _now_ms()
    return day_of(now_ms if before_ms is None else min(now_ms, before_ms)) - _NEWEST_DAYS + 1


def steps_back(before_ms: int | None = None) -> Iterator[tuple[int | None, int | None]]:
    """Spans of days, first and last, the newest first, each wider than the one before; None: without an end."""
    first, last, width = newest(before_ms), None, _NEWEST_DAYS
    while width < _WIDEST:
        yield first, last
        width *= _WIDER
        first, last = first - width, first - 1
    yield None, last


@asynccontextmanager
async def kept_plans(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Meanwhile the plan of a statement is made once on this connection and then does for all values."""
    await connection.execute("set plan_cache_mode = force_generic_plan")
    yield
    await connection.execute("reset plan_cache_mode")  # after an error the pool does it


def _now_ms() -> int:
    return int(time.time() * 1000)
