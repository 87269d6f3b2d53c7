"""Which rows of the roll-ups make up steps of time in a zone. Pure.

A step is put together from UTC days where that is less to read, and from quarters of an hour elsewhere: a local day is
the UTC day that has most of it, less the hours that belong to its neighbour. So every zone is right whose offset is
whole quarters of an hour, as all are today.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.ledger.slices import DAY_MS, QUARTER_MS

HOUR_MS: Final = 3_600_000
STEPS: Final = ("quarter", "hour", "day", "week", "month")

Step = tuple[int, int]
"""From, to (ms)."""


class Span(NamedTuple):
    """Rows of one grain between two times, and what they count for: (step, 1) adds, (step, -1) takes away."""

    grain: str
    begin_ms: int
    end_ms: int
    uses: tuple[tuple[int, int], ...]


def zone_of(name: str) -> ZoneInfo | None:
    """None: there is no such time zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def steps(since_ms: int, until_ms: int, step: str | None, zone: ZoneInfo) -> list[Step]:
    """The span in steps, widened to whole quarters of an hour; the first and the last may be shorter than a step."""
    since = since_ms - since_ms % QUARTER_MS
    until = -(-until_ms // QUARTER_MS) * QUARTER_MS
    if step is None:
        return [(since, until)] if since < until else []
    found, at = [], since
    while at < until:
        after = min(_next(at, step, zone), until)
        found.append((at, after))
        at = after
    return found


def _next(at_ms: int, step: str, zone: ZoneInfo) -> int:
    if step == "quarter":
        return at_ms + QUARTER_MS
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    if step == "hour":
        offset_ms = int((local.utcoffset() or timedelta()).total_seconds() * 1000)
        return at_ms - (at_ms + offset_ms) % HOUR_MS + HOUR_MS
    date = local.date()
    if step == "week":
        date += timedelta(days=7 - date.weekday())
    elif step == "month":
        date = (date.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        date += timedelta(days=1)
    midnight = datetime(date.year, date.month, date.day, tzinfo=zone)
    after = int(midnight.timestamp() * 1000)
    return max(after - after % QUARTER_MS, at_ms + QUARTER_MS)


def in_days(asked: Sequence[Step], until_ms: int) -> list[Step]:
    """The same where only UTC days are known before a time: what begins or ends earlier does so at midnight."""

    def whole(at: int) -> int:
        return at - at % DAY_MS if at < until_ms else at

    return [(whole(begin), whole(end)) for begin, end in asked if whole(begin) < whole(end)]


def with_hours(found: Sequence[Span]) -> list[Span]:
    """The same where there are rows of hours: of quarters only what is no whole hour is left."""
    hours: list[Span] = []
    for span in found:
        first = -(-span.begin_ms // HOUR_MS) * HOUR_MS
        last = span.end_ms // HOUR_MS * HOUR_MS
        if span.grain != "quarter" or first >= last:
            hours.append(span)
            continue
        for grain, begin, end in (("quarter", span.begin_ms, first), ("hour", first, last),
                                  ("quarter", last, span.end_ms)):  # fmt: skip
            if begin < end:
                hours.append(Span(grain, begin, end, span.uses))
    return hours


def spans(asked: Sequence[Step]) -> list[Span]:
    """What to read for these neighbouring steps."""
    found: list[Span] = []
    whole: list[tuple[int, int]] = []  # UTC days, and the step that each belongs to
    for day_ms, parts in _by_utc_day(asked):
        big = max(parts, key=lambda part: part[1][1] - part[1][0])
        step, (begin, end) = big
        if DAY_MS - (end - begin) > sum(e - b for _, (b, e) in parts) - (DAY_MS // 24):
            found += [Span("quarter", b, e, ((n, 1),)) for n, (b, e) in parts]
            continue
        whole.append((day_ms, step))
        others = {piece: n for n, piece in parts if piece != (begin, end)}
        for piece in _rest(day_ms, (begin, end), sorted(others)):
            own = ((others[piece], 1),) if piece in others else ()
            found.append(Span("quarter", *piece, (*own, (step, -1))))
    return [*_joined(whole), *found]


def _by_utc_day(asked: Sequence[Step]) -> list[tuple[int, list[tuple[int, Step]]]]:
    days: dict[int, list[tuple[int, Step]]] = {}
    for n, (begin, end) in enumerate(asked):
        day = begin - begin % DAY_MS
        while day < end:
            days.setdefault(day, []).append((n, (max(begin, day), min(end, day + DAY_MS))))
            day += DAY_MS
    return list(days.items())


def _rest(day_ms: int, big: Step, others: Sequence[Step]) -> list[Step]:
    """What of a day is not the big part, in pieces that are a step's or nobody's."""
    pieces, at = [], day_ms
    for begin, end in sorted([big, *others]):
        if at < begin:
            pieces.append((at, begin))
        if (begin, end) != big:
            pieces.append((begin, end))
        at = end
    if at < day_ms + DAY_MS:
        pieces.append((at, day_ms + DAY_MS))
    return pieces


def _joined(days: Sequence[tuple[int, int]]) -> list[Span]:
    joined: list[Span] = []
    for day_ms, step in days:
        if joined and joined[-1].end_ms == day_ms and joined[-1].uses == ((step, 1),):
            joined[-1] = joined[-1]._replace(end_ms=day_ms + DAY_MS)
        else:
            joined.append(Span("day", day_ms, day_ms + DAY_MS, ((step, 1),)))
    return joined
