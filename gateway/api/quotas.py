"""How fast a client may send: a token bucket each, and what the RateLimit headers say of it.

In: messages as they come. Out: None, or a 429 with the second at which repeating helps. Costs no I/O: a bucket lives in
its process, and `api_processes` says among how many a client's quota is shared.
Headers: draft-ietf-httpapi-ratelimit-headers-11. Requests that send nothing cost nothing and carry the headers too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from gateway.api.problems import Code, Problem, problem
from gateway.config import Settings

POLICY: Final = "RateLimit-Policy"
LIMIT: Final = "RateLimit"

Clock = Callable[[], float]


class Quota:
    """What a client without a limit of its own has: everybody's room in the intake, as measured every second."""

    __slots__ = ("_lines", "_room", "_shown", "_state", "policy")

    def __init__(self, limit: int, room: Callable[[], int]) -> None:
        self.policy = f'"intake";q={limit}'
        self._room = room
        self._shown = -1
        self._state = self._lines = ""

    def take(self, count: int) -> Problem | None:
        """None when `count` messages may come in now, and they are counted; else nothing is."""
        return None

    def give_back(self, count: int) -> None:
        """So many were counted and not tried."""

    def state(self) -> str:
        """The value of `RateLimit` now."""
        if self._room() != self._shown:
            self._show(self._room())
        return self._state

    def lines(self) -> str:
        """Both headers as they stand in a response, for who writes it himself."""
        if self._room() != self._shown:
            self._show(self._room())
        return self._lines

    def _show(self, room: int) -> None:
        self._shown = room
        self._state = f'"intake";r={room}'
        self._lines = f"{POLICY}: {self.policy}\r\n{LIMIT}: {self._state}\r\n"


class Bucket(Quota):
    """A client's own limit: `per_s` messages a second, `burst` of them at once.

    A batch is taken whole or not at all. One that is larger than `burst` is taken when the bucket is full, and what
    it takes too much has to come back before anything else is taken, so that the rate is kept on average.
    """

    __slots__ = ("_at", "_begin", "_clock", "_step_s", "_tokens", "burst", "per_s")

    def __init__(self, per_s: float, burst: int, clock: Clock = time.monotonic) -> None:
        self.per_s, self.burst = per_s, burst
        self.policy = f'"messages";q={burst};w={max(1, math.ceil(burst / per_s))}'
        self._begin = f'{POLICY}: {self.policy}\r\n{LIMIT}: "messages";r='
        self._step_s = math.ceil(1 / per_s)
        self._clock = clock
        self._tokens, self._at = float(burst), clock()

    def take(self, count: int) -> Problem | None:
        if self._fill() >= min(count, self.burst):
            self._tokens -= count
            return None
        return self._refused(count)

    def give_back(self, count: int) -> None:
        self._tokens += count  # `_fill` keeps it within the burst

    def state(self) -> str:
        return '"messages";r=' + self._left()

    def lines(self) -> str:
        return f"{self._begin}{self._left()}\r\n"

    def inherit(self, old: Quota) -> None:
        """Go on where the client's former limit stands: a change gives nobody a second burst."""
        if isinstance(old, Bucket):
            self._tokens = min(self._tokens, old._fill())

    def _fill(self) -> float:
        now = self._clock()
        tokens = self._tokens + (now - self._at) * self.per_s
        self._at = now
        self._tokens = tokens = tokens if tokens < self.burst else float(self.burst)
        return tokens

    def _left(self) -> str:
        """`r`, and as `t` the seconds after which there is more."""
        tokens = self._fill()
        if tokens >= 1:
            return f"{int(tokens)};t={self._step_s}"
        return f"0;t={math.ceil((1 - tokens) / self.per_s)}"

    def _refused(self, count: int) -> Problem:
        wait_s = math.ceil((min(count, self.burst) - self._tokens) / self.per_s)
        what = "This message is" if count == 1 else f"These {count} messages are"
        return problem(
            Code.RATE_LIMITED,
            f"{what} more than your client may send now: {self.per_s:g} a second, {self.burst} at once."
            f" Repeat this in {max(1, wait_s)} s, and send no faster than that.",
            retry_after_s=max(1, wait_s),
        )


class Quotas:
    """Every client's quota, for as long as the process lives: several keys of a client share one."""

    def __init__(self, settings: Settings | None = None, room: Callable[[], int] | None = None) -> None:
        self._settings = settings or Settings()
        limit = self._settings.intake_limit
        self.everybody = Quota(limit, room or (lambda: limit))
        """Of clients without a limit, and of callers who are nobody's: what all share."""
        self._buckets: dict[str, Bucket] = {}

    def of(self, client: str, per_s: float | None, burst: int) -> Quota:
        """`per_s` None: what the settings give to everybody; 0: no limit. `burst` 0: what a second gives."""
        if per_s is None:
            per_s, burst = self._settings.quota_messages_per_s, self._settings.quota_burst
        if per_s <= 0:
            self._buckets.pop(client, None)
            return self.everybody
        processes = self._settings.api_processes
        per_s, burst = per_s / processes, max(1, math.ceil((burst or per_s) / processes))
        old = self._buckets.get(client)
        if old is None or (old.per_s, old.burst) != (per_s, burst):
            new = Bucket(per_s, burst)
            if old is not None:
                new.inherit(old)
            self._buckets[client] = new
        return self._buckets[client]
