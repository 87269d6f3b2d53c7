"""Messages on their way to one number: how many a limit allows, and how many there are.

Counted in this process, over all its carriers: who is on the wire comes and goes in fractions of a second.
"""

from __future__ import annotations

import weakref
import zlib

from gateway.plan.limits import Crowd

_COMES_BACK_MS = 1_000


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
        return self.taken < self.limit

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
        return self.taken >= self.limit

    def place(self, parts: int, now_ms: int) -> int:
        """When to try again."""
        self._tail = max(self._tail, now_ms + _COMES_BACK_MS) + _COMES_BACK_MS / 10 / self.limit
        return int(self._tail)


class Seats:
    """All of a process."""

    def __init__(self) -> None:
        self._seats: weakref.WeakValueDictionary[str, Seat] = weakref.WeakValueDictionary()

    def of(self, crowd: Crowd, to: str) -> Seat:
        """The seat of a number; keep it while it is taken."""
        key = f"{crowd.words} {to}"
        found = self._seats.get(key)
        if found is None:
            found = self._seats[key] = Seat(crowd.in_flight, crowd.words, zlib.crc32(key.encode()) or 1)
        found.limit = crowd.in_flight
        return found
