"""Messages on their way to one number: how many a limit allows, and how many there are.

A limit that names a carrier has one connector, which counts. What several count in is leased from Redis by number, one
script for all that are wanted: ahead for what is read ahead, renewed while they are taken, free ten seconds after a
process died.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
import weakref
import zlib
from collections.abc import Callable, Iterable
from typing import Final

from gateway.plan.limits import Crowd
from gateway.streams.link import Arg, Redis, RedisAwayError

LEASE_S: Final = 10.0
"""So long a dead process keeps its seats."""

_COMES_BACK_MS = 1_000
_RENEW_S: Final = 3.0
_IDLE_S: Final = 0.3
_AGAIN_S: Final = 0.1  # when none was free
_EVERY_S: Final = 0.005
_SCRIPT: Final = 200


class Seat:
    """One number under one limit. It blocks as an allowance does: `fits`, `spend`, `place`."""

    __slots__ = ("__weakref__", "_tail", "limit", "mark", "taken", "words")

    per_s = 10.0
    is_brief = True

    def __init__(self, limit: int, words: str, mark: int) -> None:
        self.limit, self.words, self.mark = limit, words, mark
        self.taken = 0
        self._tail = 0.0

    def room(self, now_ms: int) -> int:
        """Messages that may go now."""
        return self.limit - self.taken

    def fits(self, parts: int, now_ms: int) -> bool:
        """Whether another may go."""
        return self.room(now_ms) > 0

    def spend(self, parts: int, now_ms: int) -> None:
        """One goes."""
        self.taken += 1

    def refund(self, parts: int, now_ms: int) -> None:
        """It has its answer, or was not sent."""
        self.taken = max(self.taken - 1, 0)

    def need(self, parts: int) -> None:
        """Nothing helps but an answer."""

    def is_behind(self, now_ms: int) -> bool:
        """Whether any was put off."""
        return self._tail > now_ms

    def is_answered(self, now_ms: int) -> bool:
        """Nobody has to be asked."""
        return True

    def is_dry(self, now_ms: int) -> bool:
        """Whether it is full."""
        return not self.fits(1, now_ms)

    def place(self, parts: int, now_ms: int) -> int:
        """When to try again."""
        self._tail = max(self._tail, now_ms + _COMES_BACK_MS) + _COMES_BACK_MS / 10 / self.limit
        return int(self._tail)


class SharedSeat(Seat):
    """One that connectors of several processes count in: `held` of it are ours."""

    __slots__ = ("_changed", "_is_answered", "again_at", "held", "idle_at", "key", "renew_at")

    def __init__(self, limit: int, words: str, mark: int, key: str, changed: Callable[[SharedSeat], None]) -> None:
        super().__init__(limit, words, mark)
        self.key, self._changed = key, changed
        self.held = 0
        self.again_at = self.idle_at = self.renew_at = 0.0  # monotonic
        self._is_answered = False

    def room(self, now_ms: int) -> int:
        return min(self.held, self.limit) - self.taken

    def refund(self, parts: int, now_ms: int) -> None:
        super().refund(parts, now_ms)
        self.idle_at = time.monotonic() + _IDLE_S

    def need(self, parts: int) -> None:
        """One more, of those that others do not hold."""
        self._changed(self)

    def is_answered(self, now_ms: int) -> bool:
        """Whether Redis said how many are ours."""
        return self._is_answered

    def is_dry(self, now_ms: int) -> bool:
        return self._is_answered and not self.fits(1, now_ms)

    def granted(self, held: int, wanted: int, at: float) -> None:
        """Redis' answer to what was asked at `at`."""
        self.held, self._is_answered = held, wanted > 0
        self.again_at, self.idle_at, self.renew_at = at + _AGAIN_S, time.monotonic() + _IDLE_S, at + _RENEW_S


class Seats:
    """All of a process. Life: `run()` until cancelled, which gives back what is left; the rest at any time.

    Without a Redis every limit counts in this process only.
    """

    def __init__(self, redis: Redis | None = None) -> None:
        self._redis = redis
        self._owner = os.urandom(8).hex()
        self._seats: weakref.WeakValueDictionary[str, Seat] = weakref.WeakValueDictionary()
        self._wanting: set[SharedSeat] = set()
        self._held: set[SharedSeat] = set()
        self._wake = asyncio.Event()
        self._hear: list[Callable[[], None]] = []

    def of(self, crowd: Crowd, to: str, each: Iterable[str] = ()) -> Seat:
        """The seat of a number; keep it while it is taken. `each`: what the limit's stars stand for."""
        key = " ".join((crowd.words, to, *each))
        found = self._seats.get(key)
        if found is None:
            mark = zlib.crc32(key.encode()) or 1
            if self._redis is None or crowd.carrier is not None:
                found = Seat(crowd.in_flight, crowd.words, mark)
            else:
                name = f"seats:{hashlib.blake2b(key.encode(), digest_size=10).hexdigest()}"
                found = SharedSeat(crowd.in_flight, crowd.words, mark, name, self._want)
            self._seats[key] = found
        found.limit = crowd.in_flight
        return found

    def on_more(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Call when there may be more room; call the result to hear no more."""
        self._hear.append(hear)
        return lambda: self._hear.remove(hear)

    def _want(self, seat: SharedSeat) -> None:
        if seat not in self._wanting:
            self._wanting.add(seat)
            self._wake.set()

    async def run(self) -> None:
        """Lease, renew and give back."""
        redis = self._redis
        if redis is None:
            return
        try:
            while True:
                try:
                    await self._lease(redis)
                except RedisAwayError:
                    await redis.link(None).up()
                await asyncio.sleep(_EVERY_S)
                await self._rest()
        finally:
            if redis.link(None).is_up:
                with contextlib.suppress(RedisAwayError, TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._set(redis, [(seat, seat.taken) for seat in self._held])

    async def _rest(self) -> None:
        """Until a seat is wanted, or one is to be renewed or given back."""
        self._wake.clear()
        now = time.monotonic()
        times = [max(seat.again_at, now) for seat in self._wanting]
        times += [min(seat.renew_at, seat.idle_at if seat.held > seat.taken else seat.renew_at) for seat in self._held]
        wait_s = max(min(times) - now, 0.0) if times else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()

    async def _lease(self, redis: Redis) -> None:
        now = time.monotonic()
        asks: dict[SharedSeat, int] = {}
        for seat in self._held:
            if seat.held > seat.taken and seat.idle_at <= now and seat not in self._wanting:
                asks[seat] = seat.taken
            elif seat.renew_at <= now:
                asks[seat] = seat.held
        for seat in list(self._wanting):
            if seat.again_at <= now:
                asks[seat] = min(max(seat.held, seat.taken) + 1, seat.limit)
                self._wanting.discard(seat)
        if asks and await self._set(redis, list(asks.items())):
            for hear in list(self._hear):
                hear()

    async def _set(self, redis: Redis, asks: list[tuple[SharedSeat, int]]) -> bool:
        """Hold so many of each; whether there are more than before."""
        more = False
        for start in range(0, len(asks), _SCRIPT):
            some, at = asks[start : start + _SCRIPT], time.monotonic()
            args: list[Arg] = [self._owner, int(LEASE_S * 1000)]
            for seat, wanted in some:
                args += (seat.key, seat.limit, wanted)
            reply: list[int] = await redis.link(None).script("seats", (), args)
            for (seat, wanted), held in zip(some, reply, strict=True):
                more |= held > seat.held
                seat.granted(held, wanted, at)
                (self._held.add if held else self._held.discard)(seat)
        return more
