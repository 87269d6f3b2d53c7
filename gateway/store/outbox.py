"""The outbox of callbacks, the notifier's side: what is to be sent of one slot, and what came of it.

In: a slot and its token. Out: batches nobody tried yet, rows that are due again. Whatever is booked is booked once,
because only the notifier that raised the slot's token last may book.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import asyncpg
import msgspec

from gateway.callbacks.audience import Target, url_target
from gateway.callbacks.event import INBOUND, Event
from gateway.store import copy_format
from gateway.store.copy_format import LENGTH_16, Row

_encode = msgspec.json.Encoder().encode

BATCHES_A_FETCH: Final = 200
BATCHES_A_TARGET: Final = 2
ROWS_A_TARGET: Final = 500
DELETE_ROWS: Final = 2_000


class SlotLostError(Exception):
    """Another notifier serves this slot now: this one has to stop."""


class Batch(NamedTuple):
    """Events of one target. `settled`: bit mask of those that have their row."""

    id: int
    at_ms: int
    client: str
    endpoint: str
    target: str
    settled: bytes
    events: bytes


class Due(NamedTuple):
    """An event that was tried and is to be tried again."""

    client: str
    endpoint: str
    target: str
    tries: int
    give_up_ms: int
    event: Event


class Tried(NamedTuple):
    """What came of one event. `next_try_ms` 0: it is over, at `done_ms`, with `outcome` delivered or failed."""

    target: Target
    event: Event
    url: str
    tries: int
    status: int
    error: str
    next_try_ms: int
    done_ms: int
    outcome: str
    give_up_ms: int
    failed_ms: int = 0
    """When an attempt did not succeed; 0: it did, or there was none."""

    @property
    def failure(self) -> str:
        """A line of `failures`."""
        return "" if not self.failed_ms else _encode([self.failed_ms, self.status, self.error]).decode() + "\n"


class Booking(NamedTuple):
    """What one transaction writes. `first`: events without a row so far; `again`: those that have one."""

    first: Sequence[Tried]
    again: Sequence[Tried]
    ended: Sequence[int]
    """Batches whose every event has its row now."""
    settled: Sequence[tuple[int, bytes]]
    """Batches of which some have."""


async def take(connection: asyncpg.Connection, slot: int) -> int:
    """Serve a slot from now on; the token that books."""
    token: int = await connection.fetchval(
        "update callback_slots set token = token + 1 where slot = $1 returning token", slot
    )
    return token


# The names of targets that have something are found by leaps through the index, one each, however much they have.
_BATCHES = """with recursive t(name) as (
    (select target from callback_batches where slot = $1 order by target limit 1)
    union all
    select (select b.target from callback_batches b where b.slot = $1 and b.target > t.name order by b.target limit 1)
    from t where t.name is not null)
select b.id, b.at, b.client, b.endpoint, b.target, b.settled, b.events from t cross join lateral (
    select * from callback_batches b where b.slot = $1 and b.target = t.name and b.id <> all($3::bigint[])
    order by b.id limit $4) b
where t.name is not null and t.name <> all($2::text[]) limit $5"""

# `offset 0` keeps it a look by id for each row: no plan may read whole days of messages.
_DUE = """with recursive t(name) as (
    (select target from callbacks where slot = $1 and done_at is null order by target limit 1)
    union all
    select (select c.target from callbacks c where c.slot = $1 and c.done_at is null and c.target > t.name
        order by c.target limit 1)
    from t where t.name is not null)
select c.client, c.endpoint, c.target, c.tries, coalesce(c.give_up_at, 'epoch'), c.message_id, c.seq, c.at, c.state,
    c.reason, coalesce(nullif(c.ref, ''), m.ref, ''), coalesce(nullif(c.tag, ''), m.tag, ''),
    coalesce(nullif(c.meta, ''), m.meta, ''), c.url, coalesce(m.test, false)
from t cross join lateral (
    select * from callbacks c where c.slot = $1 and c.target = t.name and c.done_at is null and c.next_try_at <= $2
    and not exists (select from callbacks e where e.message_id = c.message_id and e.endpoint = c.endpoint
        and e.seq < c.seq and e.done_at is null)
    order by c.next_try_at, c.message_id, c.seq limit $4) c
left join lateral (select ref, tag, meta, test from messages m where m.id = c.message_id offset 0) m on true
where t.name is not null and t.name <> '' and t.name <> all($3::text[]) limit $5"""


async def batches(
    connection: asyncpg.Connection, slot: int, without: Collection[str], in_hand: Collection[int]
) -> list[Batch]:
    """The oldest of each target, but for the targets `without` and the batches that are in hand."""
    values = (slot, list(without), list(in_hand), BATCHES_A_TARGET, BATCHES_A_FETCH)
    return [Batch(*row) for row in await connection.fetch(_BATCHES, *values)]


async def due(connection: asyncpg.Connection, slot: int, now_ms: int, without: Collection[str]) -> list[Due]:
    """Events whose next try has come, oldest first in each target. None while one of the same message must go first."""
    limit = ROWS_A_TARGET * 10
    found = []
    for row in await connection.fetch(_DUE, slot, now_ms, list(without), ROWS_A_TARGET, limit):
        client, endpoint, target, tries, give_up_ms, *fields = row
        found.append(Due(client, endpoint, target, tries, give_up_ms, Event(*fields)))
    return found


async def waiting(connection: asyncpg.Connection, endpoint: str, ids: Collection[bytes]) -> set[bytes]:
    """Which of these messages have an event that waits for its next try at the endpoint."""
    rows = await connection.fetch(
        "select distinct message_id from callbacks where message_id = any($1) and endpoint = $2 and done_at is null",
        list(ids), endpoint,
    )  # fmt: skip
    return {row["message_id"] for row in rows}


async def overdue(connection: asyncpg.Connection, slot: int, before_ms: int, limit: int) -> list[Batch]:
    """Batches that nobody could try for so long that their events are given up."""
    rows = await connection.fetch(
        "select id, at, client, endpoint, target, settled, events from callback_batches"
        " where slot = $1 and at < $2 order by id limit $3",
        slot, before_ms, limit,
    )  # fmt: skip
    return [Batch(*row) for row in rows]


async def book(
    connection: asyncpg.Connection, slot: int, token: int, booking: Booking, *, careful: bool = False
) -> None:
    """Write it, in the caller's transaction. `careful`: it may be written already. Raises SlotLostError."""
    held = await connection.fetchval("select token from callback_slots where slot = $1 for share", slot)
    if held != token:
        raise SlotLostError
    if booking.first:
        data = copy_format.rows(map(_record, booking.first))
        if careful:
            await connection.execute(_STAGE)
        await copy_format.copy(connection, "staged_callbacks" if careful else "callbacks", _COLUMNS, [data])
        if careful:
            await connection.execute("insert into callbacks select * from staged_callbacks on conflict do nothing")
    if booking.again:
        await _update(connection, booking.again)
    if booking.settled:
        await connection.executemany("update callback_batches set settled = $2 where id = $1", booking.settled)
    if booking.ended:
        await connection.execute("delete from callback_batches where id = any($1::bigint[])", list(booking.ended))


_STAGE = """set local client_min_messages = warning;
    create temporary table if not exists staged_callbacks (like callbacks including defaults) on commit delete rows"""
_COLUMNS = (
    "client", "endpoint", "target", "slot", "outcome", "status", "error", "state", "reason", "url", "message_id", "at",
    "next_try_at", "done_at", "give_up_at", "seq", "tries", "ref", "tag", "meta", "failures",
)  # fmt: skip
_whose = copy_format.alike(("text", "text", "text", "smallint"), len(_COLUMNS))
_what = copy_format.alike(("text", "smallint", "text", "text", "text", "text"))
_echo = copy_format.alike(("text", "text", "text"))
_failures = copy_format.alike(("text",))
_ECHO_NOTHING = _echo["", "", ""]


def _record(tried: Tried) -> Row:
    target, event, url, tries, status, error, next_try_ms, done_ms, outcome, give_up_ms, _ = tried
    times = copy_format.times
    return (
        _whose[target.client, target.endpoint, target.name, target.slot],
        _what[outcome, status, error, event.state, event.reason, url],
        LENGTH_16,
        event.id,
        times[event.at_ms],
        times[next_try_ms or done_ms],
        copy_format.times_or_null[done_ms],
        copy_format.times_or_null[give_up_ms],
        copy_format.integer(event.seq),
        copy_format.integer(tries),
        _ECHO_NOTHING if outcome == "delivered" and event.state != INBOUND else _echo[event.ref, event.tag, event.meta],
        _failures[(tried.failure,)],
    )


async def _update(connection: asyncpg.Connection, again: Sequence[Tried]) -> None:
    rows = [
        (t.event.id, t.event.seq, t.target.endpoint, t.tries, t.status, t.error, t.next_try_ms or t.done_ms,
         t.done_ms or None, t.outcome, t.url, t.failure)
        for t in again
    ]  # fmt: skip
    await connection.execute(
        "update callbacks c set tries = u.tries, status = u.status, error = u.error, next_try_at = u.next_try_at,"
        " done_at = u.done_at, outcome = u.outcome, url = u.url, failures = c.failures || u.failures"
        " from unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::smallint[], $6::text[], $7::timestamptz[],"
        " $8::timestamptz[], $9::text[], $10::text[], $11::text[])"
        " as u(message_id, seq, endpoint, tries, status, error, next_try_at, done_at, outcome, url, failures)"
        " where c.message_id = u.message_id and c.seq = u.seq and c.endpoint = u.endpoint and c.done_at is null",
        *map(list, zip(*rows, strict=True)),
    )


async def hasten(connection: asyncpg.Connection, slot: int, targets: Iterable[str], now_ms: int) -> None:
    """These work again: what waits for its next try there is tried now."""
    await connection.execute(
        "update callbacks set next_try_at = $3 where slot = $1 and target = any($2) and done_at is null"
        " and next_try_at > $3",
        slot, list(targets), now_ms,
    )  # fmt: skip


async def adopt(connection: asyncpg.Connection) -> int:
    """Give rows of the former release, which knew no targets, theirs; how many."""
    rows = await connection.fetch(
        "select message_id, seq, client, url from callbacks where slot = 0 and target = '' and done_at is null"
        " limit 1000 for update skip locked"
    )
    given = [(url_target(row["client"], row["url"]), row["message_id"], row["seq"]) for row in rows]
    await connection.executemany(
        "update callbacks set slot = $1, target = $2 where message_id = $3 and seq = $4 and endpoint = ''",
        [(target.slot, target.name, message_id, seq) for target, message_id, seq in given],
    )
    return len(given)


async def drop(connection: asyncpg.Connection, slot: int, targets: Collection[str], why: str) -> None:
    """Nobody is to be told there any more: what waits is over."""
    await connection.execute("delete from callback_batches where slot = $1 and target = any($2)", slot, list(targets))
    for target in targets:
        await end_waiting(connection, slot, target, why)


async def end_waiting(connection: asyncpg.Connection, slot: int, target: str, why: str) -> None:
    """Give up what waits for another try at a target."""
    await connection.execute(
        "update callbacks set done_at = now(), outcome = 'failed', error = $3"
        " where slot = $1 and target = $2 and done_at is null",
        slot, target, why,
    )  # fmt: skip


async def remove_old(connection: asyncpg.Connection, before: bytes, limit: int = DELETE_ROWS) -> int:
    """Delete rows of messages with an id before this one that are over; how many."""
    status: str = await connection.execute(
        "delete from callbacks where ctid = any(array(select ctid from callbacks"
        " where message_id < $1 and done_at is not null order by message_id limit $2))",
        before, limit,
    )  # fmt: skip
    return int(status.rpartition(" ")[2])


async def measure(connection: asyncpg.Connection, slot: int) -> tuple[int, int, int]:
    """Events that nobody tried yet, the time of the oldest (ms; 0: none), events that wait for another try."""
    count, oldest, retries = await connection.fetchrow(
        "select coalesce(sum(count), 0)::bigint, coalesce(min(at), 'epoch'),"
        " (select count(*) from callbacks where slot = $1 and done_at is null)"
        " from callback_batches where slot = $1",
        slot,
    )
    return count, oldest, retries
