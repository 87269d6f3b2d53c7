"""One batch of pieces into PostgreSQL in one transaction, with the offset it moves.

A batch that the store refuses is divided under savepoints until the offender stands alone; that goes raw to quarantine.
So the offset always covers whole entries, and one bad value never stops the ledger.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Callable, Sequence

import asyncpg

from gateway import logs, metrics
from gateway.callbacks.audience import NOBODY, Audience
from gateway.events import Batched, Came, Received, Submitted, Waiting, pack_facts
from gateway.ledger.fold import CarrierId, Fold
from gateway.recorder.pieces import Piece, divide, refused
from gateway.recorder.recent import Recent
from gateway.store import ledger, lookups, offsets, quarantine
from gateway.store.days import Days
from gateway.store.offsets import Offsets
from gateway.store.pool import Pool
from gateway.store.quarantine import Refused

log = logs.stage("recorder")

_DATA_CLASSES = ("22", "23", "54")  # data exception, integrity violation, program limit (PostgreSQL, appendix A)


_ABOUT_NO_MESSAGE = frozenset({Came, Waiting, Batched})


class OffsetMovedError(Exception):
    """Another recorder has recorded since the offset was read: this one has to give up."""


def _count(fold: Fold) -> None:
    changes = fold.changes
    fresh = sum(not row.rev for row in changes.rows)
    for table, number in (
        ("messages", fresh),
        ("messages_updated", len(changes.rows) - fresh),
        ("submissions", len(changes.submissions) + len(changes.repeated)),
        ("receipts", len(changes.receipts)),
        ("receipts_waiting", len(changes.unmatched)),
        ("callbacks", len(changes.callbacks)),
    ):
        if number:
            metrics.recorder_rows.labels(table).inc(number)
    if changes.receipts:
        metrics.receipts_matched.labels("id").inc(len(changes.receipts))
        _observe_receipts(fold)
    for state, number in Counter(changes.finals).items():
        metrics.finals.labels(state).inc(number)


def _observe_receipts(fold: Fold) -> None:
    """How long receipts took: about a hundred of a transaction stand for all of it."""
    receipts = fold.changes.receipts
    step = len(receipts) // 100 + 1
    for fact, found in receipts[::step]:
        row = fold.rows.get(found[0]) if found else None
        if row is not None and row.submitted_ms:
            metrics.receipt_delay.labels(fact.carrier).observe(max(0, fact.at_ms - row.submitted_ms) / 1000, step)


def is_refusal(error: Exception) -> bool:
    """Whether the values are at fault, and not the server, the schema or the code."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in _DATA_CLASSES
    return isinstance(error, (asyncpg.DataError, ValueError, OverflowError, struct.error))


class Transactions:
    """Writes batches of one shard."""

    def __init__(
        self, pool: Pool, shard: int, recent: Recent, audience: Callable[[], Audience] = lambda: NOBODY
    ) -> None:
        self.pool, self.shard, self.recent, self.audience = pool, shard, recent, audience
        self.days = Days(pool)
        self._careful = False

    async def record(self, pieces: Sequence[Piece], read_from: Offsets, now_ms: int) -> Offsets:
        """All or nothing; the new offsets. Raises OffsetMovedError, StoreAwayError, or asyncpg's error for a server in
        trouble; ledger.ConflictError when rows changed meanwhile: record it again."""
        key = await self.pool.recipient_key()
        try:
            async with self.pool.transaction() as connection:
                await lookups.use_indexes(connection)
                await ledger.prepare(connection)
                if await offsets.load(connection, self.shard, lock=True) != read_from:
                    raise OffsetMovedError
                await self._write(connection, pieces, key, now_ms)
                last: Offsets = {}
                for piece in pieces:
                    last.pop(piece.run, None)  # the newest run is written last
                    last[piece.run] = piece.at
                await offsets.advance(connection, self.shard, last)
                moved = await offsets.load(connection, self.shard)
        except BaseException:
            self.recent.forget()
            self._careful = True
            raise
        self._careful = False
        return moved

    async def _write(self, connection: asyncpg.Connection, pieces: Sequence[Piece], key: bytes, now_ms: int) -> None:
        try:
            async with connection.transaction():
                fold = await self._write_at_once(connection, pieces, key, now_ms)
            _count(fold)
            self.recent.keep(fold, now_ms)
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
            await self._write(connection, half, key, now_ms)

    async def _write_at_once(
        self, connection: asyncpg.Connection, pieces: Sequence[Piece], key: bytes, now_ms: int
    ) -> Fold:
        fold = Fold(self.recent.rows, self.recent.submissions, self.audience())
        for piece in pieces:
            for message_id, message in piece.accepted:
                fold.accept(message_id, message)
        await self._look_up(connection, pieces, fold, now_ms)
        for piece in pieces:
            at_ms = piece.at_ms
            for fact in piece.facts:
                fold.apply(fact, at_ms)
            await asyncio.sleep(0)  # in an installation of one process others want to go on
        changes = fold.finish()
        await self.days.ensure(ledger.days_of(changes))
        await ledger.write(connection, changes, key, now_ms)
        strays = [
            Refused("", type(s.fact).__name__.lower(), s.message_id, "the message is not known", pack_facts([s.fact]))
            for s in changes.strays
        ]
        await self._keep(connection, [one for piece in pieces for one in piece.broken] + strays)
        return fold

    async def _look_up(self, connection: asyncpg.Connection, pieces: Sequence[Piece], fold: Fold, now_ms: int) -> None:
        """Bring in what the facts name and neither this batch nor the last ones have."""
        ids: set[bytes] = set()
        keys: set[CarrierId] = set()
        rows, known = fold.rows, fold.known
        for piece in pieces:
            for fact in piece.facts:
                kind = type(fact)
                if kind is Received:
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
            missing = [key for key in keys if key[1]]
            found_keys = await lookups.submissions(connection, missing, now_ms, lookups.NEAR_DAYS) if missing else {}
            known.update(found_keys)
            ids.update(found[0] for found in found_keys.values() if found[0] not in rows)
        if ids:
            rows.update(await lookups.rows(connection, ids, lock=self._careful))

    async def _keep(self, connection: asyncpg.Connection, values: Sequence[Refused]) -> None:
        if values:
            await quarantine.keep(connection, self.shard, values)
            metrics.quarantined.inc(len(values))
            log.error("quarantined", shard=self.shard, values=len(values), what=values[0].what)
