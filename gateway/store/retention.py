"""Drops days that are old enough, while everything goes on.

In: how long each kind of rows is kept, the date. Out: what was dropped. Never: a day with a message that has not ended,
nor what anybody would wait for: a partition is detached without a lock on its table, and then dropped.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence
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

Work = Callable[[asyncpg.Connection], Awaitable[None]]

_AT_ONCE: Final = 3
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
        failed = await _at_once(url, await _detaching(connection, wanted))
        dropped = [row["relname"] for row in await connection.fetch(_LEFT)]
        drops = [_drop(dropped[at : at + _DROPPED_AT_ONCE]) for at in range(0, len(dropped), _DROPPED_AT_ONCE)]
        rows = [
            _delete(table, today - datetime.timedelta(days=days))
            for kind, tables in _OTHER.items()
            if (days := getattr(ages, kind))
            for table in tables
        ]
        failed += await _at_once(url, [*drops, *rows])
        if failed:
            raise failed[0]
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


async def _at_once(url: str, works: Sequence[Work]) -> list[BaseException]:
    """Several of them at a time, because they mostly wait for the disk or for readers; what failed."""
    left = iter(works)

    async def work() -> None:
        own = await _connect(url)
        try:
            for one in left:
                await one(own)
        finally:
            await own.close()

    done = await asyncio.gather(*(work() for _ in works[:_AT_ONCE]), return_exceptions=True)
    return [one for one in done if isinstance(one, BaseException)]


async def _detaching(connection: asyncpg.Connection, wanted: Mapping[str, datetime.date]) -> list[Work]:
    """What is older, by table."""
    found: dict[str, list[str]] = {}
    for row in await connection.fetch(_PARTITIONS):
        if row["parent"] in wanted and (row["last"] < wanted[row["parent"]] or row["pending"]):
            how = "finalize" if row["pending"] else "concurrently"
            statement = f"alter table {row['parent']} detach partition days.{row['child']} {how}"
            found.setdefault(row["parent"], []).append(statement)
    await connection.executemany(_GONE, [(parent, wanted[parent]) for parent in found])
    return [_each(statements) for statements in found.values()]


def _each(statements: Sequence[str]) -> Work:
    async def work(connection: asyncpg.Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    return work


def _drop(names: Sequence[str]) -> Work:
    return _each([f"drop table {', '.join(f'days.{name}' for name in names)}"])


def _delete(table: str, before: datetime.date) -> Work:
    """A day at a time, so that no transaction is a long one."""

    async def work(connection: asyncpg.Connection) -> None:
        while until_ms := await connection.fetchval(
            f"select least($1::date::timestamp at time zone 'UTC', min(at) + interval '1 day') from {table}"
            " having min(at) < $1::date::timestamp at time zone 'UTC'",
            before,
        ):
            await connection.execute(f"delete from {table} where at < $1", until_ms)

    return work


async def kept_since(connection: asyncpg.Connection, table: str) -> datetime.date | None:
    """The first day that retention has left of a table; None: it never dropped one."""
    found: datetime.date | None = await connection.fetchval('select before from dropped_days where "table" = $1', table)
    return found
