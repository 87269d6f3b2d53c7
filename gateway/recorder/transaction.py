"""One batch of pieces into PostgreSQL in one transaction, with the offset it moves.

A batch is prepared (folded, encoded) and then written, so that one can be prepared while another is written. One that
the store refuses is recorded alone: divided under savepoints until the offender stands alone; that goes raw to
quarantine. So the offset always covers whole entries, and one bad value never stops the ledger.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from gateway import logs, metrics
from gateway.callbacks.audience import NOBODY, Audience
from gateway.events import Batched, Came, Received, Submitted, Waiting, pack_facts
from gateway.ledger.fold import CarrierId, Fold
from gateway.recorder.counts import Counted, count, counted_of
from gateway.recorder.pieces import Piece, divide, refused
from gateway.recorder.recent import Recent
from gateway.store import ledger, lookups, offsets, quarantine
from gateway.store.days import Days
from gateway.store.dimensions import Dimensions
from gateway.store.ledger import Encoded
from gateway.store.offsets import Offsets
from gateway.store.pool import Pool, StoreAwayError
from gateway.store.quarantine import Refused

log = logs.stage("recorder")

_DATA_CLASSES = ("22", "23", "54")  # data exception, integrity violation, program limit (PostgreSQL, appendix A)


_ABOUT_NO_MESSAGE = frozenset({Came, Waiting, Batched})


class OffsetMovedError(Exception):
    """Another recorder has recorded since the offset was read: this one has to give up."""


def is_refusal(error: Exception) -> bool:
    """Whether the values are at fault, and not the server, the schema or the code."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in _DATA_CLASSES
    return isinstance(error, (asyncpg.DataError, ValueError, OverflowError, struct.error))


class NotAtOnceError(Exception):
    """A batch cannot be written at once as it was prepared: it is to be recorded alone."""


@dataclass
class Batch:
    """Pieces with what is to be written of them. `encoded` None: they have to be recorded alone."""

    pieces: Sequence[Piece]
    encoded: Encoded | None = None
    refused: Sequence[Refused] = ()
    counted: Counted = field(default_factory=list)

    @property
    def size(self) -> int:
        """Events in it."""
        return sum(piece.size for piece in self.pieces)


class Transactions:
    """Writes batches of one shard: `prepare` and `write` each, in turn, or `record`, which is both in one transaction.

    The next batch may be prepared while one is written; nothing else may overlap.
    """

    def __init__(
        self, pool: Pool, shard: int, recent: Recent, audience: Callable[[], Audience] = lambda: NOBODY
    ) -> None:
        self.pool, self.shard, self.recent, self.audience = pool, shard, recent, audience
        self.days = Days(pool)
        self.dimensions = Dimensions(pool)

    async def prepare(self, pieces: Sequence[Piece], now_ms: int) -> Batch:
        """Folded upon the batch ahead of it, whether that is committed already or not; if that fails, this one has to
        be thrown away."""
        try:
            key = await self.pool.recipient_key()
            fold = self.recent.fold(self.audience())
            missing = await self._accept(pieces, fold)
            if any(missing):
                async with self.pool.transaction() as connection:
                    await lookups.use_indexes(connection)
                    await _look_up(connection, fold, *missing, now_ms, lock=False)
            batch = await self._fold(pieces, fold, key, now_ms)
        except Exception as e:
            if not isinstance(e, (StoreAwayError, asyncpg.PostgresError)) and not is_refusal(e):
                raise
            return Batch(pieces)  # what is wrong shows again, and is dealt with, when it is recorded alone
        self.recent.keep(fold)
        return batch

    async def write(self, batch: Batch, read_from: Offsets) -> Offsets:
        """What was prepared; all or nothing. The new offsets. Raises OffsetMovedError, StoreAwayError, NotAtOnceError,
        ledger.ConflictError, or asyncpg's error for a server in trouble."""
        assert batch.encoded is not None
        try:
            async with self._transaction(read_from) as connection:
                await ledger.write(connection, batch.encoded)
                await self._keep(connection, batch.refused)
                moved = await self._advance(connection, batch.pieces)
        except Exception as e:
            if is_refusal(e):
                raise NotAtOnceError from e
            raise
        count(batch.counted)
        return moved

    async def record(self, pieces: Sequence[Piece], read_from: Offsets, now_ms: int) -> Offsets:
        """Alone, from what is in the store, dividing what the store refuses. Raises as `write` does, but for
        NotAtOnceError; after ledger.ConflictError it is to be recorded again."""
        self.recent.forget()
        self.days.forget()
        key = await self.pool.recipient_key()
        counted: Counted = []
        try:
            async with self._transaction(read_from) as connection:
                await self._write(connection, pieces, key, now_ms, counted)
                moved = await self._advance(connection, pieces)
        except BaseException:
            self.recent.forget()
            raise
        count(counted)
        while self.recent.uncommitted:
            self.recent.commit(now_ms)
        return moved

    @asynccontextmanager
    async def _transaction(self, read_from: Offsets) -> AsyncIterator[asyncpg.Connection]:
        async with self.pool.transaction() as connection:
            await lookups.use_indexes(connection)
            await ledger.prepare(connection)
            if await offsets.load(connection, self.shard, lock=True) != read_from:
                raise OffsetMovedError
            yield connection

    async def _advance(self, connection: asyncpg.Connection, pieces: Sequence[Piece]) -> Offsets:
        last: Offsets = {}
        for piece in pieces:
            last.pop(piece.run, None)  # the newest run is written last
            last[piece.run] = piece.at
        await offsets.advance(connection, self.shard, last)
        return await offsets.load(connection, self.shard)

    async def _write(
        self, connection: asyncpg.Connection, pieces: Sequence[Piece], key: bytes, now_ms: int, counted: Counted
    ) -> None:
        try:
            async with connection.transaction():
                fold = self.recent.fold(self.audience())
                await _look_up(connection, fold, *await self._accept(pieces, fold), now_ms, lock=True)
                batch = await self._fold(pieces, fold, key, now_ms)
                assert batch.encoded is not None
                await ledger.write(connection, batch.encoded)
                await self._keep(connection, batch.refused)
            self.recent.keep(fold)
            counted += batch.counted
            return
        except Exception as e:
            if not is_refusal(e):
                raise
            error = e
        self.recent.forget()  # the fold that failed has changed its rows
        halves = divide(pieces)
        if halves is None:
            await self._keep(connection, refused(pieces[0], error))
            return
        for half in halves:
            await self._write(connection, half, key, now_ms, counted)

    async def _fold(self, pieces: Sequence[Piece], fold: Fold, key: bytes, now_ms: int) -> Batch:
        for piece in pieces:
            fold.apply(piece.facts, piece.at_ms)
            await asyncio.sleep(0)  # others want to go on: a batch being written, an installation of one process
        changes = fold.finish()
        counted = counted_of(fold)
        encoded = await ledger.encode(changes, key, now_ms)
        await self.days.ensure(encoded.days)
        await self.dimensions.ensure(changes)
        strays = [
            Refused("", type(s.fact).__name__.lower(), s.message_id, "the message is not known", pack_facts([s.fact]))
            for s in changes.strays
        ]
        return Batch(pieces, encoded, [one for piece in pieces for one in piece.broken] + strays, counted)

    async def _accept(self, pieces: Sequence[Piece], fold: Fold) -> tuple[set[bytes], set[CarrierId]]:
        """Take in what is new; return what the facts name and neither these pieces nor the batches before them have."""
        for piece in pieces:
            fold.accept(piece.accepted)
            await asyncio.sleep(0)
        ids: set[bytes] = set()
        keys: set[CarrierId] = set()
        rows, known = fold.rows, fold.known
        for piece in pieces:
            for fact in piece.facts:
                kind = type(fact)
                if kind is Submitted:
                    if fact.id not in rows:  # type: ignore[union-attr]
                        ids.add(fact.id)  # type: ignore[union-attr]
                elif kind is Received:
                    key = (fact.carrier, fact.receipt.carrier_message_id)  # type: ignore[union-attr]
                    if (found := known.get(key)) is None:
                        keys.add(key)
                    elif found[0] not in rows:
                        ids.add(found[0])
                elif kind not in _ABOUT_NO_MESSAGE and fact.id not in rows:  # type: ignore[union-attr]
                    ids.add(fact.id)  # type: ignore[union-attr]
        if keys:
            keys.difference_update(
                (fact.carrier, fact.carrier_message_id)
                for piece in pieces
                for fact in piece.facts
                if type(fact) is Submitted
            )
        return ids, {key for key in keys if key[1]}

    async def _keep(self, connection: asyncpg.Connection, values: Sequence[Refused]) -> None:
        if values:
            await quarantine.keep(connection, self.shard, values)
            metrics.quarantined.inc(len(values))
            log.error("quarantined", shard=self.shard, values=len(values), what=values[0].what)


async def _look_up(
    connection: asyncpg.Connection, fold: Fold, ids: set[bytes], keys: set[CarrierId], now_ms: int, lock: bool
) -> None:
    """Bring in what is missing, as it is in the store."""
    if keys:
        found = await lookups.submissions(connection, keys, now_ms, lookups.NEAR_DAYS)
        fold.known.update(found)
        ids = ids | {match[0] for match in found.values() if match[0] not in fold.rows}
    if ids:
        fold.rows.update(await lookups.rows(connection, ids, lock=lock))
