"""Reads the slices of statistics: sums over spans of accepting times, added up by PostgreSQL, a page at a time.

In: spans of tables and the steps that each counts for, dimensions, filters. Out: a row for each step, group and
currency, in order. Never: a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from gateway.ledger.slices import DIMENSIONS, GRAINS, LATENCIES, STATES

_GRAINS: Final = {**GRAINS, "week": 7 * GRAINS["day"]}
_PREPARE: Final = "select set_config('work_mem', '64MB', true)"


class Part(NamedTuple):
    """Rows of one table between two times, and what they count for: (step, 1) adds, (step, -1) takes away."""

    table: str
    begin_ms: int
    end_ms: int
    uses: tuple[tuple[int, int], ...]


class Wanted(msgspec.Struct, frozen=True):
    """What is asked of some parts. `after`: only groups behind this step and these values."""

    by: Sequence[str]
    only: Mapping[str, Sequence[str]]
    columns: Sequence[str]
    rows: int
    after: tuple[int, tuple[str, ...]] | None = None
    between: tuple[Sequence[str], tuple[str, ...], tuple[str, ...]] | None = None
    """Dimensions, and from and to which values of theirs, both included."""


class Found(NamedTuple):
    """Sums of one group in one currency."""

    step: int
    values: tuple[str, ...]
    currency: str
    sums: tuple[int | str | None, ...]
    """In the order of the columns asked for; histograms as decimal numbers in text."""
    read: int
    """How many rows it was added up from."""


async def read(connection: asyncpg.Connection, parts: Sequence[Part], wanted: Wanted) -> list[Found]:
    """In the order of step and values, at most `rows` of them and what belongs to the last one's group."""
    if not parts:
        return []
    query = _Query(parts, wanted)
    await connection.execute(_PREPARE)
    rows = await connection.fetch(query.sql, *query.given)
    width = 1 + len(wanted.by)
    return [Found(row[0], row[1:width], row[width], row[width + 1 : -1], row[-1]) for row in map(tuple, rows)]


async def expected(connection: asyncpg.Connection, parts: Sequence[Part], only: Mapping[str, Sequence[str]]) -> int:
    """About how many rows they have, as PostgreSQL's own statistics say."""
    given = [*only.values(), *(at for part in parts for at in (part.begin_ms, part.end_ms))]
    filters = "".join(f" and t.{name} = any(${n}::text[])" for n, name in enumerate(only, 1))
    rows = " union all ".join(
        f"select from {part.table} t where t.at >= ${n}::timestamptz and t.at < ${n + 1}::timestamptz{filters}"
        for n, part in zip(range(len(only) + 1, len(given), 2), parts, strict=True)
    )
    plan = await connection.fetchval(f"explain (format json) {rows}", *given)
    found: int = msgspec.json.decode(plan)[0]["Plan"]["Plan Rows"]
    return found


class _Query:
    """The statement and what it is given."""

    def __init__(self, parts: Sequence[Part], wanted: Wanted) -> None:
        assert {*wanted.by, *wanted.only, *(wanted.between or ((),))[0]} <= set(DIMENSIONS)
        self.given: list[Any] = []
        self._wanted = wanted
        self._keys = "".join(f", t.{name}" for name in (*wanted.by, "currency"))
        self._sums = "".join(f", sum(t.{name}) as {name}" for name in wanted.columns) + ", count(*) as read"
        self._filters = "".join(
            f" and t.{name} = any({self._give(list(values))}::text[])" for name, values in wanted.only.items()
        )
        if wanted.between is not None:
            names, *bounds = wanted.between
            row = ", ".join(f"t.{name}" for name in names)
            for sign, values in zip((">=", "<="), bounds, strict=True):
                self._filters += f" and ({row}) {sign} ({', '.join(f'{self._give(v)}::text' for v in values)})"
        uses = {part.uses for part in parts}
        tables = {
            table: [(n, part) for n, part in enumerate(parts) if part.table == table]
            for table in dict.fromkeys(part.table for part in parts)
        }
        if len(uses) == 1 and [sign for _, sign in parts[0].uses] == [1]:
            found = self._at_once(parts[0].uses[0][0], tables)
        else:
            found = self._added(parts, " union all ".join(self._by_span(*one) for one in tables.items()))
        self.sql = self._page(found)

    def _give(self, value: Any) -> str:
        self.given.append(value)
        return f"${len(self.given)}"

    def _within(self, parts: Sequence[Part]) -> str:
        """Bounds over all of them keep other days' partitions out of the plan."""
        low, high = min(part.begin_ms for part in parts), max(part.end_ms for part in parts)
        return f"t.at >= {self._give(low)}::timestamptz and t.at < {self._give(high)}::timestamptz{self._filters}"

    def _at_once(self, step: int, tables: Mapping[str, Sequence[tuple[int, Part]]]) -> str:
        """All parts count for one step."""
        columns = ", ".join(f"t.{name}" for name in (*self._wanted.by, "currency", *self._wanted.columns))
        rows = " union all ".join(
            f"select {columns} from {table} t where {self._within([part])}"
            for table, parts in tables.items()
            for _, part in parts
        )
        return f"select {step} as n{self._keys}{self._sums} from ({rows}) t group by 1{self._keys}"

    def _by_span(self, table: str, parts: Sequence[tuple[int, Part]]) -> str:
        """Each span by the index, also while nothing is known of how large a table is; all at once where each is one of
        the table's own steps."""
        if all(part.end_ms - part.begin_ms == _GRAINS[table.split("_")[1]] for _, part in parts):
            lows, numbers = self._give([p.begin_ms for _, p in parts]), self._give([n for n, _ in parts])
            return (
                f"(select s.n{self._keys}{self._sums} from {table} t"
                f" join unnest({lows}::timestamptz[], {numbers}::int[]) as s(low, n) on t.at = s.low"
                f" where {self._within([part for _, part in parts])} group by s.n{self._keys})"
            )
        columns = ([p.begin_ms for _, p in parts], [p.end_ms for _, p in parts], [n for n, _ in parts])
        kinds = ("timestamptz", "timestamptz", "int")
        spans = ", ".join(f"{self._give(one)}::{kind}[]" for one, kind in zip(columns, kinds, strict=True))
        keys = self._keys.removeprefix(", ")
        return (
            f"(select s.n, f.* from unnest({spans}) as s(low, high, n) cross join lateral (select {keys}{self._sums}"
            f" from {table} t where t.at >= s.low and t.at < s.high and {self._within([p for _, p in parts])}"
            f" group by {keys}) f)"
        )

    def _added(self, parts: Sequence[Part], found: str) -> str:
        """What spans count for, added up unless each step has but one span."""
        uses = [(n, step, sign) for n, part in enumerate(parts) for step, sign in part.uses]
        arrays = ", ".join(f"{self._give(list(one))}::int[]" for one in zip(*uses, strict=True))
        source = f"from ({found}) t join unnest({arrays}) as u(n, step, sign) on u.n = t.n"
        if len({step for _, step, _ in uses}) == len(uses) and all(sign == 1 for *_, sign in uses):
            columns = "".join(f", t.{name}" for name in (*self._wanted.columns, "read"))
            return f"select u.step as n{self._keys}{columns} {source}"
        sums = "".join(
            f", sum(case u.sign when 1 then t.{name} else -t.{name} end) as {name}" for name in self._wanted.columns
        )
        return f"select u.step as n{self._keys}{sums}, sum(t.read) as read {source} group by u.step{self._keys}"

    def _page(self, found: str) -> str:
        wanted = self._wanted
        order = ", ".join(("g.n", *(f"g.{name}" for name in wanted.by)))
        some = " or ".join(f"g.{name} <> 0" for name in wanted.columns if name in STATES)
        behind = ""
        if wanted.after is not None:
            step, values = wanted.after
            after = ", ".join((f"{self._give(step)}::int", *(f"{self._give(value)}::text" for value in values)))
            behind = f" and ({order}) > ({after})"
        sums = ", ".join(f"g.{name}::text" if name in LATENCIES else f"g.{name}::bigint" for name in wanted.columns)
        keys = ", ".join(("g.n", *(f"g.{name}" for name in wanted.by), "g.currency"))
        return (
            f"select {keys}, {sums}, g.read::bigint from ({found}) g where ({some}){behind}"
            f" order by {order} fetch first {wanted.rows} rows with ties"
        )
