"""What the estimate makes of counts: what is not over yet or long ago, who says nothing, of whom little is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.deliveries import DEADLINE_S, ENDS_S, SENT, WIDTH, bucket_ms, slot
from gateway.plan.chances import Chances, Tally, horizon_ms
from gateway.plan.surroundings import Chance

NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000


def rows(sent: int, **arrived: int) -> list[int]:
    """`s60=5`: five took more than 30 and at most 60 seconds."""
    row = [0] * WIDTH
    row[SENT] = sent
    for name, count in arrived.items():
        row[slot(int(name[1:]) * 1000)] += count
    return row


def tally(klass: str, made: Callable[[int], dict[tuple[str, str], list[int]]], minutes: range) -> Tally:
    """`made(minute)`: what was sent so many minutes ago."""
    found = Tally(klass)
    for minute in minutes:
        found.put(bucket_ms(klass, NOW_MS - minute * MINUTE_MS), dict(made(minute)))
    return found


def chance(found: Tally, carrier: str, operator: str = "o") -> Chance:
    known = Chances(found.estimate(NOW_MS)).chance(carrier, operator, found.klass)
    assert known is not None
    return known


def test_every_deadline_is_the_end_of_an_interval() -> None:
    assert set(DEADLINE_S.values()) <= set(ENDS_S)
    assert [slot(ms) for ms in (0, 10_000, 10_001, 60_000, 14_400_000)] == [1, 1, 2, 3, 7]
    assert slot(14_400_001) == 8


@pytest.mark.parametrize("klass", ["otp", "alert"])
def test_with_much_data_it_is_the_share_that_arrived_in_time(klass: str) -> None:
    found = tally(klass, lambda _: {("a", "o"): rows(100, s10=80, s60=10, s3600=10)}, range(1, 80))
    assert chance(found, "a").expected == pytest.approx(0.9, abs=0.01)
    assert 0.86 < chance(found, "a").delivered < 0.9


def test_what_is_not_over_yet_does_not_count_as_failed() -> None:
    """Half arrives within ten seconds, the other half takes half an hour, of which the last half hour knows nothing."""

    def made(minute: int) -> dict[tuple[str, str], list[int]]:
        late = {"s3600": 50} if minute > 60 else {}
        return {("a", "o"): rows(100, s10=50, **late)}

    found = tally("transactional", made, range(5, 200, 5))
    assert chance(found, "a").expected == pytest.approx(1.0, abs=0.02)


def test_a_carrier_that_stops_delivering_shows_long_before_the_deadline() -> None:
    def made(minute: int) -> dict[tuple[str, str], list[int]]:
        return {("a", "o"): rows(100, s10=95) if minute > 15 else rows(100), ("b", "o"): rows(100, s10=90)}

    found = tally("transactional", made, range(5, 200, 5))
    assert chance(found, "a").delivered < 0.8 < chance(found, "b").delivered


def test_what_is_long_ago_counts_little_and_at_last_nothing() -> None:
    def made(minute: int) -> dict[tuple[str, str], list[int]]:
        return {("a", "o"): rows(100, s10=95) if minute < 60 else rows(100)}

    found = tally("otp", made, range(1, 400))
    assert chance(found, "a").expected > 0.87
    found.forget(NOW_MS)
    assert min(found.buckets) >= NOW_MS - horizon_ms("otp")


def test_with_little_data_it_is_near_the_carriers_mean_and_its_lower_bound_is_low() -> None:
    def made(minute: int) -> dict[tuple[str, str], list[int]]:
        found = {("a", "o"): rows(50, s10=48), ("b", "o"): rows(50, s10=25)}
        return found | ({("a", "new"): rows(1), ("b", "new"): rows(1)} if minute == 5 else {})

    found = tally("alert", made, range(5, 80))
    for carrier, mean in (("a", 0.96), ("b", 0.5)):
        assert chance(found, carrier, "new").expected == pytest.approx(mean, abs=0.07)
        assert chance(found, carrier, "other").expected == pytest.approx(mean, abs=0.02), "never tried there"
        assert chance(found, carrier, "new").delivered < chance(found, carrier).delivered
    assert chance(found, "nobody").delivered < 0.5, "a carrier that nobody knows has to show what it can"
    assert chance(found, "nobody").messages == 0


def test_a_carrier_that_never_sends_a_receipt_is_unknown_and_not_failed() -> None:
    found = tally("otp", lambda _: {("a", "o"): rows(50, s10=48), ("mute", "o"): rows(50)}, range(1, 60))
    mute, unknown = chance(found, "mute"), chance(found, "nobody")
    assert mute.delivered == unknown.delivered > 0.2
    assert mute.expected < 0.05 and mute.messages > 100, "and nothing is spent on exploring it"
    assert chance(found, "a").expected == pytest.approx(0.96, abs=0.02), "nor does it drag down the others"


def test_nothing_is_known_where_nobody_sends_receipts() -> None:
    found = tally("otp", lambda _: {("a", "o"): rows(50)}, range(1, 60))
    assert Chances(found.estimate(NOW_MS)).chance("a", "o", "otp") is None
