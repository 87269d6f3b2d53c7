"""Who may send next: a class's share of a carrier's rate and window, and the rate itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.message import CLASSES

URGENT = frozenset({"otp", "alert"})
RESERVED = 0.10
"""Part of a window that only urgent classes may use."""


_STEP_S = 0.005


class Shares:
    """Divides room among classes by deficit: over time each gets its share, and what one leaves goes to the highest."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        self.shares = dict(shares)
        self.credit: dict[str, float] = dict.fromkeys(CLASSES, 0.0)

    def divide(self, room: int, backlog: Mapping[str, int], bulk: int) -> dict[str, int]:
        """How many each class may send now: at most its backlog, together `room`, all but the urgent at most `bulk`."""
        waiting = [c for c in CLASSES if backlog.get(c, 0) > 0]
        for c in CLASSES:
            if c not in waiting:
                self.credit[c] = 0.0
        wanted = sum(backlog[c] for c in waiting if c not in URGENT)
        left = {False: min(bulk, room, wanted), True: sum(backlog[c] for c in waiting if c in URGENT)}
        room = min(room, sum(left.values()))
        for c in waiting:
            self.credit[c] = min(self.credit[c] + self._due(c, waiting, room, left[False]), 2.0 * room + 1)
        given = dict.fromkeys(waiting, 0)
        for whole in (False, True):  # first what each is sure of; then what is left, the highest first
            for c in waiting:
                most = backlog[c] - given[c] if whole else int(max(self.credit[c], 0.0))
                extra = min(most, backlog[c], room, left[c in URGENT])
                given[c] += extra
                left[c in URGENT] -= extra
                room -= extra
        for c in waiting:
            self.credit[c] = max(self.credit[c] - given[c], -float(sum(given.values())))
        return {c: n for c, n in given.items() if n}

    def _due(self, klass: str, waiting: Sequence[str], room: int, bulk: int) -> float:
        """A class's part of this room; those that are not urgent divide what they may take, so none goes empty."""
        due = room * self.shares[klass] / (sum(self.shares[c] for c in waiting) or 1)
        if klass in URGENT:
            return due
        rest = sum(self.shares[c] for c in waiting if c not in URGENT) or 1
        return min(due, bulk * self.shares[klass] / rest)


class Bucket:
    """A token bucket: at most `rate` submissions a second, with `burst` at once. A rate of 0 means no limit."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate, self.burst, self.tokens, self.at = rate, max(burst, 1.0), max(burst, 1.0), now

    def available(self, now: float) -> int:
        """Whole tokens there are."""
        if not self.rate:
            return 1 << 30
        self.tokens = min(self.tokens + (now - self.at) * self.rate, self.burst)
        self.at = now
        return int(self.tokens)

    @property
    def step(self) -> int:
        """So many are worth a script: what comes in five milliseconds, but well below the burst."""
        return max(int(min(self.rate * _STEP_S, self.burst / 2)), 1)

    def spend(self, count: int) -> None:
        """Take tokens, at most what `available` said."""
        if self.rate:
            self.tokens -= count

    def wait_s(self, count: int = 1) -> float:
        """Until `count` tokens will be there."""
        return max((count - self.tokens) / self.rate, 0.0) if self.rate else 0.0
