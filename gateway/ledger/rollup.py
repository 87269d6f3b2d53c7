"""Roll-ups: what changed messages add to and take from the buckets of `stats_minute` and `stats_hour`. Pure.

A message stands in the bucket of its accepting minute and of what it is now; a change books - old + new. Test messages
stand in none.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.ledger.rows import Bucket, Places, Row, bucket_of

HOUR_MS = 3_600_000

Delta = dict[Bucket, list[int]]
"""By bucket: messages, parts, cost in millionths."""


def book(rows: Iterable[Row]) -> Delta:
    """The difference between what the roll-ups have of these rows and what they are now; notes it in the rows.

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
            place = places[row.id[:8]]
            key = (place, row.client, row.klass, row.tag, row.state, row.carrier, row.operator, row.currency)
        else:
            key = (id(old), row.state, row.carrier, row.operator, row.currency)
        move = get(key)
        if move is None:
            move = moves[key] = _Move(old, bucket_of(row))
        parts, cost_micro = row.parts, row.cost_micro
        move.messages += 1
        move.parts += parts
        move.cost_micro += cost_micro
        row.bucket = move.new
        if old is not None:
            move.old_parts += row.booked_parts
            move.old_cost_micro += row.booked_cost
        if row.booked_parts != parts:
            row.booked_parts = parts
        if row.booked_cost != cost_micro:
            row.booked_cost = cost_micro
    delta: Delta = {}
    for move in moves.values():
        _add(delta, move.new, move.messages, move.parts, move.cost_micro)
        if move.old is not None:
            _add(delta, move.old, -move.messages, -move.old_parts, -move.old_cost_micro)
    return {bucket: sums for bucket, sums in delta.items() if any(sums)}


class _Move:
    """Rows that go from one bucket (None: they are new) to another."""

    __slots__ = ("cost_micro", "messages", "new", "old", "old_cost_micro", "old_parts", "parts")

    def __init__(self, old: Bucket | None, new: Bucket) -> None:
        self.old, self.new = old, new
        self.messages = self.parts = self.cost_micro = self.old_parts = self.old_cost_micro = 0


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
