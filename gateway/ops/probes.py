"""What a process asks of the servers beside it, now and then: does PostgreSQL answer, would Redis keep what it gets?

In: the pool, the links. Out: gauges. Never: a refusal; what does not answer is shown as 0.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import asyncpg

from gateway import metrics
from gateway.store import quarantine, waiting
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import Redis, RedisAwayError, ScriptError

EVERY_S: Final = 5.0
COUNT_EVERY_S: Final = 15.0
ANSWER_S: Final = 5.0
"""A server that takes longer is as good as away."""

_NO_ANSWER = (StoreAwayError, TimeoutError, asyncpg.PostgresError)


async def probe_postgres(pool: Pool) -> None:
    """Runs until cancelled."""
    while True:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_S):
                await pool.fetchval("select 1")
        except _NO_ANSWER:
            metrics.postgres_up.set(0)
        else:
            metrics.postgres_up.set(1)
            metrics.postgres_round_trip.observe(time.perf_counter() - began)
        used, idle = pool.connections
        metrics.postgres_connections.labels("used").set(used)
        metrics.postgres_connections.labels("idle").set(idle)
        await asyncio.sleep(EVERY_S)


async def probe_redis(redis: Redis) -> None:
    """Whether every shard's Redis keeps an append-only file and can write it. Runs until cancelled."""
    while True:
        try:
            metrics.redis_aof.set(min([await _writes(redis, shard) for shard in range(redis.shards)]))
        except (RedisAwayError, ScriptError):
            metrics.redis_aof.set(0)
        await asyncio.sleep(EVERY_S)


async def _writes(redis: Redis, shard: int) -> bool:
    info: bytes = await redis.link(shard).call(b"INFO", b"persistence")
    return b"aof_enabled:1" in info and b"aof_last_write_status:ok" in info


async def count_leftovers(pool: Pool, redis: Redis) -> None:
    """Receipts that wait for their submission, values that PostgreSQL refused. Runs until cancelled."""
    while True:
        try:
            async with asyncio.timeout(ANSWER_S), pool.connection() as connection:
                number, oldest_ms = await waiting.count(connection)
                refused = await quarantine.count(connection)
        except _NO_ANSWER:
            pass  # `postgres_up` tells; the gauges keep what they had
        else:
            metrics.receipts_unmatched.set(number)
            metrics.receipts_waiting_age.set(max(0, redis.clock_ms() - oldest_ms) / 1000 if number else 0)
            metrics.quarantine_rows.set(refused)
        await asyncio.sleep(COUNT_EVERY_S)
