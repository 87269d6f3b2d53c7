"""Reads the slices of statistics: sums of some columns over spans of accepting times.

In: a view, spans, dimensions, filters. Out: a row for each span and group. Never: a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.ledger.slices import DIMENSIONS, LATENCIES, VIEWS
from gateway.store.pool import Pool

MOST_ROWS: Final = 60_000
_VIEWS: Final = {view.name: view.dimensions for view in VIEWS}


class Found(msgspec.Struct, frozen=True, gc=False):
    """Sums of one group in one span."""

    span: int
    """The span's place in what was asked."""
    values: tuple[str, ...]
    currency: str
    sums: tuple[int, ...]
    """In the order of the columns asked for."""


def view_for(dimensions: set[str]) -> str:
    """The view with the fewest rows that knows all of these."""
    return next((name for name in ("clients", "carriers", "sides") if dimensions <= set(_VIEWS[name])), "all")


async def read(
    pool: Pool,
    table: str,
    spans: Sequence[tuple[int, int]],
    by: Sequence[str],
    only: Mapping[str, Sequence[str]],
    columns: Sequence[str],
) -> list[Found]:
    """`table`: grain and view, such as day_all. At most MOST_ROWS rows. Raises StoreAwayError."""
    assert {*by, *only} <= set(DIMENSIONS)
    if not spans:
        return []
    filters = "".join(f" and t.{name} = any(${n}::text[])" for n, name in enumerate(only, 4))
    names = "".join(f", t.{name}" for name in (*by, "currency"))
    sums = ", ".join(_sum(name) for name in columns)
    source = (
        f"unnest($1::timestamptz[], $2::timestamptz[], $3::int[]) as s(low, high, n)"
        f" join stats_{table} t on t.at >= s.low and t.at < s.high"
    )
    number, times = "s.n", ([low for low, _ in spans], [high for _, high in spans], list(range(len(spans))))
    given: tuple[Any, ...] = times
    if len(spans) == 1:  # one condition, so that several workers may read
        source, number = f"stats_{table} t", "0"
        filters = " and t.at >= $1::timestamptz and t.at < $2::timestamptz and $3::int = 0" + filters
        given = (*spans[0], 0)
    sql = (
        f"select {number}{names}, {sums} from {source} where true{filters} group by 1{names}"
        f" having num_nonnulls({sums}) > 0 limit {MOST_ROWS}"
    )
    rows = await pool.fetch(sql, *given, *map(list, only.values()))
    width = 1 + len(by)
    return [
        Found(row[0], tuple(row)[1:width], row[width], tuple(int(value or 0) for value in tuple(row)[width + 1 :]))
        for row in rows
    ]


def _sum(column: str) -> str:
    return f"sum(t.{column})" if column in LATENCIES else f"sum(t.{column})::bigint"
