"""The recorder of one shard: leases it, gathers facts into batches, records them, trims the stream.

In: `{s}:events`. Out: PostgreSQL. Never: a fact lost or recorded twice, whoever dies; nothing is trimmed before the
transaction that holds it and its offset is committed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from gateway import logs, metrics
from gateway.callbacks.audience import NOBODY, Audience
from gateway.config import Settings
from gateway.recorder.admission import admit
from gateway.recorder.pieces import Piece, decode
from gateway.recorder.recent import Recent
from gateway.recorder.transaction import Batch, NotAtOnceError, OffsetMovedError, Transactions
from gateway.store import offsets
from gateway.store.ledger import ConflictError
from gateway.store.offsets import ZERO, Offsets, StreamId, stream_id_text
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams import facts
from gateway.streams.lease import Lease
from gateway.streams.link import Link, Redis, RedisAwayError

log = logs.stage("recorder")

BATCH_EVENTS, BESIDE_URGENT = 40_000, 10_000
"""Events of one transaction. A large one makes PostgreSQL write much at once, and Redis' own sync waits behind it on
the same disk: while urgent messages are about, transactions are smaller."""

URGENT_S = 1.0
"""How long after the last urgent message they stay so."""

BATCH_S = 0.5
IDLE_S = 0.02
"""How often an empty stream is looked at, and how long a batch gathers while there is little to do."""

_READ_EVENTS = 2_000
_LARGEST_ENTRY = 500
_QUIET_EVENTS = 200
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


async def run_recorder(
    settings: Settings,
    redis: Redis,
    pool: Pool,
    shard: int,
    owner: str = "",
    audience: Callable[[], Audience] = lambda: NOBODY,
) -> None:
    """Until cancelled. Recorders of several processes take turns by a lease, in which `owner` names this one.
    `audience`: who is to be told of messages, as this process knows it now."""
    owner = owner or f"{socket.gethostname()}:{os.getpid()}"
    link = redis.new_link(shard)
    try:
        await link.up()
        while True:
            lease = Lease(link, "lease:recorder", owner, settings.lease_s)
            token = await lease.acquire()
            try:
                await lease.while_held(Recorder(link, pool, shard, token, audience).run(), "recorder")
            finally:
                await lease.release()
    finally:
        await link.close()


class _Ahead:
    """The batch that is being written while the next one is prepared."""

    task: asyncio.Task[bool]

    def __init__(self, batch: Batch, through: StreamId) -> None:
        self.batch, self.through = batch, through
        self.committed = False


class Recorder:
    """One turn of one lease."""

    def __init__(
        self, link: Link, pool: Pool, shard: int, token: int, audience: Callable[[], Audience] = lambda: NOBODY
    ) -> None:
        self.link, self.pool, self.shard, self.token = link, pool, shard, token
        self.transactions = Transactions(pool, shard, Recent(), audience)
        self.known: Offsets = {}
        self.run_id = b""
        self.cursor: StreamId = ZERO
        self._per_entry = float(_LARGEST_ENTRY)  # of a backlog, no more than meant is read at first
        self._window_s = IDLE_S
        self._urgent_until = 0.0  # loop time
        self._oldest_ms = 0  # of what is read and not yet recorded; 0: nothing is
        self._ahead: _Ahead | None = None

    async def run(self) -> None:
        """Until another recorder has taken over."""
        metrics.recorder_lag.labels(str(self.shard)).set_function(self._lag_s)
        try:
            await self._turns()
        finally:
            if self._ahead is not None:
                self._ahead.task.cancel()
                await asyncio.gather(self._ahead.task, return_exceptions=True)
            metrics.recorder_lag.remove(str(self.shard))  # another shows it from now on

    def _lag_s(self) -> float:
        """Asked for by /metrics, so that it grows while PostgreSQL is away."""
        return max(0, self.link.clock_ms() - self._oldest_ms) / 1000 if self._oldest_ms else 0.0

    async def _turns(self) -> None:
        while True:
            try:
                if self.link.run_id != self.run_id:
                    if not await self._settle():
                        return
                    await self._begin()
                if not await self._turn():
                    return
            except RedisAwayError:
                await self.link.up()
                self.run_id = b""  # begin anew: what was read ahead is read again
            except OffsetMovedError:
                log.warning("recorder_gave_up", shard=self.shard)
                return

    async def _begin(self) -> None:
        run_id = self.link.run_id
        if oldest := await facts.read(self.link, self.shard, b"0-0", 1):
            self._oldest_ms = oldest[0].at_ms  # PostgreSQL may be away already now
        self.known = await self._patiently(lambda: admit(self.pool, self.link, self.shard))
        self.transactions.recent.forget()
        self.run_id, self.cursor = run_id, ZERO

    async def _turn(self) -> bool:
        """Prepare a batch while the one ahead of it is being written. False: the lease is another's."""
        pieces = await self._gather()
        if not pieces:
            return await self._idle()
        if self._ahead is None:
            self._oldest_ms = pieces[0].at_ms
        fresh = [p for p in pieces if p.at > self.known.get(p.run, ZERO)]
        batch = await self.transactions.prepare(fresh, self.link.clock_ms())
        if not await self._settle():
            return False
        through = pieces[-1].at
        if self.cursor != through or self.link.run_id != self.run_id:
            return True  # what it was prepared upon did not come to be: it is read again
        self._oldest_ms = pieces[0].at_ms
        if batch.encoded is None:  # then nothing is prepared meanwhile
            self.known = await self._patiently(lambda: self._record(fresh))
            return await self._trim(through)
        self._ahead = _Ahead(batch, through)
        self._ahead.task = asyncio.create_task(self._write(self._ahead), name=f"recorder of shard {self.shard} writes")
        return True

    async def _idle(self) -> bool:
        if self._ahead is None:
            self._oldest_ms = 0
            await asyncio.sleep(IDLE_S)
            return True
        await asyncio.wait([self._ahead.task], timeout=IDLE_S)
        return not self._ahead.task.done() or await self._settle()

    async def _write(self, ahead: _Ahead) -> bool:
        began = time.monotonic()
        if ahead.batch.pieces:
            await self.transactions.days.ensure_ahead(self.link.clock_ms())
            self.known = await self.transactions.write(ahead.batch, self.known)
            self._observe(ahead.batch.pieces, began)
        ahead.committed = True
        try:
            return await self._trim(ahead.through)
        except RedisAwayError:
            self.run_id = b""  # all of it is read again, and trimmed
            return True

    async def _settle(self) -> bool:
        """The batch ahead is in PostgreSQL when this returns. False: the lease is another's.

        If it could not be written as it was prepared, it is recorded alone, and what was read behind it is forgotten.
        """
        if (ahead := self._ahead) is None:
            return True
        await asyncio.wait([ahead.task])
        self._ahead = None
        if ahead.committed:
            self.transactions.recent.commit(self.link.clock_ms())
            return ahead.task.result()
        self.transactions.recent.forget()
        self.cursor = ahead.through
        failures = [ahead.task.exception()]

        async def again() -> Offsets:
            if failures and (failure := failures.pop()) is not None:
                raise failure
            return await self._record(ahead.batch.pieces)

        self.known = await self._patiently(again)
        return await self._trim(ahead.through)

    async def _trim(self, through: StreamId) -> bool:
        if self.link.run_id != self.run_id:
            return True
        return await facts.trim(self.link, self.shard, stream_id_text(through).encode(), self.token)

    async def _gather(self) -> list[Piece]:
        """What came since the last batch: 40,000 events, or what half a second brings; less while there is little, or
        while urgent messages are about."""
        loop = asyncio.get_running_loop()
        pieces: list[Piece] = []
        events, after, until = 0, self.cursor, 0.0
        while events < (most := BESIDE_URGENT if loop.time() < self._urgent_until else BATCH_EVENTS):
            count = max(1, int(min(_READ_EVENTS, most - events) / self._per_entry))
            entries = await facts.read(self.link, self.shard, stream_id_text(after).encode(), count)
            if entries:
                read = [decode(entry) for entry in entries]
                pieces += read
                if any(piece.urgent for piece in read):
                    self._urgent_until = loop.time() + URGENT_S
                after, size = read[-1].at, sum(piece.size for piece in read)
                events += size
                self._per_entry = max(1.0, (self._per_entry + size / len(entries)) / 2)
                until = until or loop.time() + self._window_s
            if len(entries) < count:
                left = until - loop.time()
                if left <= 0:
                    break
                await asyncio.sleep(min(left, IDLE_S))
        self._window_s = BATCH_S if events >= _QUIET_EVENTS else IDLE_S
        if self.link.run_id != self.run_id:
            return []
        self.cursor = after
        return pieces

    async def _record(self, pieces: Sequence[Piece]) -> Offsets:
        fresh = [p for p in pieces if p.at > self.known.get(p.run, ZERO)]
        if not fresh:
            return self.known
        began = time.monotonic()
        await self.transactions.days.ensure_ahead(self.link.clock_ms())
        known = await self.transactions.record(fresh, self.known, self.link.clock_ms())
        self._observe(fresh, began)
        return known

    def _observe(self, pieces: Sequence[Piece], began: float) -> None:
        metrics.recorder_transactions.observe(time.monotonic() - began)
        metrics.recorder_batch.observe(sum(piece.size for piece in pieces))
        now_ms = self.link.clock_ms()
        for piece in pieces:
            metrics.recorder_delay.observe(max(0, now_ms - piece.at_ms) / 1000, piece.size)

    async def _patiently(self, work: Callable[[], Awaitable[Offsets]]) -> Offsets:
        """Repeat until PostgreSQL takes it; meanwhile facts wait in Redis."""
        told = ""
        for pause in itertools.chain(_RETRY_S, itertools.repeat(_RETRY_S[-1])):
            try:
                if told:
                    async with self.pool.connection() as connection:
                        self.known = await offsets.load(connection, self.shard)
                known = await work()
            except NotAtOnceError as e:
                log.info("recorder_redoes", shard=self.shard, why=type(e.__cause__).__name__)
                continue
            except (ConflictError, asyncpg.DeadlockDetectedError) as e:
                metrics.recorder_retries.labels("conflict").inc()
                log.info("recorder_redoes", shard=self.shard, why=type(e).__name__)
                continue
            except (StoreAwayError, asyncpg.PostgresError) as e:
                metrics.recorder_retries.labels("postgres").inc()
                if told != type(e).__name__:
                    told = type(e).__name__
                    log.warning("recorder_waits_for_postgres", shard=self.shard, why=told)
                await asyncio.sleep(pause)
                continue
            if told:
                log.info("recorder_goes_on", shard=self.shard)
            return known
        raise AssertionError("endless")
