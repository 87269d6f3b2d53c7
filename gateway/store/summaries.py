"""Sums of the slices of statistics by hours, UTC days and weeks, so that a month is read at once.

Made from the slices by whoever has the time, never by the recorder. A day's count only while no transaction has changed
its messages since; readers ask `fresh` in the snapshot in which they read. In: PostgreSQL's slices. Out: `summary_…`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import asyncpg

from gateway.ledger.slices import COLUMNS, DAY_MS, DIMENSIONS
from gateway.ledger.slices import VIEWS as SLICES
from gateway.store.pool import Pool

WEEK_MS: Final = 7 * DAY_MS
_MONDAY_MS: Final = 4 * DAY_MS
"""The first Monday since the epoch."""

VIEWS: Final = {
    "countries": ("client", "class", "country", "sender", "tag"),
    "audiences": ("client", "class", "operator", "country", "sender", "tag"),
    "tags": ("client", "class", "carrier", "sender", "tag", "reason"),
    "reasons": ("client", "class", "operator", "country", "sender", "reason"),
    "paths": ("client", "class", "carrier", "operator", "country", "sender", "tag"),
    "senders": ("client", "class", "carrier", "operator", "country", "sender", "reason"),
    "networks": ("client", "class", "operator", "country", "sender", "tag", "reason"),
    "all": DIMENSIONS,
}
"""Those with few rows first."""

_ORDER: Final = ("client", "class", "operator", "carrier", "sender", "tag", "reason", "country")
"""On the disk, so that rows of one group stand together: adding up thousands of groups takes half the time."""

BOOKED: Final = {view.name: view.dimensions for view in SLICES if view.name != "all"}
"""Views that have few rows a day as they are booked; of these only the weeks are summed up."""

BY_HOURS: Final = ("countries", "tags")
_LOCK: Final = "select pg_try_advisory_xact_lock(7517005, 2)"
_AGAIN_MS: Final = 3_600_000
"""A day that changes all the time is summed up once in so long."""


class Fresh(NamedTuple):
    """Beginnings (ms) of days, with their hours, and of weeks whose sums are right."""

    days: frozenset[int]
    weeks: frozenset[int]


NOTHING: Final = Fresh(frozenset(), frozenset())


def week_of(day_ms: int) -> int:
    """Where the week of a day begins."""
    return day_ms - (day_ms - _MONDAY_MS) % WEEK_MS


async def fresh(connection: asyncpg.Connection, since_ms: int, until_ms: int) -> Fresh:
    """Within a span, as this transaction's snapshot has them."""
    rows = await connection.fetch(
        "with now_ as (select day, mark from marks(($1::timestamptz at time zone 'UTC')::date,"
        " ($2::timestamptz at time zone 'UTC')::date + 7))"
        " select s.grain, s.at from summaries s where s.at >= $1 and s.at < $2 and s.mark = (select"
        " coalesce(sum(n.mark), 0) from now_ n where n.day >= (s.at at time zone 'UTC')::date"
        " and n.day < (s.at at time zone 'UTC')::date + case s.grain when 'week' then 7 else 1 end)",
        since_ms - since_ms % DAY_MS,
        until_ms,
    )
    return Fresh(
        frozenset(row["at"] for row in rows if row["grain"] == "day"),
        frozenset(row["at"] for row in rows if row["grain"] == "week"),
    )


async def stale(pool: Pool, now_ms: int) -> list[tuple[str, int]]:
    """Grain and beginning of what has ended and is not summed up as it is now, the latest first."""
    rows = await pool.fetch(
        "with span as (select min(at) as low, $1::timestamptz as high from stats_day_all),"
        " days as (select at from span, generate_series(low, high - interval '1 day', '1 day') at),"
        " now_ as (select m.day, m.mark from span,"
        "  marks((low at time zone 'UTC')::date, (high at time zone 'UTC')::date) m), wanted as ("
        "  select 'day' as grain, at, coalesce(mark, 0) as mark from days"
        "  left join now_ on day = (at at time zone 'UTC')::date"
        "  union all select 'week', date_trunc('week', at, 'UTC'), coalesce(sum(mark), 0) from days"
        "  left join now_ on day = (at at time zone 'UTC')::date group by 2 having count(*) = 7)"
        " select w.grain, w.at from wanted w left join summaries s on s.grain = w.grain and s.at = w.at"
        " where s.mark is null or s.mark <> w.mark and s.made_at < $2 order by w.at desc, w.grain",
        now_ms - now_ms % DAY_MS,
        now_ms - _AGAIN_MS,
    )
    return [(row["grain"], row["at"]) for row in rows]


async def make(pool: Pool, grain: str, at_ms: int) -> bool:
    """Sum up a day, or a week of days that are. False: somebody else is at it, or something changed meanwhile."""
    days = 7 if grain == "week" else 1
    try:
        async with pool.connection() as connection, connection.transaction(isolation="repeatable_read"):
            if not await connection.fetchval(_LOCK):
                return False
            end_ms = at_ms + days * DAY_MS
            if grain == "week" and len((await fresh(connection, at_ms, end_ms)).days) < days:
                return False
            mark = await connection.fetchval(
                "select coalesce(sum(mark), 0) from marks(($1::timestamptz at time zone 'UTC')::date,"
                " ($2::timestamptz at time zone 'UTC')::date)",
                at_ms,
                end_ms,
            )
            for statement in _week() if grain == "week" else _day():
                await connection.execute(statement, at_ms, end_ms)
            await connection.execute(
                "insert into summaries (grain, at, mark) values ($1, $2, $3) on conflict (grain, at) do update"
                " set mark = excluded.mark, made_at = clock_timestamp()",
                *(grain, at_ms, mark),
            )
    except asyncpg.SerializationError:
        return False
    return True


def _day() -> Iterator[str]:
    for name, dimensions in VIEWS.items():
        if name != "all":
            yield from _summed(f"summary_day_{name}", "stats_day_all", "at", dimensions)
        if name in BY_HOURS:
            yield from _summed(f"summary_hour_{name}", "stats_quarter_all", "date_trunc('hour', at, 'UTC')", dimensions)


def _week() -> Iterator[str]:
    for name, dimensions in {**VIEWS, **BOOKED}.items():
        source = f"stats_day_{name}" if name in BOOKED or name == "all" else f"summary_day_{name}"
        yield from _summed(f"summary_week_{name}", source, "date_trunc('week', at, 'UTC')", dimensions)


def _summed(table: str, source: str, at: str, dimensions: tuple[str, ...]) -> Iterator[str]:
    keys, sums = ", ".join((*dimensions, "currency")), ", ".join(f"sum({name})" for name in COLUMNS)
    yield f"delete from {table} where at >= $1 and at < $2"
    yield (
        f"insert into {table} (at, {keys}, {', '.join(COLUMNS)}) select {at}, {keys}, {sums} from {source}"
        f" where at >= $1 and at < $2 group by 1, {keys} having num_nonnulls({sums}) > 0"
        f" order by 1, {', '.join(name for name in _ORDER if name in dimensions)}"
    )
