"""Roll-ups: what changed messages add to and take from the buckets of `stats_minute` and `stats_hour`. Pure.

A message stands in the bucket of its accepting minute and of what it is now; a change books - old + new. Test messages
stand in none. The slices of statistics (slices.py) are booked by the same moves.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.ledger.rows import Bucket, Cell, Places, Row, cell_of, took
from gateway.ledger.slices import Slices

HOUR_MS = 3_600_000

Delta = dict[Bucket, list[int]]
"""By bucket: messages, parts, cost in millionths."""


def book(rows: Iterable[Row], slices: Slices | None = None) -> Delta:
    """The difference between what the roll-ups have of these rows and what they are now; notes it in the rows, and adds
    it to `slices`.

    Counts moves first: thousands of rows make the same one.
    """
    moves: dict[tuple[object, ...], _Move] = {}
    get, places = moves.get, Places()
    for row in rows:
        if row.test:
            continue
        old = row.bucket
        key: tuple[object, ...]
        if old is None:
            key = (
                places[row.id[:8]], row.client, row.klass, row.tag, row.sender, row.country, row.state, row.carrier,
                row.operator, row.currency, row.reason,
            )  # fmt: skip
        else:
            key = (id(old), row.state, row.carrier, row.operator, row.currency, row.reason)
        move = get(key)
        if move is None:
            move = moves[key] = _Move(old, cell_of(row))
        parts, cost_micro, took_now = row.parts, row.cost_micro, took(row)
        move.messages += 1
        move.parts += parts
        move.cost_micro += cost_micro
        if took_now:
            move.took.append(took_now)
        row.bucket = move.new
        if old is not None:
            move.old_parts += row.booked_parts
            move.old_cost_micro += row.booked_cost
            if row.booked_took:
                move.old_took.append(row.booked_took)
        if row.booked_parts != parts:
            row.booked_parts = parts
        if row.booked_cost != cost_micro:
            row.booked_cost = cost_micro
        row.booked_took = took_now
    delta: Delta = {}
    for move in moves.values():
        move.add(delta, slices)
    return {bucket: sums for bucket, sums in delta.items() if any(sums)}


class _Move:
    """Rows that go from one cell (None: they are new) to another."""

    __slots__ = ("cost_micro", "messages", "new", "old", "old_cost_micro", "old_parts", "old_took", "parts", "took")

    def __init__(self, old: Cell | None, new: Cell) -> None:
        self.old, self.new = old, new
        self.messages = self.parts = self.cost_micro = self.old_parts = self.old_cost_micro = 0
        self.took, self.old_took = list[int](), list[int]()

    def add(self, delta: Delta, slices: Slices | None) -> None:
        """Book it."""
        new, old = self.new, self.old
        _add(delta, new[:9], self.messages, self.parts, self.cost_micro)
        if slices is not None:
            slices.add(new, self.messages, self.parts, self.cost_micro, self.took)
        if old is not None:
            _add(delta, old[:9], -self.messages, -self.old_parts, -self.old_cost_micro)
            if slices is not None:
                slices.take(old, self.messages, self.old_parts, self.old_cost_micro, self.old_took)


def _add(delta: Delta, bucket: Bucket, messages: int, parts: int, cost_micro: int) -> None:
    sums = delta.setdefault(bucket, [0, 0, 0])
    sums[0] += messages
    sums[1] += parts
    sums[2] += cost_micro


def by_hour(delta: Delta) -> Delta:
    """The same for the hours."""
    hours: Delta = {}
    for (minute_ms, *rest), sums in delta.items():
        hour: Bucket = (minute_ms // HOUR_MS * HOUR_MS, *rest)  # type: ignore[assignment]
        total = hours.setdefault(hour, [0, 0, 0])
        for n, value in enumerate(sums):
            total[n] += value
    return {bucket: sums for bucket, sums in hours.items() if any(sums)}
