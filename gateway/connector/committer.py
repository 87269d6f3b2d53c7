"""The connector's only writer of a shard: outcomes, what they move, and receipts, in order, each exactly once.

In: facts and operations. Out: `settle` scripts, one in flight, the rest gathering behind it. A lost reply is made up
for by sending the same numbered script again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence

import msgspec

from gateway.connector.flight import Flight, Mark, Verdict
from gateway.events import AnyFact, pack_facts
from gateway.streams.link import Arg, Link, RedisAwayError

log = logging.getLogger("connector")

_BATCH = 500
_WORTH = 100  # so much is written at once
_STOPPED = "the connector stopped before this was written down"


class _Report(msgspec.Struct, gc=False):
    """Facts that move nothing; `durable` is told when they are written."""

    facts: Sequence[AnyFact]
    durable: asyncio.Future[None] | None = None


class Committer:
    """Life: `put`, `note` and `report` any number of times, then `close()`, which waits for what is gathered.

    All go into one queue: a receipt never overtakes the answer that tells its carrier message id, nor waits for others.
    """

    def __init__(
        self,
        link: Link,
        carrier: str,
        on_fenced: Callable[[], None],
        on_again: Callable[[str], None],
        on_settled: Callable[[], None],
    ) -> None:
        self.link, self.carrier, self.token = link, carrier, 0
        self._on_fenced, self._on_again, self._on_settled = on_fenced, on_again, on_settled
        self._writer = "w" + os.urandom(6).hex()
        self._number = 0
        self._began = 0.0
        self.linger_s = 0.0
        """The least time between two scripts, unless much has gathered."""
        self._queue: deque[tuple[Flight, Verdict] | _Report] = deque()
        self._batch: Sequence[tuple[Flight, Verdict] | _Report] = ()  # being written, or just written
        self._wake = asyncio.Event()
        self._closing = False
        self.waiting = 0
        """Entries whose outcome is known but not yet written down."""
        self.task = asyncio.create_task(self._run(), name=f"settle {carrier} {link.prefix}")
        """Ends only by `close()`, or with the error that broke it."""

    def put(self, flight: Flight, verdict: Verdict) -> None:
        """Settle one entry."""
        self._queue.append((flight, verdict))
        self.waiting += 1
        self._wake.set()

    def open_flights(self) -> Iterator[Flight]:
        """Those that are settled here and perhaps not yet in Redis."""
        return (item[0] for item in (*self._batch, *self._queue) if not isinstance(item, _Report))

    def note(self, facts: Sequence[AnyFact]) -> None:
        """Write facts that move nothing."""
        self._queue.append(_Report(facts))
        self._wake.set()

    async def report(self, facts: Sequence[AnyFact]) -> None:
        """Write facts down and return when they are durable. Raises RedisAwayError when they never will be."""
        if self.task.done():
            raise RedisAwayError(_STOPPED)
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(_Report(facts, durable))
        self._wake.set()
        await durable

    async def close(self, timeout_s: float) -> None:
        """Write what is gathered, for at most `timeout_s`. What broke the task is not raised again."""
        self._closing = True
        self._wake.set()
        await asyncio.wait((self.task,), timeout=timeout_s)
        self.task.cancel()
        await asyncio.wait((self.task,))
        await self.link.close()

    async def _run(self) -> None:
        try:
            while not (self._closing and not self._queue):
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._gather()
                self._batch = self._next()
                await self._write(self._batch)
        finally:
            for item in [*self._batch, *self._queue]:
                if isinstance(item, _Report) and item.durable is not None and not item.durable.done():
                    item.durable.set_exception(RedisAwayError(_STOPPED))
                    item.durable.exception()  # a request that went away need not hear of it

    async def _gather(self) -> None:
        """Let a little come together where nobody waits for the room."""
        loop = asyncio.get_running_loop()
        wait = self._began + self.linger_s - loop.time()
        if wait > 0 and len(self._queue) < _WORTH and not self._closing:
            await asyncio.sleep(wait)
        self._began = loop.time()

    def _next(self) -> list[tuple[Flight, Verdict] | _Report]:
        batch: list[tuple[Flight, Verdict] | _Report] = []
        verdicts = facts = 0
        while self._queue and verdicts < _BATCH and facts < _BATCH * 2:
            item = self._queue.popleft()
            batch.append(item)
            if isinstance(item, _Report):
                facts += len(item.facts)
            else:
                verdicts, facts = verdicts + 1, facts + len(item[1].facts)
        return batch

    async def _write(self, batch: Sequence[tuple[Flight, Verdict] | _Report]) -> None:
        verdicts = [item for item in batch if not isinstance(item, _Report)]
        facts: list[AnyFact] = []
        for item in batch:
            facts += item.facts if isinstance(item, _Report) else item[1].facts
        self._number += 1
        reply = await self._settle(pack_facts(facts) if facts else b"", operations(verdicts))
        self.waiting -= len(verdicts)
        for item in batch:
            if isinstance(item, _Report) and item.durable is not None and not item.durable.done():
                item.durable.set_result(None)
        if reply == b"late":
            self._on_fenced()
        for where in {verdict.where for _, verdict in verdicts if verdict.op == "a"}:
            self._on_again(where)
        if verdicts:
            self._on_settled()

    async def _settle(self, blob: bytes, ops: list[Arg]) -> bytes:
        while True:
            try:
                head: tuple[Arg, ...] = (self.link.run_id, self.carrier, self.token, self._writer, self._number, blob)
                reply = await self.link.script("settle", (), (*head, *ops))
            except RedisAwayError:
                await self.link.up()
                continue
            assert isinstance(reply, bytes)
            return reply


def operations(verdicts: Sequence[tuple[Flight, Verdict]]) -> list[Arg]:
    """The arguments of `settle` after its head, as described above the script. Closes marks as they empty."""
    ops: list[Arg] = []
    gone: dict[Mark, list[bytes]] = defaultdict(list)
    for flight, verdict in verdicts:
        gone[flight.mark].append(flight.entry.entry_id)
        if verdict.op:
            ops += (verdict.op, verdict.where, flight.entry.value, verdict.journey)
        flight.mark.open -= 1
        if flight.mark.open == 0 and flight.mark.first:
            ops += ("u", flight.mark.field)
    for mark, ids in gone.items():
        front = mark.advance(ids)
        if len(front) > 1 and mark.leads:  # the front of the stream goes as a whole, which costs next to nothing
            ops += ("t", mark.stream, mark.first, front[-1])
            covered = frozenset(front)
            ids = [i for i in ids if i not in covered]
        if ids:
            ops += ("d", mark.stream, len(ids), *ids)
    return ops
