"""Drops days that are old enough, while everything goes on.

In: how long each kind of rows is kept, the date. Out: what was dropped. Never: a day with a message that has not ended,
nor what anybody would wait for: a partition is detached without a lock on its table, and then dropped.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from typing import Final

import asyncpg
import msgspec

from gateway.ledger.slices import VIEWS
from gateway.store import summaries
from gateway.store.pool import connect

LEAST_DAYS: Final = 36
"""send_at may lie 30 days ahead, and a receipt looks back 35."""

PARTITIONED: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("submissions", "receipts", "inbound", "notes", "waiting", "messages"),
    "minutes": ("stats_minute",),
    "quarters": ("stats_quarter_all",),
    "hours": ("stats_hour", "stats_hour_sides", "stats_hour_carriers", "stats_hour_clients"),
}
_OTHER: Final[Mapping[str, tuple[str, ...]]] = {
    "quarters": tuple(f"summary_hour_{name}" for name in summaries.BY_HOURS),
    "statistics": (
        *(view.tables[1] for view in VIEWS),
        *(f"summary_day_{name}" for name in summaries.VIEWS if name != "all"),
        *(f"summary_week_{name}" for name in {**summaries.VIEWS, **summaries.BOOKED}),
        "summaries",
    ),
}
"""Tables with few rows a day, which are deleted."""

_WAIT: Final = "set statement_timeout = '30s'; set synchronous_commit = off"
"""Detaching waits for readers of the table that were there before; nobody waits for it. What a failing machine forgets
is done the next time; dropping waits for the disk anyway."""

_AT_ONCE: Final = 4
_DROPPED_AT_ONCE: Final = 24
"""In one transaction, which locks them and their indexes."""

_GONE: Final = """
insert into dropped_days ("table", before) values ($1, $2) on conflict ("table") do update
    set before = greatest(dropped_days.before, excluded.before)
"""

_PARTITIONS: Final = """
select p.relname as parent, c.relname as child, i.inhdetachpending as pending,
    case when c.relname like '%\\_before' then (select since - 1 from statistics_by_day)
         else to_date(right(c.relname, 8), 'YYYYMMDD') end as last
from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
where c.relnamespace = 'days'::regnamespace and c.relkind = 'r' order by last, parent
"""
_LEFT: Final = """
select c.relname from pg_class c where c.relnamespace = 'days'::regnamespace and c.relkind = 'r'
    and c.relname ~ '_(\\d{8}|before)$' and not exists (select from pg_inherits i where i.inhrelid = c.oid)
order by right(c.relname, 8), c.relname
"""


class Ages(msgspec.Struct, frozen=True):
    """Days that each kind is kept; 0: for ever."""

    messages: int = 0
    minutes: int = 0
    quarters: int = 0
    hours: int = 0
    statistics: int = 0


class RetentionError(Exception):
    """It cannot be done. The text says why, for a person."""


async def drop_old(url: str, ages: Ages, today: datetime.date) -> list[str]:
    """The names of what was dropped. Raises StoreAwayError, RetentionError, and asyncpg's error when readers stood in
    the way for half a minute: what is left goes the next time."""
    for name, days in msgspec.structs.asdict(ages).items():
        if 0 < days < LEAST_DAYS:
            raise RetentionError(
                f"keep_{name}_days is {days}: it is 0 or at least {LEAST_DAYS}, because send_at may lie 30 days ahead"
                " and receipts look back 35"
            )
    connection = await _connect(url)
    try:
        wanted: dict[str, datetime.date] = {}
        for kind, tables in PARTITIONED.items():
            if days := getattr(ages, kind):
                before = today - datetime.timedelta(days=days)
                if kind == "messages":
                    before = await _all_ended(connection, before)
                wanted |= dict.fromkeys(tables, before)
        try:
            await _detach(url, connection, wanted)
        finally:
            dropped = await _drop(connection)
        for kind, tables in _OTHER.items():
            if days := getattr(ages, kind):
                await _rows(connection, tables, today - datetime.timedelta(days=days))
        return dropped
    finally:
        await connection.close()


async def _connect(url: str) -> asyncpg.Connection:
    connection = await connect(url)
    await connection.execute(_WAIT)
    return connection


async def _all_ended(connection: asyncpg.Connection, before: datetime.date) -> datetime.date:
    """The first day with a message that has not ended, or `before`."""
    for row in await connection.fetch(_PARTITIONS):
        open_ = f"select exists (select from days.{row['child']} where final_at is null)"
        if row["parent"] == "messages" and row["last"] < before and await connection.fetchval(open_):
            found: datetime.date = row["last"]
            return found
    return before


async def _detach(url: str, connection: asyncpg.Connection, wanted: Mapping[str, datetime.date]) -> None:
    """What is older, by table. Several tables at once, because most of the time each of them waits."""
    found: dict[str, list[str]] = {}
    for row in await connection.fetch(_PARTITIONS):
        if row["parent"] in wanted and (row["last"] < wanted[row["parent"]] or row["pending"]):
            how = "finalize" if row["pending"] else "concurrently"
            statement = f"alter table {row['parent']} detach partition days.{row['child']} {how}"
            found.setdefault(row["parent"], []).append(statement)
    await connection.executemany(_GONE, [(parent, wanted[parent]) for parent in found])
    tables = iter(found.values())

    async def work() -> None:
        own = await _connect(url)
        try:
            for statements in tables:
                for statement in statements:
                    await own.execute(statement)
        finally:
            await own.close()

    done = await asyncio.gather(*(work() for _ in range(min(_AT_ONCE, len(found)))), return_exceptions=True)
    if wrong := next((one for one in done if isinstance(one, BaseException)), None):
        raise wrong


async def _drop(connection: asyncpg.Connection) -> list[str]:
    """Everything that is detached."""
    left = [row["relname"] for row in await connection.fetch(_LEFT)]
    for at in range(0, len(left), _DROPPED_AT_ONCE):
        names = ", ".join(f"days.{name}" for name in left[at : at + _DROPPED_AT_ONCE])
        await connection.execute(f"drop table {names}")
    return left


async def _rows(connection: asyncpg.Connection, tables: tuple[str, ...], before: datetime.date) -> None:
    for table in tables:
        while True:  # a day at a time, so that no transaction is a long one
            done = await connection.execute(
                f"delete from {table} where at < least($1::date::timestamp at time zone 'UTC',"
                f" (select min(at) from {table}) + interval '1 day')",
                before,
            )
            if done == "DELETE 0":
                break


async def kept_since(connection: asyncpg.Connection, table: str) -> datetime.date | None:
    """The first day that retention has left of a table; None: it never dropped one."""
    found: datetime.date | None = await connection.fetchval('select before from dropped_days where "table" = $1', table)
    return found
