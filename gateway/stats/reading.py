"""Reads the groups of a question in PostgreSQL, as far as a page needs them.

In: what is asked, steps of time. Out: rows by step and values, in order. Never: a figure that is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from gateway.ledger.slices import STATES
from gateway.stats import sources
from gateway.stats.spans import Span, Step, spans
from gateway.stats.stretches import FEW, Bounds, Stretches, first_of
from gateway.store import figures
from gateway.store.figures import Found, Part, Wanted
from gateway.store.summaries import BOOKED, Fresh

MOST: Final = 10_000
"""Groups in an answer."""

UTC: Final = ZoneInfo("UTC")

Place = tuple[int, tuple[str, ...]]
"""Where a group stands: `at_ms` and its values but the state."""

A_PAGE: Final = 3 * FEW
"""Rows that are read at once; of more a page reads stretches, and about so many rows, though it is a short one."""

_EVERY: Final = 100_000


class Asked(msgspec.Struct, frozen=True):
    """A question. Times are widened to quarters of an hour. `after`: what `Page.next` of the page before
    was."""

    since_ms: int
    until_ms: int
    by: tuple[str, ...] = ()
    step: str | None = None
    zone: ZoneInfo = UTC
    only: Mapping[str, Sequence[str]] = {}
    latencies: bool = True
    limit: int = MOST
    after: Place | None = None
    most_rows: int | None = None
    """Rather a short page than to add up many more rows; None: a page is full or the last one."""


class Reading:
    """What a page has so far. `is_cut`: there is more behind it."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        asked: Asked,
        by: Sequence[str],
        only: Mapping[str, Sequence[str]],
        columns: Sequence[str],
        fresh: Fresh,
    ) -> None:
        self.groups: dict[Place, list[Found]] = {}
        self.rows = 0
        self.is_cut = False
        self.columns = columns
        self._connection, self._asked, self._by, self._only, self._fresh = connection, asked, by, only, fresh

    def lacking(self, known: int) -> float:
        """How many times what was read since `known` groups the page still needs."""
        return (self._asked.limit + 1 - len(self.groups)) / max(1, len(self.groups) - known)

    def left(self, lately: int) -> float:
        """How many times so many rows may still be read."""
        if self._asked.most_rows is None or not self.groups:
            return math.inf
        return (self._asked.most_rows - self.rows) / max(1, lately)

    async def add(self, view: str | None, some: Sequence[Step]) -> None:
        """The groups of these steps: all, or as many as the page needs."""
        parts = parts_of(view, {*self._by, *self._only}, some, self._asked.step, self._fresh)
        after = self._asked.after
        values = after[1] if after is not None and some[0][0] == after[0] else None
        if view is None and len(some) == 1 and (stretches := await self._stretches(parts, some, values)):
            await self._add_stretches(stretches, parts, some, values)
        else:
            await self._read(parts, some, values, None)

    async def _add_stretches(
        self, stretches: Stretches, parts: Sequence[Part], some: Sequence[Step], after: tuple[str, ...] | None
    ) -> None:
        while stretches.are_left and not self.is_cut:
            known = len(self.groups)
            await self._read(parts, some, after, stretches.next())
            left = math.inf if self._asked.most_rows is None or not self.groups else A_PAGE - self.rows
            self.is_cut |= left < FEW and stretches.are_left
            stretches.widen(self.lacking(known), left)

    async def _stretches(
        self, parts: Sequence[Part], some: Sequence[Step], after: tuple[str, ...] | None
    ) -> Stretches | None:
        """None: all are read at once."""
        dimensions = first_of(self._by)
        if not dimensions or (rows := await figures.expected(self._connection, parts, self._only)) <= A_PAGE:
            return None
        view = sources.booked({*dimensions})
        known = BOOKED[view] if view else ()
        only = {name: values for name, values in self._only.items() if name in known}
        of_view = parts_of(view, {*dimensions}, some, self._asked.step, self._fresh)
        found = await figures.read(self._connection, of_view, Wanted(dimensions, only, STATES, _EVERY))
        values: dict[tuple[str, ...], int] = {}
        for one in found:
            if after is None or one.values >= after[: len(dimensions)]:
                values[one.values] = values.get(one.values, 0) + sum(int(number or 0) for number in one.sums)
        return Stretches(dimensions, list(values.items()), rows)

    async def _read(
        self, parts: Sequence[Part], some: Sequence[Step], after: tuple[str, ...] | None, between: Bounds | None
    ) -> None:
        rows = 2 * (self._asked.limit + 1 - len(self.groups))
        behind = None if after is None else (0, after)
        found = await figures.read(
            self._connection, parts, Wanted(self._by, self._only, self.columns, rows, behind, between)
        )
        for one in found:
            self.groups.setdefault((some[one.step][0], one.values), []).append(one)
        self.rows += sum(one.read for one in found)
        self.is_cut = len(found) >= rows or len(self.groups) > self._asked.limit


def parts_of(
    view: str | None, dimensions: set[str], wanted: Sequence[Step], step: str | None, fresh: Fresh
) -> list[Part]:
    """Which rows have these dimensions of these steps; `view`: a booked one, None: summaries."""
    needed = spans(wanted)
    if step in ("quarter", "hour"):
        needed = [Span("quarter", begin, end, ((n, 1),)) for n, (begin, end) in enumerate(wanted)]
    if view is not None:
        return sources.booked_parts(view, needed, fresh)
    return sources.summed_parts(sources.summary(dimensions), needed, fresh)
