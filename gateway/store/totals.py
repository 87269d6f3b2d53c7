"""Sums of the roll-ups: messages, parts and cost by what one asks for.

In: a span of accepting times, dimensions, a client (None: all). Out: rows. Never: reads a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from gateway.store.days import DAY_MS
from gateway.store.pool import Pool

DIMENSIONS: Final = ("client", "class", "carrier", "operator", "state", "tag")
STEPS: Final = ("minute", "hour", "day")
MAX_ROWS: Final = 10_000
_HOUR_MS: Final = 3_600_000


class Total(msgspec.Struct, frozen=True):
    """One group. `at_ms` is where its step begins, 0 without steps; `values` are those of the dimensions asked for."""

    at_ms: int
    values: tuple[str, ...]
    currency: str
    messages: int
    parts: int
    cost_micro: int


async def totals(
    pool: Pool,
    client: str | None,
    since_ms: int,
    until_ms: int,
    by: Sequence[str] = (),
    step: str | None = None,
    only: Mapping[str, str] | None = None,
    limit: int = MAX_ROWS,
    after: tuple[int, tuple[str, ...]] | None = None,
) -> list[Total]:
    """At most `limit` groups, oldest first; `by` out of DIMENSIONS, `step` out of STEPS. Raises StoreAwayError.

    `only`: values of DIMENSIONS that are counted, nothing else is. `after`: only what is behind this group: its
    `at_ms`, values and currency. Of a long time in steps no more is read than it takes.
    Without steps of a minute, `since_ms` and `until_ms` count by whole hours for what is older than a day.
    """
    only = only or {}
    assert all(name in DIMENSIONS for name in (*by, *only)) and (step is None or step in STEPS)
    table = "stats_minute" if step == "minute" or until_ms - since_ms <= 86_400_000 else "stats_hour"
    at = f"date_trunc('{step}', at)" if step else "to_timestamp(0)"
    names = ", ".join([*by, "currency"])
    filters = "".join(f" and {name} = ${number}" for number, name in enumerate(only, 4))
    given: list[Any] = [*only.values()]
    behind = ""
    if after is not None:
        places = ", ".join(f"${4 + len(given) + n}" for n in range(len(after[1])))
        behind = f" and ({at}, {names}) > (to_timestamp({after[0] / 1000}), {places})"
        given += after[1]
        since_ms = max(since_ms, after[0]) if step else since_ms
    sql = (
        f"select {at} as at, {names}, sum(messages)::bigint, sum(parts)::bigint, sum(cost_micro)::bigint"
        f" from {table} where at >= $1 and at < $2 and ($3::text is null or client = $3){filters}{behind}"
        f" group by 1, {names} having sum(messages) <> 0 or sum(cost_micro) <> 0 order by 1, {names} limit {limit}"
    )
    found: list[Total] = []
    unit = DAY_MS if step == "day" else _HOUR_MS
    begin, length = since_ms, 4 * unit if step else until_ms - since_ms + unit
    while begin < until_ms and len(found) < limit:
        end = min(until_ms, begin - begin % unit + length)
        rows = await pool.fetch(sql, begin, end, client, *given)
        found += [_total(row, len(by)) for row in rows[: limit - len(found)]]
        begin, length = end, 4 * length
    return found


def _total(row: Sequence[Any], width: int) -> Total:
    return Total(row[0], tuple(row[1 : 1 + width]), *row[1 + width :])


AWAITED_DAYS: Final = 8


async def awaited(connection: asyncpg.Connection, now_ms: int) -> dict[str, tuple[int, int]]:
    """Carrier → messages with it that no receipt decided yet, and when the oldest was accepted, by the minute."""
    rows = await connection.fetch(
        "select carrier, sum(messages)::bigint, min(at) from (select carrier, at, sum(messages) as messages"
        " from stats_hour where at >= $1 and state = 'submitted' group by 1, 2 having sum(messages) > 0) h group by 1",
        now_ms - AWAITED_DAYS * 86_400_000,
    )
    found = {}
    for carrier, messages, hour_ms in rows:
        oldest = await connection.fetchval(
            "select min(at) from (select at from stats_minute where at >= $1 and at < $2 and state = 'submitted'"
            " and carrier = $3 group by at having sum(messages) > 0) m",
            hour_ms, hour_ms + 3_600_000, carrier,
        )  # fmt: skip
        found[carrier] = (messages, hour_ms if oldest is None else oldest)
    return found
