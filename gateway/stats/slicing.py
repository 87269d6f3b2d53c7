"""Figures by steps of time and dimensions, for any zone, from the slices in PostgreSQL, a page at a time.

In: what is asked. Out: `Slice`s, oldest first. Never: a message, a decision about who may see what.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from gateway.ledger.slices import COUNTS, DAY_MS, DIMENSIONS, HOUR_MS, LATENCIES, STATES
from gateway.stats import sources
from gateway.stats.figures import Figures, nothing
from gateway.stats.reading import MOST, UTC, Asked, Place, Reading, parts_of
from gateway.stats.spans import Step, in_days, steps
from gateway.store import figures, summaries
from gateway.store.figures import Found, Wanted
from gateway.store.pool import Pool
from gateway.store.retention import kept_since

BY: Final = (*DIMENSIONS, "state")
_FIRST_MS: Final = {"quarter": 3 * HOUR_MS, "hour": 6 * HOUR_MS, "day": 2 * DAY_MS}
_MORE: Final = defaultdict(lambda: 8.0, quarter=3.0, hour=3.0)
"""Of a long time in small steps so much is read first; then what the page seems to lack, at most so many times that:
mornings have more messages than nights."""


class Slice(msgspec.Struct, gc=False):
    """One group. `values` are those of `by`; `at_ms` is where its step begins."""

    at_ms: int
    values: tuple[str, ...]
    figures: Figures


class Page(msgspec.Struct, frozen=True):
    """Some groups; `next` is behind which the page after begins, None: there is none."""

    slices: Sequence[Slice]
    next: Place | None


async def slices(pool: Pool, asked: Asked) -> list[Slice]:
    """All, but at most `limit`. Raises StoreAwayError."""
    return list((await page(pool, asked)).slices)


async def windows(pool: Pool, asked: Sequence[Step], by: Sequence[str], columns: Sequence[str]) -> list[list[Slice]]:
    """All groups of each of some spans, which may lie apart, read at once. Of figures only these columns. Raises
    StoreAwayError."""
    found: list[dict[tuple[str, ...], Slice]] = [{} for _ in asked]
    async with pool.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        spans_ = [(n, whole) for n, one in enumerate(asked) for whole in steps(*one, None, UTC)]
        if (until_ms := await _days_until(connection)) is not None:
            spans_ = [(n, whole) for n, one in spans_ for whole in in_days([one], until_ms)]
        parts = parts_of(sources.booked({*by}), {*by}, [one for _, one in spans_], "hour", summaries.NOTHING)
        rows = await figures.read(connection, parts, Wanted(by, {}, columns, MOST * len(asked)))
    for row in rows:
        n, (begin_ms, _) = spans_[row.step]
        if (slice_ := found[n].get(row.values)) is None:
            slice_ = found[n][row.values] = Slice(begin_ms, row.values, nothing())
        slice_.figures.add_columns(row.currency, columns, row.sums)
    return [list(one.values()) for one in found]


async def page(pool: Pool, asked: Asked) -> Page:
    """At most `limit` groups, unless the states of one are more. Pages follow each other by `at_ms` and the values but
    the state; all of a group's states are in one. Raises StoreAwayError."""
    wanted = steps(asked.since_ms, asked.until_ms, asked.step, asked.zone)
    if asked.after is not None:
        wanted = [one for one in wanted if one[0] >= asked.after[0]]
    states = _states(asked)
    if not wanted or not states:
        return Page([], None)
    by = [name for name in asked.by if name != "state"]
    only = {name: values for name, values in asked.only.items() if name != "state"}
    view = sources.booked({*by, *only})
    async with pool.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        fresh = summaries.NOTHING
        if (until_ms := await _days_until(connection)) is not None:
            wanted = in_days(wanted, until_ms)
        if wanted and (view is None or any(end - begin > summaries.WEEK_MS for begin, end in wanted)):
            fresh = await summaries.fresh(connection, wanted[0][0], wanted[-1][1])
        reading = Reading(connection, asked, by, only, _columns(states, asked.latencies), fresh)
        at, most_ms = 0, 0 if view is None else _FIRST_MS.get(asked.step or "", asked.until_ms)
        while at < len(wanted) and not reading.is_cut:
            some = _some(wanted, at, most_ms)
            known, read = len(reading.groups), reading.rows
            await reading.add(view, some)
            at += len(some)
            left = reading.left(reading.rows - read)
            reading.is_cut |= left <= 0 and at < len(wanted)
            most_ms = int((some[-1][1] - some[0][0]) * min(_MORE[asked.step or ""], 1.2 * reading.lacking(known), left))
    return _page(reading.groups, reading.is_cut, asked, states, reading.columns)


async def _days_until(connection: asyncpg.Connection) -> int | None:
    """Of what was before, only days are known; None: everything is."""
    kept = await kept_since(connection, "stats_quarter_all")
    return None if kept is None else int(datetime.combine(kept, datetime.min.time(), UTC).timestamp() * 1000)


def _some(wanted: Sequence[Step], at: int, most_ms: int) -> Sequence[Step]:
    """Steps that are read at once: one at least."""
    end = at + 1
    while end < len(wanted) and wanted[end][1] - wanted[at][0] <= most_ms:
        end += 1
    return wanted[at:end]


def _states(asked: Asked) -> list[Sequence[str]]:
    """States that are counted together."""
    groups: list[Sequence[str]] = [(state,) for state in STATES] if "state" in asked.by else [STATES]
    if (states := asked.only.get("state")) is not None:
        groups = [chosen for group in groups if (chosen := [s for s in group if s in states])]
    return groups


def _columns(states: Sequence[Sequence[str]], latencies: bool) -> list[str]:
    """What is to be summed. Latencies to submit are of all states, those to delivery of one."""
    counted = {state for group in states for state in group}
    found = [name for n, name in enumerate(COUNTS) if STATES[n // 3] in counted]
    if latencies and "delivered" in counted:
        found += LATENCIES if len(states[0]) == len(STATES) else LATENCIES[1:]
    return found


def _page(
    groups: Mapping[Place, Sequence[Found]],
    is_cut: bool,
    asked: Asked,
    states: Sequence[Sequence[str]],
    columns: Sequence[str],
) -> Page:
    place = asked.by.index("state") if "state" in asked.by else None
    kept: list[Slice] = []
    last: Place | None = None
    for (at_ms, values), found in groups.items():
        some = []
        for group in states:
            if not (sums := _figures(found, group, columns)).is_nothing:
                named = values if place is None else (*values[:place], group[0], *values[place:])
                some.append(Slice(at_ms, named, sums))
        if kept and len(kept) + len(some) > asked.limit:
            is_cut = True
            break
        kept += some
        last = at_ms, values
    kept.sort(key=lambda one: (one.at_ms, one.values))
    return Page(kept, last if is_cut else None)


def _figures(found: Sequence[Found], states: Sequence[str], columns: Sequence[str]) -> Figures:
    """These states of one group, whatever the currencies."""
    figures_ = nothing()
    for one in found:
        if len(states) == len(STATES):
            figures_.add_all(one.currency, one.sums)
        else:
            figures_.add(one.currency, dict(zip(columns, one.sums, strict=True)), states)
    return figures_
