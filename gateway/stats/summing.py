"""Keeps the summaries of statistics fresh, day by day, in the background. In: PostgreSQL. Out: PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import asyncpg

from gateway import logs
from gateway.store import summaries
from gateway.store.pool import Pool, StoreAwayError

log = logs.stage("statistics")

_EVERY_S: Final = 300.0
_SHARE: Final = 0.2
"""Of the time it may be at work, so that recording goes on beside it."""


async def keep_summed(pool: Pool, clock_ms: Callable[[], int]) -> None:
    """Until cancelled. Several processes may: a day is made by one of them."""
    told = ""
    while True:
        try:
            await sum_up(pool, clock_ms(), _SHARE)
            told = ""
        except (StoreAwayError, asyncpg.PostgresError) as e:
            if told != type(e).__name__:
                told = type(e).__name__
                log.warning("summaries_wait_for_postgres", why=told)
        await asyncio.sleep(_EVERY_S)


async def sum_up(pool: Pool, now_ms: int, share: float = 1.0) -> int:
    """Everything that is stale now; how many days and weeks. Raises StoreAwayError."""
    made = 0
    for grain in ("day", "week"):
        for one, at_ms in await summaries.stale(pool, now_ms):
            if one == grain:
                began = time.monotonic()
                made += await summaries.make(pool, grain, at_ms)
                await asyncio.sleep((time.monotonic() - began) * (1 / share - 1))
    return made
