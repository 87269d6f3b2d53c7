"""Which carriers can send now, and since when the others cannot: the routers' view, at most 0.25 s old."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gateway.streams import carriers, outlook
from gateway.streams.link import Redis, RedisAwayError

TRIALS: Final = 5
"""Messages that a router gives to a carrier whose breaker is half open, until it hears more of it."""

_AGAIN_MS = 5_000  # and the same number again, if it hears nothing


class Liveness:
    """Life: `run()` as a task; the rest reads what it last saw."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._status: dict[str, dict[str, Any]] = {}
        self._modes: dict[str, carriers.Mode] = {}
        self._live: frozenset[str] = frozenset()
        self._slow: frozenset[tuple[str, str]] = frozenset()
        self._trials: dict[str, int] = {}
        self._tried: dict[str, tuple[int, int]] = {}  # half open since, and when trials were last given

    async def look(self) -> None:
        """Look once."""
        self._status = await carriers.statuses(self._redis)
        self._modes = await carriers.modes(self._redis)
        now = self._redis.clock_ms()
        self._live = frozenset(
            name
            for name, status in self._status.items()
            if self._can_send(name, status, now) and outlook.breaker(status) == "closed"
        )
        self._slow = outlook.slow(self._status)
        self._try(now)

    def _can_send(self, name: str, status: dict[str, Any], now: int) -> bool:
        return outlook.can_send(status, self._modes.get(name, "running"), now)

    def _try(self, now: int) -> None:
        """Give trials where a breaker is half open."""
        half_open = {
            name: int(status["breaker"].get("since_ms", 0))
            for name, status in self._status.items()
            if outlook.breaker(status) == "half_open" and self._can_send(name, status, now)
        }
        for name, since in half_open.items():
            known, given = self._tried.get(name, (-1, 0))
            if since != known or now - given >= _AGAIN_MS:
                self._tried[name], self._trials[name] = (since, now), TRIALS
        for name in [name for name in self._tried if name not in half_open]:
            del self._tried[name], self._trials[name]

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
        """Whether a message may go there now: its connector runs, has a live bind and may send. Where a breaker is half
        open a yes is one of few."""
        if carrier in self._live:
            return True
        left = self._trials.get(carrier, 0)
        if left:
            self._trials[carrier] = left - 1
        return left > 0

    @property
    def is_steady(self) -> bool:
        """Whether no breaker is half open: then `live` says the same until the next look."""
        return not self._trials

    @property
    def is_any_slow(self) -> bool:
        """Whether any carrier is."""
        return bool(self._slow)

    def slow(self, carrier: str, klass: str) -> bool:
        """Whether more of the class waits there than it sends in a while."""
        return (carrier, klass) in self._slow

    def down_ms(self, carrier: str) -> int:
        """How long it has not been able to send; 0 when it can."""
        if carrier in self._live:
            return 0
        if carrier in self._modes:
            return 1 << 40  # ordered: nothing to wait for
        status = self._status.get(carrier)
        if status is None:
            return 1 << 40
        # A breaker that opens and tries by turns is one outage: what waits there should not wait for its end.
        failing = status["breaker"].get("failing_since_ms", 0) if outlook.breaker(status) != "closed" else 0
        since = status["down_since_ms"] or failing or status["at_ms"]
        return max(self._redis.clock_ms() - int(since), 1)

    def why(self, carrier: str) -> str:
        """What limits it, a word of `outlook.limit`; empty: nothing."""
        mode = self._modes.get(carrier, "running")
        return outlook.limit(self._status.get(carrier), mode, self._redis.clock_ms())
