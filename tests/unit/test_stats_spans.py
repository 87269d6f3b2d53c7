"""Steps of time in any zone, put together from UTC days and quarters of an hour."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.slices import DAY_MS, QUARTER_MS
from gateway.stats.spans import Span, spans, steps, with_hours, zone_of

BEGIN_MS = int(datetime(2026, 3, 20, 0, 0, tzinfo=UTC).timestamp() * 1000)
ZONES = (
    "UTC",
    "Europe/Moscow",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Pacific/Chatham",
)


def quarters(found: list[Span]) -> Counter[tuple[int, int]]:
    """How often each quarter counts for each step."""
    counted: Counter[tuple[int, int]] = Counter()
    for span in found:
        for at in range(span.begin_ms, span.end_ms, QUARTER_MS):
            for step, sign in span.uses:
                counted[step, at] += sign
    return Counter({key: number for key, number in counted.items() if number})


@settings(max_examples=60)
@given(
    st.sampled_from(ZONES),
    st.sampled_from((None, "hour", "day", "week", "month")),
    st.integers(0, 40 * 96),
    st.integers(1, 20 * 96),
)
def test_every_quarter_counts_once_and_for_its_own_step(zone: str, step: str | None, first: int, length: int) -> None:
    since = BEGIN_MS + first * QUARTER_MS
    asked = steps(since, since + length * QUARTER_MS, step, ZoneInfo(zone))
    found = spans(asked)
    expected = {(n, at): 1 for n, (low, high) in enumerate(asked) for at in range(low, high, QUARTER_MS)}
    assert quarters(found) == quarters(with_hours(found)) == expected
    assert all(
        one.begin_ms % 3_600_000 == one.end_ms % 3_600_000 == 0 for one in with_hours(found) if one.grain == "hour"
    )
    assert {at for _, at in expected} == set(range(since, since + length * QUARTER_MS, QUARTER_MS))


@pytest.mark.parametrize("zone", ZONES)
def test_days_begin_at_midnight_of_the_zone(zone: str) -> None:
    asked = steps(BEGIN_MS, BEGIN_MS + 20 * DAY_MS, "day", ZoneInfo(zone))
    for begin, _ in asked[1:]:
        local = datetime.fromtimestamp(begin / 1000, ZoneInfo(zone))
        assert (local.hour, local.minute) == (0, 0)


def test_a_month_in_moscow_reads_three_hours_of_each_day_by_quarters() -> None:
    zone = ZoneInfo("Europe/Moscow")
    begin = int(datetime(2026, 3, 1, tzinfo=zone).timestamp() * 1000)
    found = spans(steps(begin, begin + 30 * DAY_MS, "day", zone))
    read = sum(span.end_ms - span.begin_ms for span in found if span.grain == "quarter")
    assert read <= 31 * DAY_MS // 8
    (whole,) = spans(steps(BEGIN_MS, BEGIN_MS + 30 * DAY_MS, None, ZoneInfo("UTC")))
    assert whole == Span("day", BEGIN_MS, BEGIN_MS + 30 * DAY_MS, ((0, 1),))


def test_times_are_widened_to_quarters_and_unknown_zones_are_told() -> None:
    assert steps(BEGIN_MS + 1, BEGIN_MS + 2, None, ZoneInfo("UTC")) == [(BEGIN_MS, BEGIN_MS + QUARTER_MS)]
    assert steps(BEGIN_MS, BEGIN_MS, None, ZoneInfo("UTC")) == []
    assert (zone_of("Mars/Base"), zone_of("../etc/passwd"), zone_of("")) == (None, None, None)
