"""Asks carriers about messages whose receipt is overdue: past their deadline, not yet past the grace.

In: spans of deadlines. Out: asks for the connectors of carriers that answer query_sm. Never: an end; what a carrier
does not say is left to `expiry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from gateway import logs
from gateway.provider import Sent
from gateway.store import deadlines, submitted
from gateway.store.deadlines import Span
from gateway.store.pool import Pool
from gateway.streams import asks, carriers
from gateway.streams.asks import Ask, Unit
from gateway.streams.link import Redis

log = logs.stage("receipts")

SPANS: Final = 50
MESSAGES: Final = 500
"""Of one span: what is more than that waits for the next process that looks, or for the grace's end."""
_ANSWER_MS: Final = 60_000
_REMEMBERED: Final = 10_000


class Asked(dict[tuple[int, int, int], None]):
    """Spans whose messages were asked about. In memory alone: to ask twice is harmless."""

    def add(self, span: Span) -> bool:
        """Whether it was not asked about before."""
        key = (span.due_ms, span.accepted_ms, span.shard)
        if key in self:
            return False
        if len(self) >= _REMEMBERED:
            self.clear()
        self[key] = None
        return True


async def ask_overdue(pool: Pool, redis: Redis, grace_s: int, asked: Asked) -> int:
    """One look; how many messages were asked about. Raises StoreAwayError, RedisAwayError."""
    can = {name for name, status in (await carriers.statuses(redis)).items() if status.get("can_query")}
    if not can:
        return 0
    now_ms = redis.clock_ms()
    found = 0
    async with pool.connection() as connection:
        for span in await deadlines.between(connection, now_ms - grace_s * 1000, now_ms, SPANS):
            if asked.add(span):
                found += await _ask(connection, redis, span, can, now_ms)
    if found:
        log.info("overdue_asked", messages=found)
    return found


async def _ask(connection: asyncpg.Connection, redis: Redis, span: Span, can: set[str], now_ms: int) -> int:
    ids = await deadlines.overdue(connection, span, MESSAGES)
    units = await submitted.taken(connection, ids, now_ms)
    by_carrier: dict[str, list[Ask]] = {}
    for message in units:
        if message.carrier in can:
            by_carrier.setdefault(message.carrier, []).append(ask_of(message, now_ms + _ANSWER_MS))
    for carrier, some in by_carrier.items():
        await asks.put(redis, carrier, some)
    return sum(map(len, by_carrier.values()))


def ask_of(message: submitted.Taken, until_ms: int) -> Ask:
    """The question about all that a carrier has of a message."""
    units: Sequence[Unit] = [
        Unit(part, Sent(name, message.sender, message.recipient, bind)) for part, name, bind in message.units
    ]
    return Ask("query", message.id, message.attempt, units, until_ms=until_ms)
