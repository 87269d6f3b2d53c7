"""One target: its events in order, its connections, and its circuit.

In: items to be sent. Out: each with its answer to `Owner.report`. Bounded: a few connections, growing while they are
answered; after repeated failures it rests, lets go of what it has not sent, and one request at a time tries again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.callbacks import audience, event
from gateway.callbacks.event import MAX_BUNDLE
from gateway.notifier.delivery import Delivery, Item
from gateway.notifier.dial import Dialer, DialError
from gateway.notifier.directory import Destination
from gateway.notifier.request import Place, place_of, request
from gateway.notifier.wire import Answer, Wire

TIMEOUT_S: Final = 15.0
IDLE_S: Final = 10.0
AGE_S: Final = 60.0
"""A connection is not used for longer: its name is resolved and checked anew."""

LINGER_S: Final = 0.2
"""How long a bundle that is not full waits for more events."""

REST_AFTER: Final = 3
"""Failures in a row, each begun after the one before, from which on the target rests."""
MAX_REST_S: Final = 60.0


class Room(Protocol):
    """Connections that this process may have."""

    def limit(self) -> int:
        """How many one target may have now."""
        ...

    open: int


class Owner(Protocol):
    """Who gave the items."""

    def report(self, target: Target, delivery: Delivery, answer: Answer, took_s: float) -> None: ...

    def let_go(self, target: Target, items: Sequence[Item]) -> None: ...

    def put_off(self, target: Target, items: Sequence[Item]) -> None: ...

    def changed(self, target: Target, error: str) -> None:
        """It begins to rest, or works again (`error` is empty)."""
        ...


class Target:
    """Life: `add` items, `pump` after anything has changed, `sweep` a few times a second, `close`."""

    def __init__(
        self, key: audience.Target, destination: Destination, owner: Owner, dialer: Dialer, room: Room
    ) -> None:
        self.key, self.destination = key, destination
        self._owner, self._dialer, self._room = owner, dialer, room
        self._loop = asyncio.get_running_loop()
        self.waiting: deque[Item] = deque()
        self._redo: deque[Delivery] = deque()
        self._sending: set[bytes] = set()
        self._held: dict[bytes, list[Item]] = {}
        self._idle: list[Wire] = []
        self._busy: set[Wire] = set()
        self._dials: set[asyncio.Task[None]] = set()
        self._allowed = 1
        self._failures = 0
        self._failed_at = float("-inf")
        self._linger: asyncio.TimerHandle | None = None
        self._moved_at = self._loop.time()
        self.rest_until = float("-inf")
        self.used_at = self._moved_at
        self.last_error = ""
        self.more = False
        """Whether the store may have more for it than it was given."""

    @property
    def is_resting(self) -> bool:
        """Whether nothing is sent for now."""
        return self._loop.time() < self.rest_until

    @property
    def flying(self) -> int:
        """Requests without an answer."""
        return len(self._busy)

    @property
    def is_still(self) -> bool:
        """Whether it could be forgotten. What an endpoint's failures taught is kept; URLs may be without number."""
        taught = self.key.endpoint and self._failures
        return not (self.waiting or self._busy or self._dials or self._redo or self._held or taught)

    def lead_to(self, destination: Destination) -> None:
        """Where it leads from now on."""
        if destination.url != self.destination.url:
            self._moved_at = self._loop.time()
            self._failures, self.rest_until = 0, float("-inf")
        self.destination = destination

    def add(self, items: Sequence[Item]) -> None:
        """Send these, in order, after what is there."""
        self.waiting.extend(items)
        self.pump()

    def pump(self) -> None:
        """Send what can be sent now."""
        now = self._loop.time()
        if now < self.rest_until:
            return
        while (self.waiting or self._redo) and len(self._busy) < self._allowed:
            wire = self._free_wire(now)
            if wire is None:
                self._dial_more()
                return
            delivery = self._next(now)
            if delivery is None:
                self._idle.append(wire)
                return
            self._send(wire, delivery, now)

    def sweep(self, now: float) -> None:
        """End what takes too long and what is not used."""
        for wire in [wire for wire in self._busy if now > wire.deadline]:
            wire.expire(TIMEOUT_S)
        for wire in [wire for wire in self._idle if now > wire.idle_since + IDLE_S]:
            self._idle.remove(wire)
            self._drop(wire)
        if self.waiting or self._redo:
            self.used_at = now
            self.pump()

    def close(self) -> None:
        """End all connections; what is on them is not reported."""
        for task in self._dials:
            task.cancel()
        for wire in [*self._busy, *self._idle]:
            self._drop(wire)
        self._busy.clear()
        self._idle.clear()
        if self._linger is not None:
            self._linger.cancel()

    # Connections.

    def _free_wire(self, now: float) -> Wire | None:
        while self._idle:
            wire = self._idle.pop()
            if wire.is_open and now < wire.made_at + AGE_S and wire.made_at >= self._moved_at:
                return wire
            self._drop(wire)
        return None

    def _dial_more(self) -> None:
        wanted = min(self._allowed, self._room.limit()) - len(self._busy) - len(self._dials)
        if wanted > 0 and (place := self._place()) is not None:
            self._room.open += 1
            task = self._loop.create_task(self._dial(place), name=f"dial {self.key.name}")
            self._dials.add(task)
            task.add_done_callback(self._dialed)

    def _dialed(self, task: asyncio.Task[None]) -> None:
        self._dials.discard(task)
        if not task.cancelled():
            task.result()  # a bug is told to the loop
            self.pump()

    def _place(self) -> Place | None:
        """Where the next request goes; what has no usable URL is reported at once."""
        while True:
            url = self.destination.url or (
                self._redo[0].url if self._redo else self.waiting[0].event.url if self.waiting else ""
            )
            if (place := place_of(url)) is not None:
                return place
            if (delivery := self._next(self._loop.time())) is None:
                return None
            self._judge(
                delivery, Answer(0, "the URL cannot be used: it must be http:// or https:// and name a host"), 0.0
            )

    async def _dial(self, place: Place) -> None:
        made, began = False, self._loop.time()
        try:
            wire = await self._dialer.dial(place, lambda: Wire(self._answered, self._lost))
            made = True
            wire.made_at, wire.idle_since = began, self._loop.time()  # where it leads was decided when we began
            self._idle.append(wire)
        except DialError as e:
            if (delivery := self._next(self._loop.time(), hurry=True)) is not None:
                delivery.began = self._loop.time()
                self._judge(delivery, Answer(0, str(e)), 0.0)
        finally:
            if not made:
                self._room.open -= 1

    def _lost(self, wire: Wire) -> None:
        if wire in self._idle:
            self._idle.remove(wire)
            self._room.open -= 1

    def _drop(self, wire: Wire) -> None:
        self._room.open -= 1
        wire.close()

    # Requests.

    def _next(self, now: float, hurry: bool = False) -> Delivery | None:
        if self._redo:
            return self._redo.popleft()
        if self.destination.bundle:
            return self._next_bundle(now, hurry)
        waiting, sending = self.waiting, self._sending
        while waiting:
            item = waiting.popleft()
            told = item.event
            if told.id in sending:
                self._held.setdefault(told.id, []).append(item)
                continue
            sending.add(told.id)
            url = self.destination.url or told.url
            if item.batch is not None:
                item.batch.flying += 1
            return Delivery([item], url, event.event_id(told.id, told.seq), event.document(told))
        return None

    def _next_bundle(self, now: float, hurry: bool) -> Delivery | None:
        waiting = self.waiting
        if not waiting:
            return None
        left = waiting[0].since + LINGER_S - now
        if len(waiting) < MAX_BUNDLE and left > 0 and not hurry:
            if self._linger is None:
                self._linger = self._loop.call_later(left, self._lingered)
            return None
        items: list[Item] = []
        own: set[bytes] = set()
        while waiting and len(items) < MAX_BUNDLE:
            item = waiting.popleft()
            told = item.event
            if told.id in self._sending:
                self._held.setdefault(told.id, []).append(item)
                continue
            own.add(told.id)
            items.append(item)
            if item.batch is not None:
                item.batch.flying += 1
        if not items:
            return None
        self._sending |= own
        webhook_id, body = event.bundle([item.event for item in items])
        return Delivery(items, self.destination.url, webhook_id, body)

    def _lingered(self) -> None:
        self._linger = None
        self.pump()

    def _send(self, wire: Wire, delivery: Delivery, now: float) -> None:
        place = place_of(delivery.url)
        assert place is not None, "checked when its connection was made"
        at = time.time()
        secrets = self.destination.secrets(int(at * 1000))
        delivery.began = self.used_at = now
        wire.load = delivery
        self._busy.add(wire)
        wire.send(request(place, delivery.webhook_id, int(at), secrets, delivery.body), now + TIMEOUT_S)

    def _answered(self, wire: Wire, answer: Answer) -> None:
        now = self._loop.time()
        delivery: Delivery = wire.load
        wire.load = None
        self._busy.discard(wire)
        if wire.is_open:
            wire.idle_since = now
            self._idle.append(wire)
        else:
            self._room.open -= 1
        if answer.untouched and not delivery.redone:
            delivery.redone = True
            self._redo.append(delivery)
        else:
            self._judge(delivery, answer, now - delivery.began)
        self.pump()

    def _judge(self, delivery: Delivery, answer: Answer, took_s: float) -> None:
        good = 200 <= answer.status < 300
        items = delivery.items
        ids = {items[0].event.id} if len(items) == 1 else {item.event.id for item in items}
        self._sending -= ids
        if good:
            self._worked()
        else:
            self.last_error = answer.error or f"answered {answer.status}"
            self._failed(delivery)
        self._owner.report(self, delivery, answer, took_s)
        if not good and any(item.event.id in ids for item in self.waiting):
            behind = [item for item in self.waiting if item.event.id in ids]
            self.waiting = deque(item for item in self.waiting if item.event.id not in ids)
            self._owner.put_off(self, behind)
        if self._held:
            held = [item for one in ids for item in self._held.pop(one, ())]
            if good:
                self.waiting.extendleft(reversed(held))
            elif held:
                self._owner.put_off(self, held)

    def _worked(self) -> None:
        if self._failures >= REST_AFTER:
            self._owner.changed(self, "")
        self._failures = 0
        self.rest_until = float("-inf")
        if self._allowed < (limit := self._room.limit()):
            self._allowed += 1
        elif self._allowed > limit:
            self._allowed = limit

    def _failed(self, delivery: Delivery) -> None:
        now = self._loop.time()
        self._allowed = max(1, self._allowed // 2)
        if delivery.began < self._failed_at:
            return  # it was under way when another failed: the same failure
        self._failed_at = now
        self._failures += 1
        if self._failures >= REST_AFTER:
            self._allowed = 1
            pause_s = min(MAX_REST_S, 2.0 ** (self._failures - REST_AFTER))
            self.rest(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load
            if self._failures == REST_AFTER:
                self._owner.changed(self, self.last_error)

    def rest(self, pause_s: float) -> None:
        """Send nothing for so long, and give back what is not sent: it is safe in the store."""
        self.rest_until = max(self.rest_until, self._loop.time() + pause_s)
        items = [item for delivery in self._redo for item in delivery.items]
        for item in items:
            self._sending.discard(item.event.id)
            if item.batch is not None:
                item.batch.flying -= 1
        items += [item for held in self._held.values() for item in held]
        items += self.waiting
        self._redo.clear()
        self._held.clear()
        self.waiting.clear()
        if items:
            self._owner.let_go(self, items)
