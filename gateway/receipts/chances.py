"""One leased task that estimates how likely each carrier delivers in time, every ten seconds.

In: counts of deliveries in PostgreSQL. Out: the estimates, in Redis. While PostgreSQL is away the last ones stand, and
say how old they are.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

from gateway import logs
from gateway.config import Settings
from gateway.deliveries import DEADLINE_S
from gateway.live.turns import take_turns
from gateway.plan.chances import Cell, Tally, horizon_ms
from gateway.plan.surroundings import Chance
from gateway.store import deliveries
from gateway.store.pool import Pool
from gateway.streams import chances
from gateway.streams.link import Redis

log = logs.stage("receipts")

EVERY_S: Final = 10.0
_FRESH_MS: Final = 1_200_000
"""Counts of what was sent in this time are read every time; the others, which seldom change, now and then."""

_ALL_EVERY: Final = 18
_KEPT_MS: Final = 86_400_000
_BEHIND_MS: Final = 3_000  # the recorder's usual lag: what just arrived is not counted yet


async def run_estimator(settings: Settings, redis: Redis, pool: Pool, owner: str = "") -> None:
    """Until cancelled. Estimators of several processes take turns by a lease, in which `owner` names this one."""
    owner = owner or f"{socket.gethostname()}:{os.getpid()}"
    await take_turns(
        settings, redis, owner, "chances", lambda: Estimator(redis, pool).once, EVERY_S, log, "chances_stand_still"
    )


class Estimator:
    """One turn of one lease."""

    def __init__(self, redis: Redis, pool: Pool) -> None:
        self._redis, self._pool = redis, pool
        self._tallies = {klass: Tally(klass) for klass in DEADLINE_S}
        self._turn = 0

    async def once(self) -> dict[Cell, Chance]:
        """Read what changed, estimate, publish."""
        now_ms = self._redis.clock_ms()
        await self._read(now_ms)
        known: dict[Cell, Chance] = {}
        for tally in self._tallies.values():  # beside the loop: it may take a while, and the recorder shares it
            known |= await asyncio.to_thread(tally.estimate, now_ms, _BEHIND_MS)
        await chances.publish(self._redis, now_ms, known)
        return known

    async def _read(self, now_ms: int) -> None:
        every = self._turn % _ALL_EVERY == 0
        since = {klass: now_ms - horizon_ms(klass) for klass in self._tallies}
        rows = await deliveries.read(self._pool, since, 0 if every else now_ms - _FRESH_MS)
        for (klass, at_ms), cells in rows.items():
            self._tallies[klass].put(at_ms, cells)
        for tally in self._tallies.values():
            tally.forget(now_ms)
        if every:
            await deliveries.forget(self._pool, now_ms - _KEPT_MS)
        self._turn += 1
