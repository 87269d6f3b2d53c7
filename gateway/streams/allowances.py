"""Allowances of limits, shared by all processes: each leases slices of them from Redis and uses what it has.

In: what counts in which limit, and the clock of Redis. Out: room, or when there will be some. No call per message: one
script for all slices that are wanted, some twenty times a second. A slice is good in its own period only; what a
process had when it died counts as used until that period ends: all together never use more than is allowed. Of a limit
a second no process uses more in any second at all, by when its parts were written.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Gauge

from gateway import metrics
from gateway.plan.limits import Count
from gateway.plan.periods import bounds
from gateway.plan.rates import MICRO
from gateway.streams.link import Arg, Link, Redis, RedisAwayError

_EVERY_S: Final = 0.005
_SECOND_MS, _ASK_MS, _DRY_MS, _IDLE_MS = 40, 5, 300, 1_000
_WINDOW_MS, _GRAIN_MS, _REFUND_MS = 1_000, 10, 60_000
_EDGE_MS: Final = 10  # before a second ends nothing is taken that would be written in the next one
_MOST: Final = 1_000  # parts of one slice
_SCRIPT: Final = 200  # slices in one script
_AHEAD: Final = 100  # messages that money is leased for at once, where a hundredth of the budget is less
_FORGET_MS: Final = 10_000
_TIGHT_MS: Final = 2  # between two parts that come back when a minute or more begins
_TIDY_S: Final = 1.0


def key_of(count: Count, begin_ms: int) -> str:
    """The name of a count in Redis, behind `{g}:`, in the period that begins then."""
    return f"used:{count.key}:{begin_ms // 1000}"


def monotonic_ms() -> int:
    """Time that only goes on, whatever is set or measured anew."""
    return time.monotonic_ns() // 1_000_000


class Allowance:
    """What this process may use of one count now. `room` before `spend`; without room `need`, or `place` a message.

    Of a limit a second what was taken counts until a second after it was written: `launch` it, then say that it `wrote`
    it, or `recall` it.
    """

    def __init__(
        self, count: Count, changed: Callable[[Allowance], None], steady_ms: Callable[[], int] = monotonic_ms
    ) -> None:
        self.count, self.limit, self._changed, self._steady_ms = count, count.rule.parts, changed, steady_ms
        self.is_brief = count.rule.per == "second"
        """Whether who has to wait waits for moments only."""
        self.tokens = 0
        self.out = 0
        """What all processes have of it in this period, when we last asked."""
        self.spent_ms = 0
        self._begin = self._end = 0
        self._dry = False  # nothing was left when we asked
        self._needed = self._spent = self._mine = 0
        self._launched = 0  # parts taken that are not on the wire yet
        self._written: deque[list[int]] = deque()  # until when (steady ms) how many parts count that were
        self._counting = 0  # their sum
        self._is_full = False  # somebody waits for the window to move on
        self._next_ask_ms = 0
        self._tail = self._tail_parts = self._tail_count = 0  # the period that messages are placed in, what it has

    def change(self, count: Count) -> None:
        """Another plan may allow more, or less."""
        if count.rule.parts != self.limit:
            self._dry, self._tail, self._next_ask_ms = False, 0, 0
        self.count, self.limit = count, count.rule.parts

    @property
    def mark(self) -> int:
        """Its 32 bits in a journey."""
        return self.count.mark

    @property
    def words(self) -> str:
        """Its limit, for metrics."""
        return self.count.rule.words

    def room(self, now_ms: int) -> int:
        """Parts that may go now."""
        leased = self._leased(now_ms)
        if not self.is_brief:
            return leased
        return min(leased, self._window_room(), 0 if self._end - now_ms <= _EDGE_MS else leased)

    def _leased(self, now_ms: int) -> int:
        if not self._begin <= now_ms < self._end:
            self._roll(now_ms)
        return self.tokens

    def _window_room(self) -> int:
        """Of any second, not only those of the clock: what may be taken beside what was written within one, and what
        will be."""
        written = self._written
        if written:
            now = self._steady_ms()
            while written and written[0][0] <= now:
                self._counting -= written.popleft()[1]
        return self.limit - self._counting - self._launched

    def launch(self, parts: int) -> None:
        """Of what was spent, so much is on its way to the wire."""
        self._launched += parts

    def recall(self, parts: int) -> None:
        """It does not come there: others may."""
        self._launched -= parts
        self.tokens += parts

    def is_owing(self, now_ms: int) -> bool:
        """Whether something that was taken in an earlier second is not covered in this one yet."""
        if self._leased(now_ms) >= 0:
            return False
        self.need(1)
        return True

    def wrote(self, parts: int, launched: int) -> None:
        """So many have been written now, of which so many had been launched."""
        self._launched -= launched
        until = (self._steady_ms() // _GRAIN_MS + 1) * _GRAIN_MS + _WINDOW_MS
        if self._written and self._written[-1][0] == until:
            self._written[-1][1] += parts
        else:
            self._written.append([until, parts])
        self._counting += parts

    @property
    def is_warm(self) -> bool:
        """Whether what it wrote counts still."""
        self._window_room()
        return bool(self._written)

    def has_moved(self) -> bool:
        """Whether somebody waited for the window to move on, and it has."""
        moved = self._is_full and self._window_room() > 0
        self._is_full = self._is_full and not moved
        return moved

    def fits(self, parts: int, now_ms: int) -> bool:
        """Whether a message of so many parts may go now. One that is longer than the limit needs all of it."""
        return self.room(now_ms) >= min(parts, self.limit)

    def affords(self, cost: int, now_ms: int) -> bool:
        """For money: whether so much may be booked. Short of it only because Redis was not asked yet, it may be owed:
        one message, or a hundredth of all."""
        room = self.room(now_ms)
        left = room - min(cost, self.limit)
        if left >= 0:
            return True
        # Each that waits wants its own, but not so much is leased that other processes go without.
        self.need(min(self._needed + cost, max(self._most, _AHEAD * cost)))
        return not self._dry and (room >= 0 or left >= -self._most)

    @property
    def is_spent(self) -> bool:
        """For money: whether nothing was left when we asked in this period."""
        return self._dry

    def spend(self, parts: int, now_ms: int) -> None:
        """Use what `fits` said."""
        self.tokens -= min(parts, max(self.limit, self.tokens))
        self._spent += parts
        self.spent_ms = now_ms
        if self.tokens < self._slice() and not self._dry:
            self._changed(self)

    def refund(self, parts: int, now_ms: int) -> None:
        """It was not sent after all. Near the beginning of a period it may have been the last one's."""
        if not self.is_brief and self._begin + _REFUND_MS < now_ms < self._end:
            self.tokens += min(parts, self.limit)

    def need(self, parts: int) -> None:
        """So many are wanted and not there."""
        self._needed = max(self._needed, min(parts, self.limit))
        self._is_full = self.is_brief and self._window_room() < self._needed
        self._changed(self)

    def is_behind(self, now_ms: int) -> bool:
        """Whether messages were placed that come before any new one."""
        if self._tail <= now_ms:
            return False
        if self.is_brief and now_ms - self.spent_ms > 3_000:
            self._tail = 0  # what was placed does not come: it was cancelled, or went another way
            return False
        return True

    def is_dry(self, now_ms: int) -> bool:
        """Whether the period had nothing left when we asked just now."""
        self._leased(now_ms)
        return self._dry and now_ms < self._next_ask_ms

    def is_answered(self, now_ms: int) -> bool:
        """Whether Redis was asked in this period, or need not be."""
        self._leased(now_ms)
        return self._next_ask_ms > 0 or (self.is_brief and self._window_room() <= 0)

    def place(self, parts: int, now_ms: int) -> int:
        """The moment (ms) at which a message that has no room now may go, behind all that were placed before."""
        if not self._begin <= now_ms < self._end:
            self._roll(now_ms)
        if self._tail < self._end:
            self._tail, self._tail_parts, self._tail_count = self._end, 0, 0
        share = self._mine / self.out if 0 < self._mine < self.out else 1.0
        if self._tail_parts and self._tail_parts + parts > self.limit * share:
            self._tail = bounds(self._tail, self.count.rule.per, self.count.zone)[1]
            self._tail_parts = self._tail_count = 0
        after_ms = self._tail_parts * (self._end - self._begin) / (self.limit * share)
        if not self.is_brief:  # nothing is won by waiting longer than Redis and carriers need
            after_ms = min(after_ms, self._tail_count * _TIGHT_MS)
        self._tail_parts += parts
        self._tail_count += 1
        return self._tail + int(after_ms)

    @property
    def per_s(self) -> float:
        """Its pace: parts a second."""
        return self.limit * 1000 / max(self._end - self._begin, 1)

    # Between this process and Redis --------------------------------------------------------------------------------

    def _roll(self, now_ms: int) -> None:
        """Another period: a slice of the old one is worth nothing in it. What was taken in an earlier second and is not
        on the wire yet counts in this one too."""
        self._begin, self._end = bounds(now_ms, self.count.rule.per, self.count.zone)
        self.tokens = -self._launched
        self.out = self._mine = 0
        self._dry = False
        self._next_ask_ms = 0

    def _slice(self) -> int:
        if self.is_brief:
            return math.ceil(self.limit / 10)
        return max(min(2 * self._spent, self._most), 1)

    @property
    def _most(self) -> int:
        """The largest slice."""
        return math.ceil(self.limit / 100) if self.count.rule.is_money else min(_MOST, math.ceil(self.limit / 20))

    def asks(self, now_ms: int) -> int:
        """How much to lease now; 0: nothing."""
        room, size = self._leased(now_ms), max(self._slice(), self._needed)
        if room >= size or now_ms < self._next_ask_ms or self._is_full:
            return 0
        return size - min(room, 0)

    def due_ms(self, now_ms: int) -> int:
        """When to ask again; 0: not before somebody needs it."""
        if self._is_full:
            wait_ms = self._written[0][0] - self._steady_ms() if self._written else _GRAIN_MS
            return now_ms + max(wait_ms, 1)
        if self._leased(now_ms) >= max(self._needed, self._slice()) or (self._dry and not self._needed):
            return 0
        return min(max(self._next_ask_ms, now_ms), self._end)

    @property
    def key(self) -> str:
        """Its name in Redis, this period's."""
        return key_of(self.count, self._begin)

    @property
    def ends_ms(self) -> int:
        """When its period ends."""
        return self._end

    def granted(self, key: str, amount: int, asked: int, out: int, now_ms: int) -> None:
        """Redis' answer to `asks`."""
        if key != self.key or not self._begin <= now_ms < self._end:
            return  # it came too late: the period is over, and so is what was granted of it
        self.tokens += amount
        self._mine += amount
        self.out = out
        self._dry, self._spent = amount < asked, 0
        if not (self._dry and self.is_brief):  # what waits a second at most is asked for until it is there
            self._needed = 0
        self._next_ask_ms = now_ms + (_DRY_MS if self._dry else _SECOND_MS if self.is_brief else _ASK_MS)

    def spare(self, now_ms: int, idle_ms: int = _IDLE_MS) -> int:
        """What to give back, because nothing of it was used for a while; it is not ours any more."""
        spare = self._leased(now_ms)
        if spare <= 0 or now_ms - self.spent_ms < idle_ms:
            return 0
        self.tokens, self._mine, self._spent = 0, self._mine - spare, 0
        return spare


class Allowances:
    """All of a process. Life: `run()` until cancelled, which gives back what is left; the rest at any time."""

    def __init__(self, redis: Redis, steady_ms: Callable[[], int] = monotonic_ms) -> None:
        self._redis, self._steady_ms = redis, steady_ms
        self._link: Link = redis.link(None)
        self._known: weakref.WeakValueDictionary[str, Allowance] = weakref.WeakValueDictionary()
        self._wanting: set[Allowance] = set()
        self._warm: set[Allowance] = set()  # kept, even if their carrier is opened anew meanwhile
        self._wake = asyncio.Event()
        self._hear: list[Callable[[], None]] = []
        self._shown: set[tuple[str, bool]] = set()

    def of(self, count: Count) -> Allowance:
        """The one allowance of a count; keep it, and it is found again."""
        found = self._known.get(count.key)
        if found is None:
            found = self._known[count.key] = Allowance(count, self._changed, self._steady_ms)
        elif found.count is not count:
            found.change(count)
        return found

    def on_more(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Call when there may be more room; call the result to hear no more."""
        self._hear.append(hear)
        return lambda: self._hear.remove(hear)

    def _changed(self, allowance: Allowance) -> None:
        self._wanting.add(allowance)
        self._wake.set()

    def wrote(self, allowance: Allowance, parts: int, launched: int) -> None:
        """So many parts are on the wire now, of which so many had been launched."""
        allowance.wrote(parts, launched)
        self._warm.add(allowance)

    async def run(self) -> None:
        """Lease and give back."""
        loop = asyncio.get_running_loop()
        tidy_at = loop.time() + _TIDY_S
        try:
            while True:
                try:
                    await self._lease()
                    if loop.time() >= tidy_at:
                        tidy_at = loop.time() + _TIDY_S
                        await self._give_back(_IDLE_MS)
                        self._warm = {allowance for allowance in self._warm if allowance.is_warm}
                        self._show()
                except RedisAwayError:
                    await self._link.up()
                await asyncio.sleep(_EVERY_S)
                await self._rest(tidy_at)
        finally:
            if self._link.is_up:
                async with asyncio.timeout(1.0):
                    await self._give_back(-1)

    async def _rest(self, tidy_at: float) -> None:
        """Until somebody needs something, or one is to be asked for again."""
        now, loop = self._redis.clock_ms(), asyncio.get_running_loop()
        due = {a: due_ms for a in self._wanting if (due_ms := a.due_ms(now))}
        self._wanting = set(due)
        self._wake.clear()
        at: float | None = tidy_at if len(self._known) else None
        if due:
            at = min(tidy_at, loop.time() + (min(due.values()) - now) / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(at):
                await self._wake.wait()

    async def _lease(self) -> None:
        now = self._redis.clock_ms()
        moved = [a for a in self._wanting if a.has_moved()]
        asking = [(a, amount, a.key) for a in self._wanting if (amount := a.asks(now))]
        for at in range(0, len(asking), _SCRIPT):
            some = asking[at : at + _SCRIPT]
            reply = await self._slices((a, amount) for a, amount, _ in some)
            now = self._redis.clock_ms()
            for n, (allowance, amount, key) in enumerate(some):
                allowance.granted(key, reply[2 * n], amount, reply[2 * n + 1], now)
        if asking or moved:
            for hear in list(self._hear):
                hear()

    async def _give_back(self, idle_ms: int) -> None:
        now = self._redis.clock_ms()
        spare = [(a, -amount) for a in list(self._known.values()) if (amount := a.spare(now, idle_ms))]
        for at in range(0, len(spare), _SCRIPT):
            await self._slices(spare[at : at + _SCRIPT])

    async def _slices(self, wanted: Iterable[tuple[Allowance, int]]) -> list[int]:
        args: list[Arg] = []
        for allowance, amount in wanted:
            args += (allowance.key, allowance.limit, allowance.ends_ms + _FORGET_MS, amount)
        reply: list[int] = await self._link.script("slice", (), args)
        return reply

    def _show(self) -> None:
        """Of each limit the value that is used most."""
        now, most = self._redis.clock_ms(), dict[tuple[str, bool], Allowance]()
        for allowance in list(self._known.values()):
            allowance.room(now)
            key = allowance.words, allowance.count.rule.is_money
            if key not in most or allowance.out > most[key].out:
                most[key] = allowance
        for words, is_money in self._shown - set(most):
            for gauge in _gauges(is_money):
                gauge.remove(words)
        for (words, is_money), allowance in most.items():
            used, allowed = _gauges(is_money)
            unit = MICRO if is_money else 1
            used.labels(words).set(allowance.out / unit)
            allowed.labels(words).set(allowance.limit / unit)
        self._shown = set(most)


def _gauges(is_money: bool) -> tuple[Gauge, Gauge]:
    """What is used of a limit or budget, and what it allows."""
    if is_money:
        return metrics.budget_used, metrics.budget_amount
    return metrics.limit_used, metrics.limit_allowed
