"""The routing loop of one shard: intake streams in, outboxes out, in batches, classes and lanes in turn.

While a batch's `route` script is under way the next batch of the lane is already being read behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable

from gateway.message import CLASSES
from gateway.plan.choice import Compiled
from gateway.plan.surroundings import Surroundings
from gateway.router.batch import judged
from gateway.router.lookup import Lookups
from gateway.streams import packs
from gateway.streams.facts import next_id
from gateway.streams.keys import lane_parts
from gateway.streams.link import Arg, Link
from gateway.streams.packs import Entry
from gateway.streams.pauses import Pauses, remember
from gateway.streams.reader import START, epoch

log = logging.getLogger("router")

BULK = frozenset({"transactional", "marketing"})
BATCH, BULK_BESIDE_URGENT = 500, 100
"""Messages in one script. Bulk goes in small ones while urgent messages are about: none waits long behind one."""

_ENTRIES = 50  # read at once at the most: each may be a pack

URGENT_S = 1.0
"""How long after the last urgent message bulk still goes in small scripts."""

LINGER_S, LINGER_BESIDE_URGENT_S = 0.004, 0.008
"""A lane of bulk that was just routed gathers this long before its next script: scripts should be worth their cost. And
while urgent messages are about, it leaves them this much of the process' time."""

DISCOVER_S = 1.0
"""Every lane is looked into this often, whatever was told."""


class FencedError(Exception):
    """Another router owns the shard."""


class Intake:
    """Routes what waits in one shard's intake. `run` ends with FencedError or RedisAwayError."""

    def __init__(
        self,
        link: Link,
        token: int,
        plan: Callable[[], Compiled | None],
        around: Callable[[int], Surroundings],
        pauses: Pauses | None = None,
        lookups: Lookups | None = None,
    ) -> None:
        """`around`: the surroundings at a time; `pauses`: lanes that are passed by; `lookups`: who is asked first."""
        self.link, self.token, self._plan, self._around = link, token, plan, around
        self._pauses, self._lookups = pauses, lookups
        self._hot: dict[str, OrderedDict[str, list[Entry] | None]] = {c: OrderedDict() for c in CLASSES}
        self._told = asyncio.Event()
        self._dirty: set[str] = set()
        self._urgent_at = -URGENT_S  # when something urgent was last told of
        self._due: dict[str, float] = {}  # bulk lanes that gather
        self._blind = True
        self._epoch = b""
        self._struck: dict[str, set[bytes]] = {}  # by lane, as of the epoch
        self._largest: dict[str, int] = {}  # pack of a lane's last batch

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
        now = asyncio.get_running_loop().time()
        ready = (n for n in hot if self._due.get(n, 0.0) <= now and not self._is_paused(n))
        name = next(ready, "")  # the one that had its last turn first
        if not name:
            return False
        entries = hot[name]
        self._due.pop(name, None)
        hot.move_to_end(name)
        size = BULK_BESIDE_URGENT if klass in BULK and now - self._urgent_at < URGENT_S else BATCH
        if not entries:
            self._dirty.discard(name)
            entries = await self._read(name, START, self._count(name, size))
            if not entries:
                if name not in self._dirty:
                    del hot[name]
                return bool(hot)
        batch, ahead, held = first(entries, size)
        if self._lookups is not None and (until := self._lookups.wait(klass, batch, lambda: self._go_on(name))):
            hot[name], self._due[name] = entries, until
            return True
        if klass in BULK and not ahead and held < size and len(batch) < self._count(name, size):
            self._due[name] = now + LINGER_S
        hot[name] = await self._route(name, batch, ahead, size)
        if klass in BULK and size < BATCH:
            self._due[name] = asyncio.get_running_loop().time() + LINGER_BESIDE_URGENT_S
        return True

    def _go_on(self, name: str) -> None:
        """What the lane waited for aside is there."""
        self._due.pop(name, None)
        self._told.set()

    def _is_paused(self, name: str) -> bool:
        if self._pauses is None or not self._pauses.holds(*lane_parts(name)):
            return False
        self._due.pop(name, None)
        return True

    async def _read(self, name: str, after: bytes, count: int) -> list[Entry]:
        """Entries of a lane, after what is struck out of it is known: that changes only with the epoch."""
        if name not in self._struck:
            self._struck[name] = await packs.struck_out(self.link, name)
        return await packs.read(self.link, name, after, count)

    def _count(self, name: str, size: int) -> int:
        """How many entries of a lane to read for so many messages, when they are like those of its last batch."""
        return min(max(size // self._largest.get(name, packs.MOST), 1), _ENTRIES)

    async def _route(self, name: str, entries: list[Entry], ahead: list[Entry], size: int) -> list[Entry] | None:
        plan = self._plan()
        assert plan is not None
        link = self.link
        batch = judged(entries, self._struck[name], plan, self._around(link.clock_ms()))
        head: list[Arg] = [link.run_id, self.token, self._epoch, name]
        head += (entries[0].entry_id, next_id(entries[-1].entry_id))
        if batch.paused:
            remember(link, batch.paused)
        routing = link.start_script("route", (), [*head, *batch.arguments()])
        reading: asyncio.Future[list[Entry]] | None = None
        self._largest[name] = max(max(len(entry.messages) for entry in entries), 1)
        if not ahead:
            more = packs.read(link, name, entries[-1].entry_id, self._count(name, size))
            reading = asyncio.ensure_future(more)
        try:
            reply = await routing
        except BaseException:
            if reading is not None:
                reading.cancel()
            raise
        if reading is not None:
            ahead = await reading
        if reply == b"ok":
            batch.count(lane_parts(name)[0])
            self._struck[name] -= batch.struck
            for entry_id in batch.unreadable:
                log.error("damaged_pack", extra={"lane": name, "entry": entry_id.decode()})
            return ahead or None
        if reply == b"fenced":
            raise FencedError
        if reply == b"closed":
            await asyncio.sleep(0.1)
        self._epoch = await epoch(link)
        self._struck.clear()
        for hot in self._hot.values():  # what was read before that may hold what is there no more
            for lane in hot:
                hot[lane] = None
        return None


def first(entries: list[Entry], size: int) -> tuple[list[Entry], list[Entry], int]:
    """The first entries with at most `size` messages together, but one at least; the others; how many messages."""
    held = 0
    for n, entry in enumerate(entries):
        if n and held + len(entry.messages) > size:
            return entries[:n], entries[n:], held
        held += len(entry.messages)
    return entries, [], held
