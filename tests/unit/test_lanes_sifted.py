"""A lane with limits, whatever marks and parks fail: each entry goes once, or is parked, and none is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connector.lanes import AHEAD, Lane, Lanes, Taken
from gateway.connector.sieve import Sieve
from gateway.message import pack_journey, pack_message
from gateway.plan.choice import Compiled
from gateway.plan.document import Limit, Operator, Plan
from gateway.streams.allowances import Allowance, Allowances
from gateway.streams.reader import Queued, Reader
from gateway.streams.seats import Seats
from tests.core_builders import journey, message, message_id, replaced

BEGIN_MS = 1_800_000_000_000


class World:
    """A stream, a clock, and processes that lease as much as they are told to."""

    def __init__(self, limit: int, kinds: str) -> None:
        self.now_ms, self.limit = BEGIN_MS, limit
        self.out: dict[str, int] = {}
        self.stream = {b"%d-0" % n: entry(n, kind) for n, kind in enumerate(kinds, 1)}
        self.newest = len(kinds)
        self.kinds = {self.stream[i].message_id: kind for i, kind in zip(self.stream, kinds, strict=True)}
        plan = Compiled(
            Plan(
                operators=(Operator(name="mts", prefixes=("",)),),
                limits=(Limit(parts=limit, per="second", tag="slow"), Limit(parts=3 * limit, per="day", tag="dear")),
            ),
            1,
        )
        gateway: Any = SimpleNamespace(link=lambda _: None, clock_ms=lambda: self.now_ms)
        self.allowances = Allowances(gateway, lambda: self.now_ms)
        pauses: Any = SimpleNamespace(tags=frozenset(("paused",)), classes=(), clients=())
        sieve = self.sieve = Sieve("north", self.allowances, Seats(), lambda: plan, pauses, lambda: self.now_ms)
        link: Any = SimpleNamespace(prefix="{0}:")
        self.lanes = Lanes("north", [link], lambda: None, sieve)
        self.lane = Lane(0, link, "north", "marketing:shop")
        self.lanes._all[0, self.lane.name] = self.lanes._hot["marketing"][0, self.lane.name] = self.lane
        self.lane.again.told = False
        self.on_wire: dict[bytes, Queued] = {}
        self.sent: list[bytes] = []
        self.written: list[tuple[int, bytes]] = []
        self.parked: list[bytes] = []

    def fill(self) -> None:
        reader = self.lane.outbox
        after = reader.ahead[-1].entry_id if reader.ahead else reader.cursor
        found = [e for i, e in self.stream.items() if number(i) > number(after)]
        reader.ahead.extend(found[: AHEAD - len(reader.ahead)])
        reader.told = False

    def take(self, parts: int, fails: bool) -> None:
        if "marketing" not in self.lanes.backlog():
            return
        runs = self.lanes.take("marketing", parts)
        if fails:
            self.lanes.rewind(0, runs)
            return
        for run in sorted(runs, key=lambda run: run.parked is None):  # parked first, as the pump has it
            self.do(run)

    def do(self, run: Taken) -> None:
        if run.parked is not None:
            for p in run.parked:
                assert p.entry.entry_id in self.stream and p.entry.entry_id not in self.on_wire
                self.parked.append(self.stream.pop(p.entry.entry_id).message_id)
            return
        covered = [
            i for i in self.stream if number(run.entries[0].entry_id) <= number(i) <= number(run.entries[-1].entry_id)
        ]
        parked_later = set(covered) - {e.entry_id for e in run.entries}
        assert not parked_later, "a mark covers nothing that is not sent"
        for e in run.entries:
            assert e.entry_id in self.stream and e.entry_id not in self.on_wire, "nothing goes twice"
            self.on_wire[e.entry_id] = e
            self.sent.append(e.message_id)

    def write(self) -> None:
        """What is marked goes to the wire, maybe much later."""
        known = {i for _, i in self.written}
        fresh: Any = [
            SimpleNamespace(message_id=e.message_id, part=1, parts=1)
            for e in self.on_wire.values()
            if e.message_id not in known
        ]
        late = {s.message_id for s in self.lanes.late(fresh)}
        for i in [i for i, e in self.on_wire.items() if e.message_id in late]:  # to the end of the stream
            e = self.on_wire.pop(i)
            del self.stream[i]
            self.sieve.left(e.message_id)
            self.sent.remove(e.message_id)
            self.newest += 1
            self.stream[b"%d-0" % self.newest] = Queued(b"%d-0" % self.newest, e.value, e.journey)
        going = [s for s in fresh if s.message_id not in late]
        self.lanes.wrote(self.lanes.writing(going))
        self.written += [(self.now_ms, s.message_id) for s in going]

    def settle(self) -> None:
        self.write()
        for i, e in self.on_wire.items():
            del self.stream[i]
            self.sieve.left(e.message_id)
        self.on_wire.clear()

    def most_in_a_second(self, kind: str) -> int:
        """As a peer sees it that looks back a second at each part."""
        times = [at for at, i in self.written if self.kinds[i] == kind]
        return max((sum(at - 1000 < other <= at for other in times) for at in times), default=0)

    def most_of_the_clock(self, kind: str) -> int:
        """As what all processes lease is counted."""
        return max(Counter(at // 1000 for at, i in self.written if self.kinds[i] == kind).values(), default=0)

    def lease(self) -> None:
        for own in list(self.allowances._known.values()):
            self._lease(own)

    def _lease(self, own: Allowance) -> None:
        own.has_moved()
        if amount := own.asks(self.now_ms):
            granted = max(min(amount, own.limit - self.out.get(own.key, 0)), 0)
            self.out[own.key] = self.out.get(own.key, 0) + granted
            own.granted(own.key, granted, amount, self.out[own.key], self.now_ms)


def entry(n: int, kind: str) -> Queued:
    tag = {"s": "slow", "d": "dear", "p": "paused"}.get(kind, "")
    m = message(tag=tag, validity_s=10**6)
    j = replaced(journey(), place=0)
    return Queued(b"%d-0" % n, message_id(BEGIN_MS) + pack_message(m), pack_journey(j))


def number(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


STEP = st.tuples(
    st.sampled_from(("take", "take", "fail", "write", "settle", "lease", "fill")),
    st.integers(1, 30),
    st.integers(0, 400),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 8), st.text("sdpf", min_size=1, max_size=120), st.lists(STEP, max_size=60))
def test_every_entry_goes_once_or_is_parked_and_none_is_forgotten(
    limit: int, kinds: str, steps: list[tuple[str, int, int]]
) -> None:
    async def go() -> None:
        world = World(limit, kinds)
        for what, parts, passed in steps:
            world.now_ms += passed
            if what in ("take", "fail"):
                world.take(parts, what == "fail")
            else:
                getattr(world, what)()
        for _ in range(600):
            world.now_ms += 100
            world.fill()
            world.lease()
            world.take(500, False)
            world.settle()
        assert not world.stream, "nothing is left behind"
        assert world.most_in_a_second("s") <= limit, "however long a part was on its way to the wire"
        assert world.most_of_the_clock("s") <= limit
        assert len(world.sent) == len(set(world.sent))
        assert not set(world.sent) & set(world.parked)
        told = {kind: {i for i, k in world.kinds.items() if k == kind} for kind in "sdpf"}
        assert told["f"] <= set(world.sent), "who counts in nothing is never parked"
        assert told["p"] <= set(world.parked)
        assert len(told["d"] & set(world.sent)) <= 3 * limit

    asyncio.run(go())


def test_who_is_not_meant_goes_before_who_has_no_room() -> None:
    async def go() -> None:
        world = World(2, "s" * 15 + "f" * 5)
        world.fill()
        world.take(500, False)  # nothing is leased yet
        assert [world.kinds[i] for i in world.sent] == ["f"] * 5
        world.lease()
        world.take(500, False)
        assert [world.kinds[i] for i in world.sent[5:]] == ["s"]

    asyncio.run(go())


def test_readers_of_one_lane_keep_what_they_hold_apart() -> None:
    world = SimpleNamespace(prefix="{0}:")
    lane = Lane(0, world, "north", "marketing:shop")  # type: ignore[arg-type]
    assert set(lane.held) == {lane.again, lane.outbox} and not lane.is_holding
    assert isinstance(lane.outbox, Reader)
