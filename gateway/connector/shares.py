"""Who may send next: a class's share of a carrier's rate and window, and the rate itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.message import CLASSES

URGENT = frozenset({"otp", "alert"})
RESERVED = 0.10
"""Part of a window that only urgent classes may use."""


class Shares:
    """Divides room among classes by deficit: over time each gets its share, and what one leaves goes to the highest."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        self.shares = dict(shares)
        self.credit: dict[str, float] = dict.fromkeys(CLASSES, 0.0)

    def divide(self, room: int, backlog: Mapping[str, int]) -> dict[str, int]:
        """How many each class may send now, at most its backlog, together at most `room`."""
        waiting = [c for c in CLASSES if backlog.get(c, 0) > 0]
        for c in CLASSES:
            if c not in waiting:
                self.credit[c] = 0.0
        if sum(backlog.get(c, 0) for c in waiting) <= room:
            return {c: backlog[c] for c in waiting}
        given = dict.fromkeys(waiting, 0)
        total = sum(self.shares[c] for c in waiting) or 1
        for c in waiting:
            self.credit[c] = min(self.credit[c] + room * self.shares[c] / total, 2.0 * room + 1)
            given[c] = min(int(self.credit[c]), backlog[c], room - sum(given.values()))
        left = room - sum(given.values())
        for c in waiting:  # the highest first
            extra = min(left, backlog[c] - given[c])
            given[c] += extra
            left -= extra
        for c in waiting:
            self.credit[c] = max(self.credit[c] - given[c], -float(room))
        return {c: n for c, n in given.items() if n}


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

    def spend(self, count: int) -> None:
        """Take tokens, at most what `available` said."""
        if self.rate:
            self.tokens -= count

    def wait_s(self, count: int = 1) -> float:
        """Until `count` tokens will be there."""
        return max((count - self.tokens) / self.rate, 0.0) if self.rate else 0.0
