"""Which carriers can send now, and since when the others cannot: the routers' view, at most 0.25 s old."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from typing import Any, Final, Generic, TypeVar

from gateway.streams import carriers, outlook
from gateway.streams.link import Redis, RedisAwayError

TRIALS: Final = 5
"""Messages that a router gives to a carrier whose breaker is half open, until it hears more of it."""

_AGAIN_MS = 5_000  # and the same number again, if it hears nothing

K = TypeVar("K", bound=Hashable)


class Trials(Generic[K]):
    """A few messages for what is half open, each time that it comes to be."""

    def __init__(self) -> None:
        self._left: dict[K, int] = {}
        self._tried: dict[K, tuple[int, int]] = {}  # half open since, and when trials were last given

    def give(self, half_open: Mapping[K, int], now_ms: int) -> None:
        """What is half open now, and since when."""
        for name, since in half_open.items():
            known, given = self._tried.get(name, (-1, 0))
            if since != known or now_ms - given >= _AGAIN_MS:
                self._tried[name], self._left[name] = (since, now_ms), TRIALS
        for name in [name for name in self._tried if name not in half_open]:
            del self._tried[name], self._left[name]

    def take(self, name: K) -> bool:
        """One of them, if any is left."""
        left = self._left.get(name, 0)
        if left:
            self._left[name] = left - 1
        return left > 0

    def __bool__(self) -> bool:
        return bool(self._left)


class Liveness:
    """Life: `run()` as a task; the rest reads what it last saw."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._status: dict[str, dict[str, Any]] = {}
        self._modes: dict[str, carriers.Mode] = {}
        self._live: frozenset[str] = frozenset()
        self._slow: frozenset[tuple[str, str]] = frozenset()
        self._aside: frozenset[tuple[str, str]] = frozenset()
        self._trials, self._pair_trials = Trials[str](), Trials[tuple[str, str]]()

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
        pairs = outlook.aside({name: self._status[name] for name in self._live})
        self._aside = frozenset(pairs)
        self._try(now, pairs)

    def _can_send(self, name: str, status: dict[str, Any], now: int) -> bool:
        return outlook.can_send(status, self._modes.get(name, "running"), now)

    def _try(self, now: int, pairs: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        """Give trials where a breaker is half open."""
        half_open = {
            name: int(status["breaker"].get("since_ms", 0))
            for name, status in self._status.items()
            if outlook.breaker(status) == "half_open" and self._can_send(name, status, now)
        }
        self._trials.give(half_open, now)
        trying = {pair: int(b.get("since_ms", 0)) for pair, b in pairs.items() if b.get("state") == "half_open"}
        self._pair_trials.give(trying, now)

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
        return carrier in self._live or self._trials.take(carrier)

    @property
    def is_steady(self) -> bool:
        """Whether no breaker is half open: then `live` and `aside` say the same until the next look."""
        return not self._trials and not self._pair_trials

    @property
    def is_any_slow(self) -> bool:
        """Whether any carrier is."""
        return bool(self._slow)

    def slow(self, carrier: str, klass: str) -> bool:
        """Whether more of the class waits there than it sends in a while."""
        return (carrier, klass) in self._slow

    @property
    def is_any_aside(self) -> bool:
        """Whether any carrier has an operator set aside."""
        return bool(self._aside)

    def aside(self, carrier: str, operator: str) -> bool:
        """Whether most of what a carrier gets for an operator fails. Where that is tried again a no is one of few."""
        pair = carrier, operator
        return pair in self._aside and not self._pair_trials.take(pair)

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
