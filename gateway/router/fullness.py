"""Which limits of a minute or longer have no room now: the routers' view, at most a quarter of a second old.

In: what Redis has leased of each. Out: until when a message has to wait for a carrier, so that it goes by another one
or waits outside of the carrier's outbox. Takes nothing: the connector that sends counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.plan.choice import Compiled
from gateway.plan.limits import CAPS, Count, Limits
from gateway.plan.periods import bounds
from gateway.router.world import World
from gateway.streams.allowances import key_of
from gateway.streams.link import Redis, RedisAwayError

_EVERY_S: Final = 0.25
_ASKED_MS: Final = 10_000
_TIGHT_MS: Final = 2  # between two messages that come back when a period begins
_PAGE: Final = 500


class Seen:
    """One count as it was when we last looked."""

    __slots__ = ("asked_ms", "begin", "count", "end", "refused", "used")

    def __init__(self, count: Count) -> None:
        self.count = count
        self.begin = self.end = self.used = self.refused = self.asked_ms = 0

    def until(self, parts: int, now_ms: int) -> int:
        """0 when there is room; else when to come back, a little later for each that asks."""
        self.roll(now_ms)
        self.asked_ms, limit = now_ms, self.count.rule.parts
        if self.used + min(parts, limit) <= limit:
            return 0
        gap_ms = min((self.end - self.begin) / limit, _TIGHT_MS)
        place, self.refused = self.refused % limit, self.refused + parts
        return self.end + int(place * gap_ms)

    def roll(self, now_ms: int) -> None:
        """Nothing is known of a period that just began."""
        if not self.begin <= now_ms < self.end:
            self.begin, self.end = bounds(now_ms, self.count.rule.per, self.count.zone)
            self.used = self.refused = 0


class Fullness:
    """One for all shards of a process. Life: `run()` until cancelled; `full` answers as Surroundings asks."""

    def __init__(self, redis: Redis, plan: Callable[[], Compiled | None]) -> None:
        self._redis, self._plan = redis, plan
        self._seen: Compiled | None = None
        self._limits: Limits | None = None
        self._known: dict[tuple[str, str, str, str, str, str], tuple[Seen, ...]] = {}
        self._counts: dict[str, Seen] = {}

    def full(self, carrier: str, operator: str, sender: str, client: str, tag: str, klass: str, parts: int) -> int:
        """0, or until when (ms) a limit has no room for so many parts."""
        found = self._known.get((carrier, operator, sender, client, tag, klass))
        if found is None:
            found = self._look_up((carrier, operator, sender, client, tag, klass))
        if not found:
            return 0
        now = self._redis.clock_ms()
        return max([seen.until(parts, now) for seen in found])

    def _look_up(self, facts: tuple[str, str, str, str, str, str]) -> tuple[Seen, ...]:
        if self._limits is None:
            return ()
        counts = [count for count in self._limits.counts(*facts) if count.rule.per in CAPS]
        found = tuple(self._counts.setdefault(count.key, Seen(count)) for count in counts)
        self._known[facts] = found
        return found

    async def run(self, world: World) -> None:
        """Look again and again, and follow the plan: without such limits nobody is asked."""
        while True:
            self.follow()
            world.full = self.full if self._limits is not None else None
            try:
                await self.look()
            except RedisAwayError:
                await self._redis.link(None).up()
            await asyncio.sleep(_EVERY_S)

    def follow(self) -> None:
        """Take the limits of the plan in use."""
        plan = self._plan()
        if plan is not self._seen:
            limits = Limits(plan.plan) if plan is not None else None
            self._limits = limits if limits is not None and limits.has_caps else None
            self._seen = plan
            self._known.clear()
            self._counts.clear()

    async def look(self) -> None:
        """Ask Redis what is leased of those that were asked for lately; the others are forgotten."""
        now, link = self._redis.clock_ms(), self._redis.link(None)
        idle = {key for key, seen in self._counts.items() if seen.asked_ms and now - seen.asked_ms > _ASKED_MS}
        if idle:
            self._known.clear()
            for key in idle:
                del self._counts[key]
        wanted = list(self._counts.values())
        for at in range(0, len(wanted), _PAGE):
            some = wanted[at : at + _PAGE]
            for seen in some:
                seen.roll(now)
            begins = [seen.begin for seen in some]
            keys = [link.prefix + key_of(seen.count, seen.begin) for seen in some]
            reply = await link.call(b"MGET", *keys)
            for seen, begin, value in zip(some, begins, reply, strict=True):
                if seen.begin == begin:
                    seen.used = int(value or 0)
