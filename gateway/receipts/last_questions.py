"""Asks carriers once more about messages whose receipt never came, right before they end.

In: messages that are about to end. Out: which of them may not end yet, and a note of each question for its timeline.
Never: an end; and never more questions at once than a carrier can answer in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from gateway.ledger.rows import Note
from gateway.receipts.overdue import ask_of
from gateway.store import submitted
from gateway.store.submitted import Taken
from gateway.streams import asks, carriers
from gateway.streams.asks import Ask
from gateway.streams.link import Redis

ANSWER_MS: Final = 30_000
"""How long an answer is waited for before a message ends."""
AT_ONCE: Final = 500
_KEPT_MS: Final = 60_000
_PATIENCE_MS: Final = 86_400_000
"""How much longer than its grace a message waits for a carrier that could be asked and is not there."""
_STALE_MS: Final = 60_000
_REMEMBERED: Final = 100_000


class LastQuestions:
    """What was asked is kept in memory: whoever starts anew asks again, which is harmless."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._asked: dict[bytes, int] = {}

    async def keep_open(
        self, connection: asyncpg.Connection, ids: Sequence[bytes], due_ms: int, grace_s: int, now_ms: int
    ) -> tuple[set[bytes], list[Note]]:
        """Those that may not end yet, because their carrier has yet to answer or to come back; and what was asked now.

        Raises RedisAwayError.
        """
        can, live = await self._carriers()
        if not can:
            return set(), []
        waiting: set[bytes] = set()
        to_ask: list[Taken] = []
        for message in await submitted.taken(connection, ids, now_ms):
            if message.carrier not in can:
                continue
            at_ms = self._asked.get(message.id)
            if at_ms is not None:
                if now_ms < at_ms + ANSWER_MS:
                    waiting.add(message.id)
            elif message.carrier in live:
                waiting.add(message.id)
                to_ask.append(message)
            elif now_ms < due_ms + grace_s * 1000 + _PATIENCE_MS:
                waiting.add(message.id)
        return waiting, await self._ask(to_ask[:AT_ONCE], now_ms)

    async def _carriers(self) -> tuple[set[str], set[str]]:
        """Those that can be asked, and of them those that are there now."""
        now_ms, can, live = self._redis.clock_ms(), set(), set()
        for name, status in (await carriers.statuses(self._redis)).items():
            if status.get("can_query"):
                can.add(name)
                if status.get("live") and status.get("at_ms", 0) > now_ms - _STALE_MS:
                    live.add(name)
        return can, live

    async def _ask(self, taken: Sequence[Taken], now_ms: int) -> list[Note]:
        by_carrier: dict[str, list[Ask]] = {}
        for message in taken:
            by_carrier.setdefault(message.carrier, []).append(ask_of(message, self._redis.clock_ms() + _KEPT_MS))
        for carrier, some in by_carrier.items():
            await asks.put(self._redis, carrier, some)
        if len(self._asked) >= _REMEMBERED:
            self._asked = {one: at_ms for one, at_ms in self._asked.items() if now_ms < at_ms + 2 * ANSWER_MS}
        self._asked |= {message.id: now_ms for message in taken}
        return [Note(m.id, now_ms, "asked", m.attempt, by=m.carrier) for m in taken]
