"""Writes what a fold found, inside the caller's transaction: COPY for what is new, one UPDATE a day for what changed.

First `encode` makes everything that depends on rows into bytes; from then on the next fold may change them. `write`
raises ConflictError when a row is not as it was read: then the caller rolls back, reads again and folds again. The
partitions of `days` must be there before.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from operator import attrgetter
from typing import TypeVar

import asyncpg

from gateway.ledger.rollup import Delta, book
from gateway.ledger.rows import Changes, Places, Row, place
from gateway.ledger.slices import Slices
from gateway.message import id_time_ms
from gateway.store import callbacks, changed_days, copy_format, deliveries, records, rollups, slices
from gateway.store.days import day_of, partition, time_bounds
from gateway.store.records import Record

T = TypeVar("T")

HOUR_MS = 3_600_000
DUE_MS = 600_000
FIRST_TRY_MS = 1_000
"""How soon a receipt that matched nothing is tried again."""


_SLICE = 500
"""So many rows are encoded at a stretch."""

_Span = tuple[int, int, int, bytes, bytes]
"""A row of `deadlines`: due, accepted, shard, first and last id."""

_by_id = attrgetter("id")


class ConflictError(Exception):
    """Another writer changed a row meanwhile."""


_TEMPORARY = ";".join(
    f"create temporary table if not exists {name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())})"
    " on commit delete rows"
    for name, columns in (("staged_moved", records.MOVED), ("staged_received", records.RECEIVED))
)


async def prepare(connection: asyncpg.Connection) -> None:
    """At the start of a transaction that will write."""
    await connection.execute(f"set local client_min_messages = warning; {_TEMPORARY}")


@dataclass
class Encoded:
    """What one transaction is to write. `changes` is for what is seldom and does not depend on rows."""

    changes: Changes
    key: bytes
    now_ms: int
    days: set[int]
    delta: Delta = field(default_factory=dict)
    slices: slices.Tables = field(default_factory=dict)
    spans: list[_Span] = field(default_factory=list)
    copies: list[tuple[str, Sequence[str], list[bytes]]] = field(default_factory=list)
    updates: list[tuple[int, bool, int, list[bytes]]] = field(default_factory=list)  # day, moved, rows
    rescheduled: list[tuple[int, list[Record]]] = field(default_factory=list)  # day, rows


async def encode(changes: Changes, key: bytes, now_ms: int) -> Encoded:
    """`key` is that of recipient_hash. Raises struct.error for a number that is too large. Lets others go on often."""
    encoded = Encoded(changes, key, now_ms, _days_of(changes))
    fresh = changes.fresh
    untold, told = [row for row in fresh if not row.told], [row for row in fresh if row.told]
    await _add(encoded, "messages", records.ACCEPTED, untold, partial(records.accepted, key))
    await _add(encoded, "messages", records.MESSAGE, told, partial(records.message, key))
    await _add(encoded, "submissions", records.SUBMISSION, changes.submissions, records.submission)
    await _add(encoded, "receipts", records.RECEIPT, changes.receipts, records.receipt)
    changed = sorted(changes.changed, key=_by_id)  # always in one order: two writers never wait in a circle
    for day, rows in _by_day(changed):
        for moved, record in ((False, records.received), (True, records.moved)):
            some = [row for row in rows if (row.moved == changes.fold) is moved]
            if some:
                encoded.updates.append((day, moved, len(some), await _in_slices(some, record)))
                encoded.days.add(day)  # roll-ups of that day change
    for day, rows in _by_day(sorted(changes.rescheduled, key=_by_id)):
        encoded.rescheduled.append((day, list(map(records.rescheduled, rows))))
    encoded.spans = _spans_of(chain(fresh, changes.rescheduled))
    await asyncio.sleep(0)
    sliced = Slices()
    encoded.delta = book(chain(fresh, changes.changed), sliced)
    await asyncio.sleep(0)
    encoded.slices = sliced.tables()
    return encoded


async def _add(
    encoded: Encoded, table: str, columns: Iterable[str], items: Sequence[T], encode: Callable[[T], bytes]
) -> None:
    if items:
        encoded.copies.append((table, tuple(columns), await _in_slices(items, encode)))


async def _in_slices(items: Sequence[T], encode: Callable[[T], bytes]) -> list[bytes]:
    slices = []
    for at in range(0, len(items), _SLICE):
        slices.append(b"".join(map(encode, items[at : at + _SLICE])))
        await asyncio.sleep(0)
    return slices


def _days_of(changes: Changes) -> set[int]:
    """Every day that the changes add rows to."""
    days = _spread([id_time_ms(row.id) for row in _ends(changes.fresh)])
    if len(days) > 1:
        days = {day_of(id_time_ms(row.id)) for row in changes.fresh}
    days |= _spread([f.sent_ms or f.answered_ms or at for at, f in changes.submissions])
    days |= _spread([records.sent_ms(fact, at) for at, fact in changes.repeated])
    days |= _spread([fact.at_ms for fact, _ in changes.receipts])
    days |= _spread([fact.at_ms for fact in changes.inbound])
    days |= _spread([note.at_ms for note in changes.notes])
    return days | _spread([at for at, _ in changes.waiting])


def _ends(rows: Sequence[Row]) -> Sequence[Row]:
    """The one with the smallest id and the one with the largest."""
    return (min(rows, key=_by_id), max(rows, key=_by_id)) if rows else ()


def _by_day(rows: Sequence[Row]) -> list[tuple[int, Sequence[Row]]]:
    """Sorted rows by the day of their ids."""
    if not rows:
        return []
    first, last = day_of(id_time_ms(rows[0].id)), day_of(id_time_ms(rows[-1].id))
    if first == last:
        return [(first, rows)]
    return [(day, list(some)) for day, some in groupby(rows, lambda row: day_of(id_time_ms(row.id)))]


def _spread(times: Sequence[int]) -> set[int]:
    if not times:
        return set()
    first, last = day_of(min(times)), day_of(max(times))
    return {first} if first == last else {day_of(ms) for ms in times}


async def write(connection: asyncpg.Connection, encoded: Encoded) -> None:
    """Everything, with its roll-ups."""
    for table, columns, data in encoded.copies:
        await copy_format.copy(connection, table, columns, data)
    for update in encoded.updates:
        await _update(connection, *update)
    for day, rows in encoded.rescheduled:
        await _reschedule(connection, day, rows)
    changes = encoded.changes
    wait = partial(records.waiting_receipt, encoded.now_ms + FIRST_TRY_MS)
    await _copy(connection, "receipts_waiting", records.WAITING_RECEIPT, changes.unmatched, wait)
    await callbacks.add(connection, changes.callbacks)
    await _write_seldom(connection, changes, encoded.key)
    await _note_deadlines(connection, encoded.spans)
    await rollups.add(connection, encoded.delta)
    await slices.add(connection, encoded.slices)
    await deliveries.add(connection, changes.deliveries)
    await changed_days.note(connection, _changed_days(encoded))


def _changed_days(encoded: Encoded) -> set[int]:
    days = encoded.days | {day for day, _ in encoded.rescheduled}
    for fact in encoded.changes.healed:
        days.update(range(day_of(id_time_ms(fact.id) - HOUR_MS), day_of(fact.answered_ms + HOUR_MS) + 1))
    return days


async def _write_seldom(connection: asyncpg.Connection, changes: Changes, key: bytes) -> None:
    await _insert_unless_there(connection, changes)
    await _heal(connection, changes)
    await _copy(connection, "inbound", records.INBOUND, changes.inbound, partial(records.inbound, key))
    await _copy(connection, "notes", records.NOTE, changes.notes, records.note)
    await _copy(connection, "waiting", records.WAITING, changes.waiting, records.waiting)
    if changes.batches:
        columns = zip(*map(records.batch, changes.batches), strict=True)
        await connection.execute(
            "insert into batches (id, at, client, accepted, duplicates, rejected) select * from unnest($1::uuid[],"
            " $2::timestamptz[], $3::text[], $4::int[], $5::int[], $6::int[]) on conflict do nothing",
            *map(list, columns),
        )


async def _copy(
    connection: asyncpg.Connection,
    table: str,
    columns: Sequence[str],
    items: Sequence[T],
    record: Callable[[T], Record],
) -> None:
    if items:
        await connection.copy_records_to_table(table, columns=columns, records=map(record, items))


async def _update(connection: asyncpg.Connection, day: int, moved: bool, rows: int, data: list[bytes]) -> None:
    staged, columns = ("staged_moved", records.MOVED) if moved else ("staged_received", records.RECEIVED)
    await copy_format.copy(connection, staged, tuple(columns), data)
    sets = ", ".join(f"{name} = s.{name}" for name in columns if name not in ("id", "rev"))
    status = await connection.execute(
        # Names its partition: with bounds on the id instead, the planner may read the range once for every row.
        f"update {partition('messages', day)} m set rev = m.rev + 1, {sets}"
        f" from {staged} s where m.id = s.id and m.rev = s.rev"
    )
    if status != f"UPDATE {rows}":
        raise ConflictError(f"{status} where {rows} rows were expected")
    await connection.execute(f"truncate {staged}")


async def _reschedule(connection: asyncpg.Connection, day: int, rows: list[Record]) -> None:
    """Rows that this transaction has inserted or updated already, and holds."""
    await connection.execute(
        f"update {partition('messages', day)} m set send_at = s.send_at, deadline = s.deadline"
        " from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as s(id, send_at, deadline) where m.id = s.id",
        *map(list, zip(*rows, strict=True)),
    )


_SUBMISSION_ARRAYS = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(records.SUBMISSION.values(), 1))
_SUBMISSION_COLUMNS = ", ".join(records.SUBMISSION)


async def _insert_unless_there(connection: asyncpg.Connection, changes: Changes) -> None:
    if not changes.repeated:
        return
    days = sorted(_spread([records.sent_ms(fact, at) for at, fact in changes.repeated]))
    columns = zip(*map(records.repeated, changes.repeated), strict=True)
    await connection.execute(
        f"insert into submissions ({_SUBMISSION_COLUMNS})"
        f" select distinct * from unnest({_SUBMISSION_ARRAYS}) as u({_SUBMISSION_COLUMNS}) where not exists ("
        "select from submissions s where s.message_id = u.message_id and s.attempt = u.attempt and s.part = u.part"
        f" and s.sent_at = u.sent_at and s.kind = u.kind and {time_bounds('s.sent_at', days[0], days[-1])})",
        *map(list, columns),
    )


async def _heal(connection: asyncpg.Connection, changes: Changes) -> None:
    for fact in changes.healed:
        first = day_of(id_time_ms(fact.id) - HOUR_MS)
        await connection.execute(
            "update submissions set kind = $4, late = true, answered_at = $5, carrier_message_id = $6, reason = $7,"
            " code = $8 where message_id = $1 and attempt = $2 and part = $3 and kind = 3 and "
            + time_bounds("sent_at", first, max(first, day_of(fact.answered_ms + HOUR_MS))),
            fact.id, fact.attempt, fact.part, fact.kind, fact.answered_ms, fact.carrier_message_id, fact.reason,
            fact.code,
        )  # fmt: skip


def _spans_of(rows: Iterable[Row]) -> list[_Span]:
    together: defaultdict[tuple[int, int], list[bytes]] = defaultdict(list)
    places = Places()
    for row in rows:
        one = row.id
        together[-(-row.deadline_ms // DUE_MS), places[one[:8]]].append(one)
    spans: dict[tuple[int, int, int], tuple[bytes, bytes]] = {}
    for (due, number), ids in together.items():
        first, last = min(ids), max(ids)
        minute, shard = place(number)
        key_of_span = (due * DUE_MS, minute // HOUR_MS * HOUR_MS, shard)
        first_known, last_known = spans.get(key_of_span, (first, last))
        spans[key_of_span] = (min(first, first_known), max(last, last_known))
    return [(*key, *span) for key, span in sorted(spans.items())]


async def _note_deadlines(connection: asyncpg.Connection, spans: Sequence[_Span]) -> None:
    if spans:
        await connection.execute(
            "insert into deadlines (due, look_at, accepted, shard, first_id, last_id)"
            " select due, due, accepted, shard, first_id, last_id from unnest($1::timestamptz[], $2::timestamptz[],"
            " $3::smallint[], $4::uuid[], $5::uuid[]) as u(due, accepted, shard, first_id, last_id)"
            " on conflict (due, accepted, shard) do update set first_id = least(deadlines.first_id, excluded.first_id),"
            " last_id = greatest(deadlines.last_id, excluded.last_id),"
            " look_at = least(deadlines.look_at, excluded.look_at)",
            *map(list, zip(*spans, strict=True)),
        )
