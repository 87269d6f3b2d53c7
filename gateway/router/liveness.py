"""Which carriers can send now, and since when the others cannot: the routers' view, at most 0.25 s old."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.streams import carriers
from gateway.streams.link import Redis, RedisAwayError

_STALE_MS = 5_000  # a connector reports twice a second; one silent this long is dead or cut off


class Liveness:
    """Life: `run()` as a task; the rest reads what it last saw."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._status: dict[str, dict[str, Any]] = {}
        self._modes: dict[str, carriers.Mode] = {}
        self._live: frozenset[str] = frozenset()

    async def look(self) -> None:
        """Look once."""
        self._status = await carriers.statuses(self._redis)
        self._modes = await carriers.modes(self._redis)
        now = self._redis.clock_ms()
        self._live = frozenset(
            name
            for name, status in self._status.items()
            if status["live"] and now - status["at_ms"] < _STALE_MS and name not in self._modes
        )

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                await self.look()
            except RedisAwayError:
                await self._redis.link(None).up()
            await asyncio.sleep(0.25)

    @property
    def all_live(self) -> frozenset[str]:
        """Carriers that can send now."""
        return self._live

    def live(self, carrier: str) -> bool:
        """Whether its connector runs, has a live bind and may send."""
        return carrier in self._live

    def down_ms(self, carrier: str) -> int:
        """How long it has not been able to send; 0 when it can."""
        if self.live(carrier):
            return 0
        if carrier in self._modes:
            return 1 << 40  # ordered: nothing to wait for
        status = self._status.get(carrier)
        if status is None:
            return 1 << 40
        since = status["down_since_ms"] or status["at_ms"]
        return max(self._redis.clock_ms() - int(since), 1)

    def why(self, carrier: str) -> str:
        """What limits it: paused, draining, no_bind, rate, window, memory or nothing."""
        if carrier in self._modes:
            return self._modes[carrier].replace("running", "")
        status = self._status.get(carrier)
        if status is None or self._redis.clock_ms() - status["at_ms"] >= _STALE_MS:
            return "no_connector"
        return str(status["limited_by"])
