"""Seconds to months as limits count them: no moment is in two periods or in none, whatever clocks do."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plan.periods import FIXED_MS, bounds

ZONES = ("Europe/Moscow", "UTC", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns")
PERIODS = (*FIXED_MS, "day", "month")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@given(
    st.integers(min_value=ms("2000-01-01T00:00+00:00"), max_value=ms("2037-12-31T00:00+00:00")),
    st.sampled_from(PERIODS),
    st.sampled_from(ZONES),
)
def test_every_moment_lies_in_one_period_and_the_next_begins_where_it_ends(now: int, per: str, zone: str) -> None:
    begin, end = bounds(now, per, zone)
    assert begin <= now < end
    assert bounds(begin, per, zone) == (begin, end) == bounds(end - 1, per, zone)
    assert bounds(end, per, zone)[0] == end
    assert bounds(begin - 1, per, zone)[1] == begin


@given(
    st.integers(min_value=ms("2000-01-01T00:00+00:00"), max_value=ms("2037-12-31T00:00+00:00")),
    st.sampled_from(("Europe/Moscow", "UTC", "Australia/Lord_Howe", "America/St_Johns")),
)
def test_a_day_and_a_month_are_those_of_the_calendar_there(now: int, zone: str) -> None:
    local = datetime.fromtimestamp(now / 1000, ZoneInfo(zone))
    for per in ("day", "month"):
        begin = datetime.fromtimestamp(bounds(now, per, zone)[0] / 1000, ZoneInfo(zone))
        last = datetime.fromtimestamp((bounds(now, per, zone)[1] - 1) / 1000, ZoneInfo(zone))
        assert (begin.year, begin.month, last.year, last.month) == (local.year, local.month) * 2
        if per == "day":
            assert begin.date() == last.date() == local.date()


@pytest.mark.parametrize(
    ("now", "per", "zone", "hours"),
    [
        ("2026-03-29T12:00+02:00", "day", "Europe/Berlin", 23),
        ("2026-10-25T12:00+01:00", "day", "Europe/Berlin", 25),
        ("2026-10-20T12:00+01:00", "month", "Europe/Berlin", 31 * 24 + 1),
        ("2026-03-10T12:00+01:00", "month", "Europe/Berlin", 31 * 24 - 1),
        ("2024-02-29T23:59+03:00", "month", "Europe/Moscow", 29 * 24),
        ("2018-11-04T12:00-02:00", "day", "America/Sao_Paulo", 23),  # its midnight does not exist
    ],
)
def test_days_and_months_with_a_change_of_the_clock_are_shorter_or_longer(
    now: str, per: str, zone: str, hours: int
) -> None:
    begin, end = bounds(ms(now), per, zone)
    assert (end - begin) / 3_600_000 == hours


def test_an_hour_that_comes_twice_over_midnight_belongs_to_one_day() -> None:
    """In São Paulo clocks went from 24:00 back to 23:00 of the same day."""
    zone, twice = "America/Sao_Paulo", datetime(2018, 2, 17, 23, 30, tzinfo=ZoneInfo("America/Sao_Paulo"))
    first, second = twice, twice.replace(fold=1)
    begin, end = bounds(int(first.timestamp() * 1000), "day", zone)
    assert (end - begin) / 3_600_000 == 25
    assert bounds(int(second.astimezone(UTC).timestamp() * 1000), "day", zone) == (begin, end)
