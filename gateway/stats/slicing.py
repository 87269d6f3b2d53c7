"""Figures by steps of time and dimensions, for any zone, from the slices in PostgreSQL.

In: what is asked. Out: `Slice`s, oldest first. Never: a message, a decision about who may see what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from gateway.ledger.slices import COUNTS, DIMENSIONS, LATENCIES, STATES
from gateway.stats.figures import Figures, nothing
from gateway.stats.spans import Span, Step, spans, steps, with_hours
from gateway.store import figures
from gateway.store.figures import Found
from gateway.store.pool import Pool

MOST: Final = 10_000
"""Groups in an answer."""

BY: Final = (*DIMENSIONS, "state")


class Asked(msgspec.Struct, frozen=True):
    """A question. Times are widened to quarters of an hour."""

    since_ms: int
    until_ms: int
    by: tuple[str, ...] = ()
    step: str | None = None
    zone: ZoneInfo = ZoneInfo("UTC")
    only: Mapping[str, Sequence[str]] = {}
    latencies: bool = True


class Slice(msgspec.Struct, gc=False):
    """One group. `values` are those of `by`; `at_ms` is where its step begins."""

    at_ms: int
    values: tuple[str, ...]
    figures: Figures


async def slices(pool: Pool, asked: Asked) -> list[Slice]:
    """At most MOST of them. Raises StoreAwayError."""
    wanted = steps(asked.since_ms, asked.until_ms, asked.step, asked.zone)
    by = [name for name in asked.by if name != "state"]
    only = {name: values for name, values in asked.only.items() if name != "state"}
    view = figures.view_for({*by, *only})
    columns = [*COUNTS, *(LATENCIES if asked.latencies else ())]
    needed = spans(wanted) if asked.step not in ("quarter", "hour") else _quarters(wanted)
    tables = {"day": f"day_{view}", "quarter": "quarter_all"}
    if view != "all":
        needed, tables = with_hours(needed), tables | {"hour": f"hour_{view}"}
    found = await asyncio.gather(
        *(_read(pool, table, needed, grain, by, only, columns) for grain, table in tables.items())
    )
    groups = [(state,) for state in STATES] if "state" in asked.by else [STATES]
    if (states := asked.only.get("state")) is not None:
        groups = [chosen for group in groups if (chosen := tuple(s for s in group if s in states))]
    merged: dict[tuple[int, tuple[str, ...]], Figures] = {}
    for part in found:
        for group in groups:
            _merge(merged, part, asked.by, group)
    kept = [Slice(wanted[step][0], values, f) for (step, values), f in merged.items() if not f.is_nothing]
    kept.sort(key=lambda one: (one.at_ms, one.values))
    return kept[:MOST]


def _quarters(wanted: Sequence[Step]) -> list[Span]:
    return [Span("quarter", begin, end, ((n, 1),)) for n, (begin, end) in enumerate(wanted)]


_Part = tuple[Span, Found]


async def _read(
    pool: Pool,
    table: str,
    needed: Sequence[Span],
    grain: str,
    by: Sequence[str],
    only: Mapping[str, Sequence[str]],
    columns: Sequence[str],
) -> list[_Part]:
    mine = [span for span in needed if span.grain == grain]
    found = await figures.read(pool, table, [(s.begin_ms, s.end_ms) for s in mine], by, only, columns)
    return [(mine[one.span], one) for one in found]


def _merge(
    merged: dict[tuple[int, tuple[str, ...]], Figures], parts: Iterable[_Part], by: Sequence[str], states: Sequence[str]
) -> None:
    """Add these states of what was read."""
    kept = None if len(states) == len(STATES) else _kept(states)
    place = by.index("state") if "state" in by else None
    for span, one in parts:
        sums, values = one.sums, one.values
        if kept is not None:
            sums = tuple(number if keep else 0 for number, keep in zip(sums, kept, strict=False))
            if not any(sums):
                continue
        if place is not None:
            values = (*values[:place], states[0], *values[place:])
        for step, sign in span.uses:
            figures_ = merged.get((step, values))
            if figures_ is None:
                figures_ = merged[step, values] = nothing()
            figures_.add(one.currency, sums, sign)


def _kept(states: Sequence[str]) -> list[bool]:
    """Which sums are those of the states: latencies to submit are of all states, those to delivery of one."""
    counts = [COUNTS.index(state) for state in states]
    kept = [any(at <= n < at + 3 for at in counts) for n in range(len(COUNTS))]
    return [*kept, False, "delivered" in states]
