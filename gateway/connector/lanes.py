"""What waits for one carrier, by class and lane, over all shards.

In: wake-ups and what scripts told. Out: the next entries of a class, lanes in turn, `again` before outbox. Never sends.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

import msgspec

from gateway.connector.sieve import Held, Parking, Sieve, Writing, is_stall
from gateway.message import CLASSES
from gateway.provider import Submission
from gateway.streams.facts import order
from gateway.streams.keys import lane_parts
from gateway.streams.link import Link
from gateway.streams.reader import Queued, Reader
from gateway.streams.seats import Seat

AHEAD = 500
"""Entries read ahead in a lane at the most."""


class Taken(msgspec.Struct, gc=False):
    """Consecutive entries of one stream, taken to be marked; with `parked`, entries that leave for later instead."""

    lane: Lane
    reader: Reader
    before: bytes  # where the cursor stood; empty: they had been held back
    entries: list[Queued]
    parts: int
    parked: list[Parking] | None = None


class Lane:
    """One client's share of a class at one carrier on one shard: its `again` and its outbox."""

    def __init__(self, shard: int, link: Link, carrier: str, name: str) -> None:
        self.shard, self.name = shard, name
        self.klass = lane_parts(name)[0]
        self.again = Reader(link, f"again:{carrier}:{name}")
        self.outbox = Reader(link, f"outbox:{carrier}:{name}")
        self.held: dict[Reader, Held] = {self.again: {}, self.outbox: {}}
        """Read, passed by, and still in their streams: what counts in something that has no room for them now."""
        self.is_paused = False

    @property
    def ahead(self) -> int:
        """Entries at hand."""
        return len(self.again.ahead) + len(self.outbox.ahead)

    def may_leave(self, sieve: Sieve) -> int:
        """Of those held back, for how many there may be room now, or none for long."""
        found, now_ms = 0, sieve.now_ms
        for held in self.held.values():
            for blocker, queue in held.items():
                if (room := blocker.room(now_ms)) <= 0 and blocker.is_brief:
                    blocker.need(queue[0].parts)
                found += len(queue) if sieve.is_hopeless(blocker) else min(max(room, 0), len(queue))
        return found

    @property
    def is_holding(self) -> bool:
        """Whether any entry is held back."""
        return bool(self.held[self.again] or self.held[self.outbox])

    @property
    def told(self) -> bool:
        """Whether there may be more than what is at hand."""
        return self.again.told or self.outbox.told

    async def fill(self) -> None:
        """Read ahead, both streams in one write."""
        if self.again.told or self.outbox.told:
            await asyncio.gather(self.again.fill(AHEAD), self.outbox.fill(AHEAD))

    def take(self, parts: int) -> list[Taken]:
        """The next entries: at most two runs, `again` first."""
        taken = []
        for reader in (self.again, self.outbox):
            before = reader.cursor
            if parts > 0 and (entries := reader.take(parts)):
                taken.append(Taken(self, reader, before, entries, sum([entry.parts for entry in entries])))
                parts -= taken[-1].parts
        return taken

    def sift(self, parts: int, sieve: Sieve) -> list[Taken]:
        """The next entries that may go now, and those that leave for later; who has no room yet is held back."""
        taken: list[Taken] = []
        for reader in (self.again, self.outbox):
            held = self.held[reader]
            if held:
                parts = self._go_on(reader, held, parts, sieve, taken)
            if reader.ahead and parts > 0:
                parts = self._pass(reader, held, parts, sieve, taken)
        return taken

    def _go_on(self, reader: Reader, held: Held, parts: int, sieve: Sieve, taken: list[Taken]) -> int:
        """Of those held back the first for whom there is room now; how many parts are left."""
        for blocker in list(held):
            queue = held[blocker]
            while queue and parts > 0:
                if queue[0].parts > parts and taken:
                    break
                other = sieve.again(queue[0])
                if other is blocker:
                    if sieve.is_hopeless(blocker):
                        taken.append(Taken(self, reader, b"", [], 0, [sieve.dismiss(e, blocker) for e in queue]))
                        queue.clear()
                    break
                entry = queue.popleft()
                if other is not None:
                    held.setdefault(other, deque()).append(entry)
                    continue
                taken.append(Taken(self, reader, b"", [entry], entry.parts))
                parts -= entry.parts
            if not queue:
                del held[blocker]
        return parts

    def _pass(self, reader: Reader, held: Held, parts: int, sieve: Sieve, taken: list[Taken]) -> int:
        """Look at what was read ahead, in its order; how many parts are left."""
        run: Taken | None = None
        parked: Taken | None = None
        ahead, judge = reader.ahead, sieve.judge
        sieve.begin_lane()
        while ahead and parts > 0:
            entry, weight = ahead[0], ahead[0].parts
            if weight > parts and taken:
                break
            verdict = judge(entry, held)
            if verdict is None:
                if run is None:
                    run = Taken(self, reader, reader.cursor, [], 0)
                    taken.append(run)
                run.entries.append(entry)
                run.parts += weight
                parts -= weight
            elif is_stall(verdict):
                sieve.look_ahead(ahead)
                break
            elif isinstance(verdict, Parking):  # moved before the run is marked, so that a run may span it
                if parked is None:
                    parked = Taken(self, reader, reader.cursor, [], 0, [])
                    taken.append(parked)
                parked.parked.append(verdict)  # type: ignore[union-attr]
            else:
                held.setdefault(verdict, deque()).append(entry)
                run = None
            ahead.popleft()
            reader.cursor = entry.entry_id
        sieve.end_lane()
        return parts

    def put_back(self, run: Taken) -> None:
        """Entries that had been held back and could not be marked: to be looked at again."""
        held = self.held[run.reader]
        entries = run.entries if run.parked is None else [p.entry for p in run.parked]
        held.setdefault(_FRONT, deque()).extendleft(reversed(entries))

    def rewind(self, reader: Reader, to: bytes) -> None:
        """Go on after `to`: who was held back behind it is read again."""
        reader.rewind(to)
        held = self.held[reader]
        if held:
            after = order(to)
            for blocker, queue in list(held.items()):
                left = deque(entry for entry in queue if order(entry.entry_id) <= after)
                if left:
                    held[blocker] = left
                else:
                    del held[blocker]

    async def look_again(self) -> None:
        """Entries moved: who was held back and is not there any more is forgotten."""
        for reader, held in self.held.items():
            entries = [entry for queue in held.values() for entry in queue]
            key = reader.link.prefix + reader.stream
            ids = [entry.entry_id for entry in entries]
            there = await asyncio.gather(*(reader.link.call(b"XRANGE", key, i, i) for i in ids))
            gone = {i for i, found in zip(ids, there, strict=True) if not found}
            for blocker, queue in list(held.items()) if gone else ():
                held[blocker] = deque(entry for entry in queue if entry.entry_id not in gone)
                if not held[blocker]:
                    del held[blocker]


class _Front(Seat):
    """Stands for no limit: who waits for it is looked at again at once."""

    __slots__ = ()

    def fits(self, parts: int, now_ms: int) -> bool:
        return True


_FRONT = _Front(1, "", 0)


class Lanes:
    """All lanes of one carrier. Lanes with nothing in them cost nothing until they are told of."""

    def __init__(
        self, carrier: str, links: list[Link], on_wake: Callable[[], None], sieve: Sieve | None = None
    ) -> None:
        """`sieve`: what limits and pauses say; None: there are none."""
        self.carrier, self._links, self._on_wake = carrier, links, on_wake
        self._sieve = sieve
        self._holding: set[Lane] = set()
        self._all: dict[tuple[int, str], Lane] = {}
        self._hot: dict[str, OrderedDict[tuple[int, str], Lane]] = {c: OrderedDict() for c in CLASSES}

    def tell(self, shard: int, name: str, again: bool = False) -> None:
        """Something came into a lane's outbox (or its `again`)."""
        lane = self._all.get((shard, name))
        if lane is None:
            if lane_parts(name)[0] not in self._hot:
                return
            lane = self._all[shard, name] = Lane(shard, self._links[shard], self.carrier, name)
        (lane.again if again else lane.outbox).told = True
        self._hot[lane.klass].setdefault((shard, name), lane)
        self._on_wake()

    async def discover(self) -> None:
        """Look which lanes there are; each is looked into once."""
        for shard, link in enumerate(self._links):
            for name in await link.call(b"SMEMBERS", link.prefix + "lanes:" + self.carrier):
                self.tell(shard, name.decode())
                self.tell(shard, name.decode(), again=True)

    async def fill(self) -> None:
        """Read ahead wherever something may have come; lanes that are empty go cold."""
        lanes = [lane for hot in self._hot.values() for lane in hot.values() if lane.told and lane.ahead < AHEAD // 2]
        if lanes:
            await asyncio.gather(*(lane.fill() for lane in lanes))
        for hot in self._hot.values():
            for key in [key for key, lane in hot.items() if not lane.ahead and not lane.told and not lane.is_holding]:
                del hot[key]

    def everyone(self) -> list[Lane]:
        """All of them."""
        return list(self._all.values())

    def backlog(self) -> dict[str, int]:
        """Entries at hand by class; more may wait in Redis."""
        if self._sieve is not None and (self._sieve.begins() or self._holding or self._sieve.pauses_any):
            return self._sieved_backlog(self._sieve)
        return {c: n for c, hot in self._hot.items() if (n := sum(lane.ahead for lane in hot.values()))}

    def _sieved_backlog(self, sieve: Sieve) -> dict[str, int]:
        """Without lanes that are paused; with those held back for whom there may be room now."""
        found: dict[str, int] = {}
        for klass, hot in self._hot.items():
            number = 0
            for lane in hot.values():
                lane.is_paused = sieve.is_paused(klass, lane_parts(lane.name)[1])
                if not lane.is_paused:
                    number += lane.ahead + (lane.may_leave(sieve) if lane in self._holding else 0)
            if number:
                found[klass] = number
        return found

    def take(self, klass: str, parts: int) -> list[Taken]:
        """The next `parts` of a class: every lane its even share, in turn from call to call."""
        hot, taken = self._hot[klass], list[Taken]()
        sieve = self._sieve
        if sieve is not None and (sieve.begins() or self._holding or sieve.pauses_any):
            return self._sift(hot, parts, sieve)
        while parts > 0 and (live := [lane for lane in hot.values() if lane.ahead]):
            even = max(parts // len(live), 1)
            for lane in live:
                if parts <= 0:
                    break
                for run in lane.take(min(even, parts)):
                    taken.append(run)
                    parts -= run.parts
                hot.move_to_end((lane.shard, lane.name))
        return taken

    def _sift(self, hot: OrderedDict[tuple[int, str], Lane], parts: int, sieve: Sieve) -> list[Taken]:
        """The same where something may have no room."""
        taken, moved = list[Taken](), True
        while parts > 0 and moved:
            live = [lane for lane in hot.values() if (lane.ahead or lane.is_holding) and not lane.is_paused]
            even, moved = max(parts // max(len(live), 1), 1), False
            for lane in live:
                if parts <= 0:
                    break
                before = lane.ahead
                for run in lane.sift(min(even, parts), sieve):
                    taken.append(run)
                    parts -= run.parts
                    moved = True
                moved |= lane.ahead < before
                (self._holding.add if lane.is_holding else self._holding.discard)(lane)
                hot.move_to_end((lane.shard, lane.name))
                if lane.told and lane.ahead < AHEAD // 2:
                    self._on_wake()
        return taken

    def late(self, batch: Sequence[Submission]) -> list[Submission]:
        """Which of these must not go now after all."""
        return self._sieve.late(batch) if self._sieve is not None else []

    def writing(self, batch: Sequence[Submission]) -> Writing:
        """These are about to be written: tell when they are."""
        return self._sieve.writing(batch) if self._sieve is not None else {}

    def wrote(self, written: Writing) -> None:
        """They are."""
        if self._sieve is not None and written:
            self._sieve.wrote(written)

    def rewind(self, shard: int, taken: Sequence[Taken]) -> None:
        """Entries moved: read again what was not taken, and of what was taken the runs that could not be marked."""
        for (s, name), lane in self._all.items():
            if s == shard:
                for reader in (lane.again, lane.outbox):
                    reader.rewind(reader.cursor)
                self._hot[lane.klass].setdefault((s, name), lane)
        for run in reversed(taken):  # the earliest run of a stream is its new start
            if self._sieve is not None and run.parked is None:
                for entry in run.entries:
                    self._sieve.refund(entry)
            if run.before:
                run.lane.rewind(run.reader, run.before)
            else:
                run.lane.put_back(run)
                self._holding.add(run.lane)

    async def look_again(self, shard: int) -> None:
        """Entries of a shard moved: forget who was held back and is not there any more."""
        for lane in list(self._holding):
            if lane.shard == shard:
                await lane.look_again()
