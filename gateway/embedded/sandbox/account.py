"""One system_id of the sandbox: its receiving binds, and what waits to be delivered to it.

In: deliver_sm bodies. Out: the same bodies on some live receiving bind; those that were not acknowledged when a bind
ended go first on the next one. Never more waiting than `waiting_limit`: the oldest are dropped and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol

from gateway.embedded.sandbox.tally import Tally
from gateway.embedded.sandbox.wire import InboundBody


class Receiver(Protocol):
    """A bind that takes deliver_sm."""

    @property
    def room(self) -> int:
        """How many more unacknowledged ones it may have now."""
        ...

    def deliver(self, bodies: Sequence[bytes]) -> None:
        """Send them."""
        ...


class Account:
    """A system_id with its password."""

    def __init__(self, system_id: str, password: str, tally: Tally, waiting_limit: int) -> None:
        self.system_id = system_id
        self.password = password
        self.receivers: list[Receiver] = []
        self._tally = tally
        self._limit = waiting_limit
        self._inbound: deque[bytes] = deque()
        self._again: deque[bytes] = deque()
        self._fresh: deque[bytes] = deque()
        self._tokens = 0.0
        self._tokens_at = 0.0

    @property
    def waiting(self) -> int:
        """Bodies that no bind had room for."""
        return len(self._inbound) + len(self._again) + len(self._fresh)

    def deliver(self, bodies: Sequence[bytes], preferred: Receiver) -> None:
        """Send receipts, on `preferred` while it lives and has room."""
        if not self.waiting and preferred in self.receivers and preferred.room >= len(bodies):
            self._tally.counts.receipts_sent += len(bodies)
            preferred.deliver(bodies)
            return
        self._fresh.extend(bodies)
        self.pump()

    def deliver_inbound(self, bodies: Sequence[InboundBody]) -> None:
        """Send a subscriber's message, one body a part, as soon as there is a bind."""
        self._inbound.extend(bodies)
        self.pump()

    def give_back(self, bodies: Iterable[bytes]) -> None:
        """What was sent and not acknowledged: it is sent again, before anything else."""
        for body in bodies:
            (self._inbound if type(body) is InboundBody else self._again).append(body)
        self._bound()

    def pump(self) -> None:
        """Send what waits, as far as the binds have room."""
        counts = self._tally.counts
        for receiver in self.receivers:
            if self._inbound and receiver.room > 0:
                bodies = _take(self._inbound, receiver.room)
                counts.inbound_sent += len(bodies)
                receiver.deliver(bodies)
            if self._again and receiver.room > 0:
                bodies = _take(self._again, receiver.room)
                counts.receipts_resent += len(bodies)
                receiver.deliver(bodies)
            if self._fresh and receiver.room > 0:
                bodies = _take(self._fresh, receiver.room)
                counts.receipts_sent += len(bodies)
                receiver.deliver(bodies)
        if self.receivers:
            self.receivers.append(self.receivers.pop(0))  # the next one begins the next round
        self._bound()

    def allow(self, now: float, rate: float, burst: float, parts: int = 1) -> bool:
        """Take a token a part; False when the account is over `rate` a second. More parts than the bucket has tokens
        when it is full pass as soon as it is full."""
        self._tokens = min(burst, self._tokens + (now - self._tokens_at) * rate)
        self._tokens_at = now
        if self._tokens < min(parts, burst):
            return False
        self._tokens -= parts
        return True

    def _bound(self) -> None:
        excess = len(self._again) + len(self._fresh) - self._limit
        if excess > 0:
            dropped = _take(self._again, excess)
            dropped += _take(self._fresh, excess - len(dropped))
            self._tally.counts.receipts_dropped += excess


def _take(queue: deque[bytes], count: int) -> list[bytes]:
    if count >= len(queue):
        taken = list(queue)
        queue.clear()
        return taken
    taken = list(islice(queue, count))
    for _ in taken:
        queue.popleft()
    return taken
