"""Whom to tell, in every process within a second: PostgreSQL owns the endpoints, Redis mirrors them.

In: the mirror, which survives PostgreSQL being away. Out: an `Audience`, swapped whole. Never: a URL or a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateway import logs
from gateway.callbacks import audience
from gateway.callbacks.audience import NOBODY, Audience
from gateway.live.publishing import keep
from gateway.message import UnknownVersionError
from gateway.store import endpoints
from gateway.store.pool import Pool
from gateway.streams.link import Redis
from gateway.streams.mirror import Mirror

log = logs.stage("endpoints")

MIRROR: Final = "endpoints"


class LiveEndpoints:
    """The audience as this process knows it. Life: `watch()` until cancelled; `current()` at any time."""

    def __init__(self, redis: Redis) -> None:
        self._mirror = Mirror(redis)
        self._current = NOBODY
        self._listeners: list[Callable[[], None]] = []

    def current(self) -> Audience:
        """Who is to be told; keep it no longer than for one batch."""
        return self._current

    def on_change(self, call: Callable[[], None]) -> None:
        """Call this whenever an endpoint was made, changed or removed."""
        self._listeners.append(call)

    async def watch(self) -> None:
        """Follow the mirror. Runs until cancelled."""
        await self._mirror.watch(MIRROR, self._replace)

    def _replace(self, version: int, value: bytes) -> None:
        try:
            found = audience.unpack(value)
        except (UnknownVersionError, msgspec.DecodeError) as e:
            log.error("endpoints_unreadable", e, version=version)
            return
        self._current = Audience(found)
        log.info("endpoints_live", version=version, count=len(found))
        for call in self._listeners:
            call()


async def publish(pool: Pool, redis: Redis) -> None:
    """Mirror the endpoints of PostgreSQL in Redis. Raises StoreAwayError, RedisAwayError, ScriptError."""
    async with pool.transaction() as connection:
        await Mirror(redis).replace(MIRROR, audience.pack(await endpoints.listeners(connection)))


async def keep_published(pool: Pool, redis: Redis) -> None:
    """Publish now and then. Runs until cancelled."""
    await keep(lambda: publish(pool, redis), log, "endpoints_not_published")
