"""What waits for one carrier, by class and lane, over all shards.

In: wake-ups and what scripts told. Out: the next entries of a class, lanes in turn, `again` before outbox. Never sends.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from gateway.message import CLASSES
from gateway.streams.keys import lane_parts
from gateway.streams.link import Link
from gateway.streams.reader import Queued, Reader

AHEAD = 500
"""Entries read ahead in a lane at the most."""


class Taken(msgspec.Struct, gc=False):
    """Consecutive entries of one stream, taken to be marked."""

    lane: Lane
    reader: Reader
    before: bytes  # where the cursor stood
    entries: list[Queued]
    parts: int


class Lane:
    """One client's share of a class at one carrier on one shard: its `again` and its outbox."""

    def __init__(self, shard: int, link: Link, carrier: str, name: str) -> None:
        self.shard, self.name = shard, name
        self.klass = lane_parts(name)[0]
        self.again = Reader(link, f"again:{carrier}:{name}")
        self.outbox = Reader(link, f"outbox:{carrier}:{name}")

    @property
    def ahead(self) -> int:
        """Entries at hand."""
        return len(self.again.ahead) + len(self.outbox.ahead)

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


class Lanes:
    """All lanes of one carrier. Lanes with nothing in them cost nothing until they are told of."""

    def __init__(self, carrier: str, links: list[Link], on_wake: Callable[[], None]) -> None:
        self.carrier, self._links, self._on_wake = carrier, links, on_wake
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
            for key in [key for key, lane in hot.items() if not lane.ahead and not lane.told]:
                del hot[key]

    def backlog(self) -> dict[str, int]:
        """Entries at hand by class; more may wait in Redis."""
        return {c: n for c, hot in self._hot.items() if (n := sum(lane.ahead for lane in hot.values()))}

    def take(self, klass: str, parts: int) -> list[Taken]:
        """The next `parts` of a class: every lane its even share, in turn from call to call."""
        hot, taken = self._hot[klass], []
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

    def rewind(self, shard: int, taken: Sequence[Taken]) -> None:
        """Entries moved: read again what was not taken, and of what was taken the runs that could not be marked."""
        for (s, name), lane in self._all.items():
            if s == shard:
                for reader in (lane.again, lane.outbox):
                    reader.rewind(reader.cursor)
                self._hot[lane.klass].setdefault((s, name), lane)
        for run in reversed(taken):  # the earliest run of a stream is its new start
            run.reader.rewind(run.before)
