"""What budgets have booked, corrected by what messages really cost. One leased task for all processes.

In: what was booked when messages came (streams/purses.py), and the roll-ups in PostgreSQL. Out: the same counts in
Redis, moved to the truth. While PostgreSQL is away or behind, what was booked stands.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final

import msgspec

from gateway import logs
from gateway.config import Settings
from gateway.live.turns import take_turns
from gateway.plan.budgets import Budgets, Purse
from gateway.plan.choice import Compiled
from gateway.plan.periods import bounds
from gateway.store.pool import Pool
from gateway.store.spending import Spent, spending
from gateway.streams import facts
from gateway.streams.allowances import key_of
from gateway.streams.link import Arg, Redis

log = logs.stage("budgets")

EVERY_S: Final = 2.0
SETTLED_MS: Final = 10_000
"""What was booked longer ago than this is in the roll-ups, unless the recorder is behind."""

_BEHIND_MS: Final = 5_000
_FORGET_MS: Final = 10_000
_PAGE: Final = 200


class Real(msgspec.Struct):
    """What the roll-ups say of one purse: money in millionths, messages, and those that no carrier has yet."""

    purse: Purse
    cost: int = 0
    messages: int = 0
    open: int = 0


async def correct_budgets(
    settings: Settings, redis: Redis, pool: Pool, owner: str, plan: Callable[[], Compiled | None]
) -> None:
    """Correct until cancelled; one process at a time, by a lease."""
    await take_turns(
        settings,
        redis,
        owner,
        "budgets",
        lambda: Correcting(redis, pool, plan).turn,
        EVERY_S,
        log,
        "budgets_not_corrected",
    )


class Correcting:
    """Remembers what was booked a moment ago, to compare it with what became of it."""

    def __init__(self, redis: Redis, pool: Pool, plan: Callable[[], Compiled | None]) -> None:
        self._redis, self._pool, self._plan = redis, pool, plan
        self._link = redis.link(None)
        self._booked: dict[str, deque[tuple[int, int]]] = defaultdict(deque)

    async def turn(self) -> None:
        """Correct once. Nothing is asked while the plan has no budgets."""
        compiled = self._plan()
        if compiled is None or not compiled.plan.budgets:
            self._booked.clear()
            return
        budgets, now_ms = Budgets(compiled), self._redis.clock_ms()
        if await self._is_behind(now_ms):
            return
        for per in sorted({budget.per for budget in budgets.each}):
            begin, end = bounds(now_ms, per, budgets.zone)
            rows = await spending(self._pool, begin, end, by_hour=per == "month")
            found = list(real(budgets, per, rows).values())
            for at in range(0, len(found), _PAGE):
                await self._correct(found[at : at + _PAGE], begin, end, now_ms)

    async def _is_behind(self, now_ms: int) -> bool:
        """Whether the recorder has not yet written what came a while ago."""
        for shard in range(self._redis.shards):
            link = self._redis.link(shard)
            recorded, last = await asyncio.gather(facts.trimmed_through(link), facts.last_event(link))
            if recorded != last and facts.order(recorded)[0] < now_ms - _BEHIND_MS:
                return True
        return False

    async def _correct(self, found: list[Real], begin: int, end: int, now_ms: int) -> None:
        names = [key_of(each.purse.count, begin) for each in found]
        own = [name.replace("used:", "corrected:", 1) for name in names]
        prefix = self._link.prefix
        values = await self._link.call(b"MGET", *[prefix + name for name in (*names, *own)])
        used = [int(value or 0) for value in values]
        args: list[Arg] = []
        for n, each in enumerate(found):
            corrected = used[len(found) + n]
            then = self._then(names[n], used[n] - corrected, now_ms)
            delta = 0 if then is None else target(each, then) - corrected
            args += (names[n], max(each.purse.count.rule.parts, used[n]), end + _FORGET_MS, delta)
        reply = await self._link.script("slice", (), args)
        for n, name in enumerate(own):
            if reply[2 * n]:
                total = used[len(found) + n] + int(reply[2 * n])
                await self._link.call(b"SET", prefix + name, total, b"PXAT", end + _FORGET_MS)

    def _then(self, name: str, booked: int, now_ms: int) -> int | None:
        """What had been booked when all that the roll-ups should have by now had come; None: not known yet."""
        known = self._booked[name]
        known.append((now_ms, booked))
        while len(known) > 1 and known[1][0] <= now_ms - SETTLED_MS:
            known.popleft()
        return known[0][1] if known[0][0] <= now_ms - SETTLED_MS else None


def real(budgets: Budgets, per: str, rows: list[Spent]) -> dict[str, Real]:
    """The roll-ups by purse."""
    found: dict[str, Real] = {}
    for row in rows:
        for purse in budgets.purses(row.client, row.tag):
            if purse.count.rule.per == per:
                each = found.setdefault(purse.count.key, Real(purse))
                each.cost += budgets.convert(row.cost_micro, row.currency) if row.cost_micro > 0 else 0
                each.messages += row.messages
                each.open += row.open
    return found


def target(each: Real, booked: int) -> int:
    """What has to stand beside the bookings, so that messages with a carrier count as what they cost, and those that
    are open as what was booked for them."""
    share = each.open / each.messages if each.messages > 0 else 1.0
    return each.cost + int(booked * min(max(share, 0.0), 1.0)) - booked
