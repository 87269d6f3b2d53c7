"""Asks carriers about messages whose receipt is overdue: past their deadline, not yet past the grace.

In: spans of deadlines. Out: asks for the connectors of carriers that answer questions, never more than they get through
soon: after an outage or a restart all are asked about, one after the other. Never: an end; what a carrier does not say
is left to `expiry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

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
WAITING: Final = 100
"""Asks that wait for a carrier's connector at the most."""
_ANSWER_MS: Final = 60_000
_FRESH_MS: Final = 15_000
_REMEMBERED: Final = 10_000

Key = tuple[str, int, int, int]


class Progress(msgspec.Struct):
    """How far a carrier was asked about a span: up to this id; `done_ms`: about all of it, then."""

    after: bytes = b""
    done_ms: int = 0


class Asked:
    """What was asked about. In memory alone: to ask twice is harmless."""

    def __init__(self) -> None:
        self._progress: dict[Key, Progress] = {}

    def left(self, carrier: str, span: Span, again_ms: int) -> Progress | None:
        """None: all of the span was asked about, and that not before `again_ms`."""
        key = (carrier, span.due_ms, span.accepted_ms, span.shard)
        if key not in self._progress and len(self._progress) >= _REMEMBERED:
            self._progress.clear()
        found = self._progress.setdefault(key, Progress())
        if found.done_ms and found.done_ms < again_ms:
            found.after, found.done_ms = b"", 0
        return None if found.done_ms else found


async def ask_overdue(pool: Pool, redis: Redis, grace_s: int, asked: Asked) -> int:
    """One look; how many messages were asked about. What a carrier did not answer is asked again after half of the
    grace. Raises StoreAwayError, RedisAwayError."""
    now_ms, found = redis.clock_ms(), 0
    can = [name for name, status in (await carriers.statuses(redis)).items() if _hears(status, now_ms)]
    room = {carrier: WAITING - await asks.waiting(redis, carrier) for carrier in can}
    if not any(left > 0 for left in room.values()):
        return 0
    again_ms = now_ms - grace_s * 500
    async with pool.connection() as connection:
        for span in await deadlines.between(connection, now_ms - grace_s * 1000, now_ms, SPANS):
            for carrier, left in room.items():
                progress = asked.left(carrier, span, again_ms) if left > 0 else None
                if progress is not None:
                    count = await _ask(connection, redis, carrier, span, progress, left, now_ms)
                    room[carrier] -= count
                    found += count
    if found:
        log.info("overdue_asked", messages=found)
    return found


def _hears(status: dict[str, Any], now_ms: int) -> bool:
    """Whether a connector is there that can ask: what nobody takes within a minute is lost."""
    return bool(status.get("can_query") and status.get("live")) and now_ms - int(status.get("at_ms", 0)) < _FRESH_MS


async def _ask(
    connection: asyncpg.Connection,
    redis: Redis,
    carrier: str,
    span: Span,
    progress: Progress,
    count: int,
    now_ms: int,
) -> int:
    ids = await deadlines.with_carrier(connection, span, carrier, progress.after, count)
    taken = await submitted.taken(connection, ids, now_ms)
    await asks.put(redis, carrier, [ask_of(message, now_ms + _ANSWER_MS) for message in taken])
    progress.after = ids[-1] if ids else progress.after
    progress.done_ms = 0 if len(ids) == count else now_ms
    return len(taken)


def ask_of(message: submitted.Taken, until_ms: int) -> Ask:
    """The question about all that a carrier has of a message."""
    units: Sequence[Unit] = [
        Unit(part, Sent(name, message.sender, message.recipient, bind)) for part, name, bind in message.units
    ]
    return Ask("query", message.id, message.attempt, units, until_ms=until_ms)
