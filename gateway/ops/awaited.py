"""How many messages carriers have of which no receipt decided yet, and how old the oldest is.

In: the roll-ups, by the hour, and by the minute for the oldest. Out: gauges, and what `GET /v1/carriers` shows.
"""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg

from gateway import metrics
from gateway.store import totals
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams import learnt
from gateway.streams.learnt import Awaited
from gateway.streams.link import Redis, RedisAwayError

EVERY_S: Final = 15.0
_ANSWER_S: Final = 5.0


async def count_awaited(pool: Pool, redis: Redis) -> None:
    """Runs until cancelled."""
    while True:
        try:
            async with asyncio.timeout(_ANSWER_S), pool.connection() as connection:
                found = await totals.awaited(connection, redis.clock_ms())
            await show(redis, {carrier: Awaited(*counted) for carrier, counted in found.items()})
        except (StoreAwayError, TimeoutError, asyncpg.PostgresError, RedisAwayError):
            pass  # `postgres_up` tells; the figures stay as they were
        await asyncio.sleep(EVERY_S)


async def show(redis: Redis, found: dict[str, Awaited]) -> None:
    """Replace what was shown."""
    metrics.receipts_awaited.clear()
    metrics.receipts_awaited_age.clear()
    now_ms = redis.clock_ms()
    for carrier, awaited in found.items():
        metrics.receipts_awaited.labels(carrier).set(awaited.messages)
        metrics.receipts_awaited_age.labels(carrier).set(max(0, now_ms - awaited.oldest_ms) / 1000)
    await learnt.put_awaited(redis, found)
