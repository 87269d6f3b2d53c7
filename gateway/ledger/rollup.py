"""Roll-ups: what changed messages add to and take from the buckets of `stats_minute` and `stats_hour`. Pure.

A message stands in the bucket of its accepting minute and of what it is now; a change books - old + new. Test messages
stand in none.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.ledger.rows import Booked, Bucket, Row, booked

HOUR_MS = 3_600_000

Delta = dict[Bucket, list[int]]
"""By bucket: messages, parts, cost in millionths."""


def book(rows: Iterable[Row]) -> Delta:
    """The difference between what the roll-ups have of these rows and what they are now; notes it in the rows."""
    delta: Delta = {}
    for row in rows:
        if row.test:
            continue
        now, old = booked(row), row.booked
        if now == old:
            continue
        _add(delta, now, 1)
        if old is not None:
            _add(delta, old, -1)
        row.booked = now
    return {bucket: sums for bucket, sums in delta.items() if any(sums)}


def _add(delta: Delta, booked: Booked, sign: int) -> None:
    bucket, parts, cost_micro = booked
    sums = delta.get(bucket)
    if sums is None:
        delta[bucket] = [sign, sign * parts, sign * cost_micro]
    else:
        sums[0] += sign
        sums[1] += sign * parts
        sums[2] += sign * cost_micro


def by_hour(delta: Delta) -> Delta:
    """The same for the hours."""
    hours: Delta = {}
    for (minute_ms, *rest), sums in delta.items():
        hour: Bucket = (minute_ms // HOUR_MS * HOUR_MS, *rest)  # type: ignore[assignment]
        total = hours.setdefault(hour, [0, 0, 0])
        for n, value in enumerate(sums):
            total[n] += value
    return {bucket: sums for bucket, sums in hours.items() if any(sums)}
