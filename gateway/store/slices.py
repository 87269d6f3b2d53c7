"""Books changes of the slices of statistics, and counts them anew from the rows of messages.

In: what a fold found (ledger/slices.py), or a day. Out: nothing; the tables are in step with the rows of the same
transaction.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

import asyncpg

from gateway.ledger.slices import COLUMNS, LATENCIES, STATES, VIEWS, Key, Sums, View
from gateway.store import changed_days
from gateway.store.days import partition
from gateway.store.pool import Pool

Tables = Mapping[str, Mapping[Key, Sums]]
_DIMENSIONS: Final = {table: view.dimensions for view in VIEWS for table in view.tables}
TABLES: Final = tuple(_DIMENSIONS)


async def add(connection: asyncpg.Connection, tables: Tables) -> None:
    """In the order of the keys, so that two writers never wait for each other in a circle."""
    for table, changes in tables.items():
        if changes:
            touched = frozenset(name for sums in changes.values() for name, number in sums.items() if number)
            columns = [name for name in COLUMNS if name in touched]
            rows = sorted(changes.items())
            keys = [list(values) for values in zip(*(key for key, _ in rows), strict=True)]
            values = [[_value(name, sums.get(name)) for _, sums in rows] for name in columns]
            await connection.execute(_upsert(table, touched), *keys, *values)


def _value(name: str, number: int | None) -> int | str | None:
    return (str(number) if name in LATENCIES else number) if number else None


@cache
def _upsert(table: str, touched: frozenset[str]) -> str:
    """Only columns that something is added to: of 35 a batch has few."""
    columns = [name for name in COLUMNS if name in touched]
    dimensions = _DIMENSIONS[table]
    key = ["at", "shard", *dimensions, "currency"]
    kinds = ["timestamptz", "smallint", *["text"] * (len(dimensions) + 1)]
    kinds += ["text" if name in LATENCIES else "bigint" for name in columns]
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(kinds, 1))
    names = ", ".join([*key, *columns])
    given = ", ".join([*key, *(f"{name}::numeric" if name in LATENCIES else name for name in columns)])
    sets = ", ".join(
        f"{name} = nullif(coalesce({table}.{name}, 0) + coalesce(excluded.{name}, 0), 0)" for name in columns
    )
    return (
        f"insert into {table} ({names}) select {given} from unnest({arrays}) as u({names})"
        f" on conflict ({', '.join(key)}) do update set {sets}"
    )


async def recount(pool: Pool, day: int) -> int:
    """Count one UTC day (days since the epoch) anew from its messages; how many messages it has. What a former release
    accepted is counted from now on as well. Recorders wait meanwhile; nothing of what they book is lost or doubled."""
    messages = partition("messages", day)
    at = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(days=day)
    begin, end = (int((at + datetime.timedelta(days=n)).timestamp() * 1000) for n in (0, 1))
    async with pool.transaction() as connection:
        for table in TABLES:
            await connection.execute(f"lock table only {table} in exclusive mode")
        if await connection.fetchval("select to_regclass($1) is null", messages):
            return 0
        await connection.execute(f"update {messages} set country = '', rev = rev + 1 where country is null")
        for table in TABLES:
            await connection.execute(f"delete from {table} where at >= $1 and at < $2", begin, end)
        for view in VIEWS:
            fine, days = view.tables
            await connection.execute(counted_anew(messages, view, fine))
            await connection.execute(_by_day(fine, days, view.dimensions), begin, end)
        await changed_days.note(connection, [day])
        found: int = await connection.fetchval(f"select count(*) from {messages} where not test")
        return found


def counted_anew(messages: str, view: View, into: str) -> str:
    """Fills a table like the fine one of a view from the rows of messages."""
    key, at = ", ".join(view.dimensions), "date_bin('15 minutes', id_time(id), 'epoch')"
    if view.fine == "hour":
        at = "date_trunc('hour', id_time(id), 'UTC')"
    sums = [
        f"nullif({what} filter (where state = '{state}'), 0)"
        for state in STATES
        for what in ("count(*)", "sum(parts)", "sum(cost_micro)")
    ]
    return (
        f"insert into {into} (at, shard, {key}, currency, {', '.join(COLUMNS)})"
        f" select {at}, ({_SHARD})::smallint, {key}, currency,"
        f" {', '.join(sums)},"
        f" sum({_SUBMIT}), sum({_DELIVERY}) from {messages}"
        f" where not test and country is not null group by 1, 2, {key}, currency"
    )


_SHARD: Final = "(get_byte(uuid_send(id), 6) & 15) << 6 | get_byte(uuid_send(id), 7) >> 2"
_SUBMIT: Final = "latency_unit(ms_between(greatest(id_time(id), coalesce(send_at, 'epoch')), submitted_at))"
_DELIVERY: Final = "case when state = 'delivered' then latency_unit(ms_between(submitted_at, final_at)) end"


def _by_day(fine: str, days: str, dimensions: Iterable[str]) -> str:
    key = ", ".join(dimensions)
    return (
        f"insert into {days} (at, shard, {key}, currency, {', '.join(COLUMNS)})"
        f" select date_trunc('day', at, 'UTC'), shard, {key}, currency, {', '.join(f'sum({n})' for n in COLUMNS)}"
        f" from {fine} where at >= $1 and at < $2 group by 1, 2, {key}, currency"
    )
