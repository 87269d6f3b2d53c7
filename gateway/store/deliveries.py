"""Counts of deliveries by time of sending: what a fold adds, and what an estimate reads.

In: rows of counts as gateway/deliveries.py has them. Out: the same, over all shards. Never: a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import asyncpg

from gateway.deliveries import ENDS_S, WIDTH, Delta
from gateway.store.pool import Pool

COLUMNS: Final = ("sent", *(f"within_{end}s" for end in ENDS_S), "later", "failed")
_ADD: Final = (
    f"insert into deliveries (at, shard, class, carrier, operator, {', '.join(COLUMNS)})"
    " select * from unnest($1::timestamptz[], $2::smallint[], $3::text[], $4::text[], $5::text[], "
    + ", ".join(f"${n}::bigint[]" for n in range(6, 6 + WIDTH))
    + ") on conflict (at, shard, class, carrier, operator) do update set "
    + ", ".join(f"{name} = deliveries.{name} + excluded.{name}" for name in COLUMNS)
)
_READ: Final = (
    f"select at, class, carrier, operator, {', '.join(f'sum({name})::bigint' for name in COLUMNS)}"
    " from deliveries join unnest($1::text[], $2::timestamptz[]) as wanted(class, since) using (class)"
    " where at >= $3 and at >= since group by at, class, carrier, operator"
)

Read = dict[tuple[str, int], dict[tuple[str, str], list[int]]]
"""By class and time (ms): by carrier and operator the counts."""


async def add(connection: asyncpg.Connection, delta: Delta) -> None:
    """In the order of the keys, so that two writers never wait for each other in a circle."""
    if delta:
        columns = zip(*((*counted, *row) for counted, row in sorted(delta.items())), strict=True)
        await connection.execute(_ADD, *map(list, columns))


async def read(pool: Pool, since_ms: Mapping[str, int], changed_since_ms: int = 0) -> Read:
    """Rows of each class from a time on; of all none from before `changed_since_ms`. Raises StoreAwayError."""
    since = max(min(since_ms.values()), changed_since_ms)
    found: Read = {}
    for at_ms, klass, carrier, operator, *row in await pool.fetch(
        _READ, list(since_ms), list(since_ms.values()), since
    ):
        found.setdefault((klass, at_ms), {})[carrier, operator] = row
    return found


async def forget(pool: Pool, before_ms: int) -> None:
    """Drop rows that are older. Raises StoreAwayError."""
    await pool.execute("delete from deliveries where at < $1", before_ms)
