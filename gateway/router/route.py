"""The routing loop of one shard: intake streams in, outboxes out, in batches, classes and lanes in turn.

While a batch's `route` script is under way the next batch of the lane is already being read behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from gateway import metrics
from gateway.events import AnyFact, Ended, pack_facts
from gateway.message import CLASSES
from gateway.plan.choice import Compiled
from gateway.router.decide import decide
from gateway.streams.facts import next_id
from gateway.streams.keys import lane_parts
from gateway.streams.link import Arg, Link
from gateway.streams.reader import START, Queued, epoch, read

log = logging.getLogger("router")

BULK = frozenset({"transactional", "marketing"})
BATCH, BULK_BESIDE_URGENT = 500, 100
"""Entries in one script. Bulk goes in small ones while urgent messages are about: none waits long behind one."""

URGENT_S = 1.0
"""How long after the last urgent message bulk still goes in small scripts."""

LINGER_S = 0.004
"""A lane of bulk that was just routed gathers this long before its next script: scripts should be worth their cost."""

DISCOVER_S = 1.0
"""Every lane is looked into this often, whatever was told."""


class FencedError(Exception):
    """Another router owns the shard."""


class Intake:
    """Routes what waits in one shard's intake. `run` ends with FencedError or RedisAwayError."""

    def __init__(
        self, link: Link, token: int, plan: Callable[[], Compiled | None], live: Callable[[str], bool]
    ) -> None:
        self.link, self.token, self._plan, self._live = link, token, plan, live
        self._hot: dict[str, OrderedDict[str, list[Queued] | None]] = {c: OrderedDict() for c in CLASSES}
        self._told = asyncio.Event()
        self._dirty: set[str] = set()
        self._urgent_at = -URGENT_S  # when something urgent was last told of
        self._due: dict[str, float] = {}  # bulk lanes that gather
        self._blind = True
        self._epoch = b""

    def tell(self, name: str) -> None:
        """A lane got something; an empty name: any may have."""
        if not name:
            self._blind = True
        elif (hot := self._hot.get(lane_parts(name)[0])) is not None:
            hot.setdefault(name, None)
            self._dirty.add(name)
            if lane_parts(name)[0] not in BULK:
                self._urgent_at = asyncio.get_running_loop().time()
        self._told.set()

    async def run(self) -> None:
        """Route until fenced off."""
        self._epoch = await epoch(self.link)
        loop = asyncio.get_running_loop()
        look_at = 0.0
        while True:
            self._told.clear()
            if self._blind or loop.time() >= look_at:
                self._blind = False
                await self.discover()
                look_at = loop.time() + DISCOVER_S
            busy = False
            if self._plan() is not None:
                for klass in CLASSES:  # one batch of each class a turn, the most urgent first
                    busy |= await self._one(klass)
            if busy:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min([look_at, *self._due.values()])):
                    await self._told.wait()

    async def discover(self) -> None:
        """Look into every lane there is; those that hold something are told of."""
        prefix = self.link.prefix.encode() + b"intake:"
        names = await self.link.call(b"SMEMBERS", self.link.prefix + "lanes")
        lengths = await asyncio.gather(*(self.link.call(b"XLEN", prefix + name) for name in names))
        for name, length in zip(names, lengths, strict=True):
            if length:
                self.tell(name.decode())

    async def _one(self, klass: str) -> bool:
        hot = self._hot[klass]
        if not hot:
            return False
        name, entries = next(iter(hot.items()))  # the one that had its last turn first
        now = asyncio.get_running_loop().time()
        if self._due.get(name, 0.0) > now:
            return False
        self._due.pop(name, None)
        hot.move_to_end(name)
        size = BULK_BESIDE_URGENT if klass in BULK and now - self._urgent_at < URGENT_S else BATCH
        if not entries:
            self._dirty.discard(name)
            entries = await read(self.link, f"intake:{name}", START, size)
            if not entries:
                if name not in self._dirty:
                    del hot[name]
                return bool(hot)
        if klass in BULK and len(entries) < size:
            self._due[name] = now + LINGER_S
        hot[name] = await self._route(name, entries, size)
        return True

    async def _route(self, name: str, entries: list[Queued], size: int) -> list[Queued] | None:
        plan = self._plan()
        assert plan is not None
        now, link = self.link.clock_ms(), self.link
        facts: list[AnyFact] = []
        moves: list[Arg] = []
        for entry in entries:
            move = decide(entry, plan, self._live, now)
            if move.fact is not None:
                facts.append(move.fact)
            if move.op:
                moves += (move.op, move.where, entry.value, move.journey)
        last = entries[-1].entry_id
        head: list[Arg] = [link.run_id, self.token, self._epoch, name, entries[0].entry_id, next_id(last)]
        blob = pack_facts(facts) if facts else b""
        routing = link.start_script("route", (), [*head, blob, *moves])
        reading = asyncio.ensure_future(read(link, f"intake:{name}", last, size))
        try:
            reply = await routing
        except BaseException:
            reading.cancel()
            raise
        ahead = await reading
        if reply == b"ok":
            count(name, moves, facts)
            return ahead or None
        if reply == b"fenced":
            raise FencedError
        if reply == b"closed":
            await asyncio.sleep(0.1)
        self._epoch = await epoch(link)
        for hot in self._hot.values():  # what was read before that may hold what is there no more
            for lane in hot:
                hot[lane] = None
        return None


def count(name: str, moves: Sequence[Arg], facts: Sequence[AnyFact]) -> None:
    """Into the metrics: where a batch of one lane went."""
    klass = lane_parts(name)[0]
    carriers = Counter(str(moves[i + 1]).partition(":")[0] for i in range(0, len(moves), 4) if moves[i] == "o")
    for carrier, number in carriers.items():
        metrics.routed.labels(carrier, klass).inc(number)
    for fact in facts:
        if isinstance(fact, Ended):
            metrics.ended.labels(fact.state, fact.reason).inc()
