"""Sending hours against a plain reference that walks minute by minute, through changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.plan.document import Defaults, Plan, Window
from gateway.plan.surroundings import Whose
from gateway.plan.windows import NEVER, SPREAD_MS, Hours, Windows, due_ms, hours_of

ZONES = (
    "Europe/Moscow",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Asia/Kathmandu",
    "Africa/Casablanca",  # its clocks change twice within weeks
    "Asia/Kamchatka",
    "America/St_Johns",
    "Pacific/Apia",
)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def ms(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def window(name: str = "day", **given: object) -> Window:
    return Window(**({"name": name, "from_": "09:00", "until": "21:00"} | given))  # type: ignore[arg-type]


def windows(*given: Window, timezone: str = "Europe/Moscow") -> Windows:
    return Windows(Plan(Defaults(timezone=timezone), windows=given))


def walked(hours: tuple[Hours, ...], zones: tuple[str, ...], now_ms: int, minutes: int) -> int | None:
    """The reference: each minute by itself."""
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    for n in range(minutes):
        moment = at if n == 0 else (at + timedelta(minutes=n)).replace(second=0, microsecond=0)
        if all(any(holds(one, moment.astimezone(ZoneInfo(zone))) for one in hours) for zone in zones):
            return 0 if n == 0 else int(moment.timestamp() * 1000)
    return None


def holds(hours: Hours, at: datetime) -> bool:
    """By the words of the documentation: it opens on its days and is open until its end, of the next day if need be."""
    for days_ago in (0, 1):
        opened = at.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)
        length = (hours.end - hours.begin) if hours.begin < hours.end else hours.end + 1440 - hours.begin
        since = (at.replace(tzinfo=None) - opened) - timedelta(minutes=hours.begin)
        if opened.weekday() in hours.days and timedelta() <= since < timedelta(minutes=length):
            return True
    return False


clock = st.integers(0, 95).map(lambda n: f"{n // 4:02}:{n % 4 * 15:02}")
moment = st.integers(ms("2025-01-01"), ms("2027-12-31"))
near_change = st.builds(
    lambda day, minutes: day + minutes * 60_000,
    st.sampled_from(
        [ms(d) for d in ("2026-03-08", "2026-03-29", "2026-04-05", "2026-10-25", "2026-11-01", "2026-02-15")]
    ),
    st.integers(-1500, 1500),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(clock, clock, st.lists(st.sampled_from(DAYS), unique=True)), min_size=1, max_size=2),
    st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True),
    st.one_of(moment, near_change),
)
@example([("22:00", "06:00", ["fri"])], ["Europe/Berlin"], ms("2026-03-28T23:30"))
@example([("02:15", "02:45", [])], ["Europe/Berlin"], ms("2026-03-29T00:50"))
@example([("02:15", "02:45", [])], ["Europe/Berlin"], ms("2026-10-25T00:50"))
def test_the_opening_is_what_walking_minute_by_minute_finds(
    spans: list[tuple[str, str, list[str]]], zones: list[str], now_ms: int
) -> None:
    given = [window(f"w{n}", from_=a, until=b, days=tuple(days)) for n, (a, b, days) in enumerate(spans)]
    found = windows(*given).opens_ms("marketing", "shop", Whose("", zones=tuple(zones)), now_ms)
    expected = walked(tuple(map(hours_of, given)), tuple(zones), now_ms, 8 * 1440)
    assert found == expected or (expected is None and found > now_ms + 8 * 86_400_000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * 86_400_000), min_size=2, max_size=12), st.sampled_from(ZONES))
def test_what_is_remembered_is_what_would_be_found(steps: list[int], zone: str) -> None:
    whose, begin = Whose("", zones=(zone,)), ms("2026-03-27")
    remembering = windows(window())
    for step in sorted(steps):
        asked = remembering.opens_ms("marketing", "", whose, begin + step)
        assert asked == windows(window()).opens_ms("marketing", "", whose, begin + step)


def test_a_class_without_a_window_goes_at_any_time() -> None:
    assert windows(window()).opens_ms("otp", "", None, ms("2026-06-01T23:00")) == 0
    assert windows().opens_ms("marketing", "", None, ms("2026-06-01T23:00")) == 0


def test_the_recipients_zone_counts_and_without_one_the_windows_and_then_the_plans() -> None:
    at = ms("2026-06-01T08:30", "Europe/Moscow")
    vladivostok = Whose("mts", zones=("Asia/Vladivostok",))
    assert windows(window()).opens_ms("marketing", "", vladivostok, at) == 0
    assert windows(window()).opens_ms("marketing", "", None, at) == ms("2026-06-01T09:00", "Europe/Moscow")
    assert windows(window(zone="Asia/Omsk")).opens_ms("marketing", "", Whose("mts"), at) == 0


def test_a_zone_that_this_machine_does_not_know_is_none() -> None:
    at = ms("2026-06-01T08:30", "Europe/Moscow")
    asked = windows(window()).opens_ms("marketing", "", Whose("mts", zones=("Etc/Unknown", "Mars/Olympus")), at)
    assert asked == ms("2026-06-01T09:00", "Europe/Moscow")


def test_who_may_be_in_several_zones_is_sent_to_when_all_of_them_allow_it() -> None:
    russia = Whose("mts", zones=("Europe/Kaliningrad", "Asia/Kamchatka"))
    asked = windows(window()).opens_ms("marketing", "", russia, ms("2026-06-01T12:00"))
    assert asked == ms("2026-06-02T09:00", "Europe/Kaliningrad") < ms("2026-06-02T21:00", "Asia/Kamchatka")
    narrow = windows(window(from_="10:00", until="19:00"))
    assert narrow.opens_ms("marketing", "", russia, ms("2026-06-01T12:00")) == NEVER


def test_weekdays_and_weekends_are_two_windows_of_which_one_must_be_open() -> None:
    made = windows(
        window("week", days=("mon", "tue", "wed", "thu", "fri")),
        window("weekend", from_="11:00", until="18:00", days=("sat", "sun")),
    )
    saturday = ms("2026-06-06T09:30", "Europe/Moscow")
    assert made.opens_ms("marketing", "", None, saturday) == ms("2026-06-06T11:00", "Europe/Moscow")
    assert made.opens_ms("marketing", "", None, ms("2026-06-05T09:30", "Europe/Moscow")) == 0
    assert made.names("marketing", "", None) == "week, weekend"


def test_a_window_that_names_whom_it_is_for_counts_instead_of_the_general_one() -> None:
    made = windows(
        window("all"),
        window("germany", countries=("DE",), from_="08:00", until="20:00"),
        window("shop", clients=("shop",), from_="12:00", until="13:00"),
    )
    at = ms("2026-06-01T08:30", "Europe/Berlin")
    germany = Whose("dt", "DE", zones=("Europe/Berlin",))
    assert made.opens_ms("marketing", "bank", germany, at) == 0
    assert made.opens_ms("marketing", "shop", germany, at) == ms("2026-06-01T12:00", "Europe/Berlin")
    assert made.names("marketing", "bank", Whose("mts", "RU")) == "all"


@pytest.mark.parametrize(
    ("lot", "room_ms", "most"), [(b"\xff" * 16, 86_400_000, SPREAD_MS), (b"\x13" * 16, 4_000, 2_000)]
)
def test_what_waited_goes_one_after_the_other_and_in_time(lot: bytes, room_ms: int, most: int) -> None:
    opens = ms("2026-06-01T09:00")
    assert opens <= due_ms(opens, lot, opens + room_ms) < opens + most
