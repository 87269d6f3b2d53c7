"""Shares of a carrier's rate and window, and the rate itself."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connector.shares import Bucket, Shares
from gateway.message import CLASSES

DEFAULT = {"otp": 50, "alert": 20, "transactional": 20, "marketing": 10}
ENDLESS = 1 << 20


def over_time(shares: Shares, rounds: int, room: int, backlog: dict[str, int], bulk: int) -> Counter[str]:
    sent: Counter[str] = Counter()
    for _ in range(rounds):
        sent.update(shares.divide(room, backlog, bulk))
    return sent


@pytest.mark.parametrize("room", [1, 2, 7, 100, 500])
def test_classes_with_a_backlog_get_their_shares_over_time_whatever_the_room(room: int) -> None:
    sent = over_time(Shares(DEFAULT), 2000, room, dict.fromkeys(CLASSES, ENDLESS), room)
    total = room * 2000
    assert sum(sent.values()) == total
    for klass, percent in DEFAULT.items():
        assert sent[klass] == pytest.approx(total * percent / 100, rel=0.02, abs=3 * room)


def test_everything_goes_when_there_is_room_for_it() -> None:
    assert Shares(DEFAULT).divide(100, {"otp": 3, "marketing": 97}, 97) == {"otp": 3, "marketing": 97}


def test_what_a_class_leaves_goes_to_the_highest_that_waits() -> None:
    given = Shares(DEFAULT).divide(100, {"otp": 10, "alert": ENDLESS, "marketing": ENDLESS}, 100)
    assert given["otp"] == 10
    assert given["alert"] >= 60
    assert sum(given.values()) == 100


def test_bulk_never_takes_the_reserved_part_of_the_window() -> None:
    shares = Shares(DEFAULT)
    for _ in range(50):
        given = shares.divide(12, {"transactional": ENDLESS, "marketing": ENDLESS}, 2)
        assert sum(given.values()) == 2


def test_marketing_keeps_its_share_of_what_the_window_leaves_to_bulk() -> None:
    sent = over_time(Shares(DEFAULT), 3000, 12, {"transactional": ENDLESS, "marketing": ENDLESS}, 2)
    assert sent["transactional"] == pytest.approx(4000, rel=0.02)
    assert sent["marketing"] == pytest.approx(2000, rel=0.02)


def test_urgent_classes_use_what_bulk_may_not() -> None:
    given = Shares(DEFAULT).divide(20, {"otp": ENDLESS, "marketing": ENDLESS}, 1)
    assert given["otp"] >= 19
    assert given.get("marketing", 0) <= 1
    assert sum(given.values()) == 20


def test_a_class_that_was_idle_saves_up_no_claim() -> None:
    shares = Shares(DEFAULT)
    over_time(shares, 1000, 10, {"marketing": ENDLESS}, 10)
    sent = over_time(shares, 100, 10, dict.fromkeys(CLASSES, ENDLESS), 10)
    assert sent["otp"] == pytest.approx(500, abs=40)
    assert sent["marketing"] == pytest.approx(100, abs=40)


def test_a_share_of_zero_waits_until_nobody_else_wants_the_room() -> None:
    shares = Shares({"otp": 0, "alert": 0, "transactional": 100, "marketing": 0})
    sent = over_time(shares, 100, 10, {"transactional": ENDLESS, "marketing": ENDLESS}, 10)
    assert sent["marketing"] == 0
    assert shares.divide(10, {"marketing": ENDLESS}, 10) == {"marketing": 10}


@given(
    st.lists(
        st.tuples(
            st.integers(1, 600),
            st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 800)),
            st.integers(0, 600),
        ),
        max_size=30,
    )
)
def test_a_division_fits_the_room_the_backlog_and_the_bulk_part_and_wastes_nothing(
    turns: list[tuple[int, dict[str, int], int]],
) -> None:
    shares = Shares(DEFAULT)
    for room, backlog, bulk in turns:
        given_out = shares.divide(room, backlog, bulk)
        urgent = sum(backlog.get(c, 0) for c in ("otp", "alert"))
        rest = sum(backlog.get(c, 0) for c in ("transactional", "marketing"))
        for klass, n in given_out.items():
            assert 0 < n <= backlog[klass]
        assert sum(n for c, n in given_out.items() if c in ("transactional", "marketing")) <= bulk
        assert sum(given_out.values()) == min(room, urgent + min(rest, bulk))


def test_a_bucket_lets_the_burst_go_and_then_the_rate() -> None:
    bucket = Bucket(100, 5, now=0.0)
    assert bucket.available(0.0) == 5
    bucket.spend(5)
    assert bucket.available(0.0) == 0
    assert bucket.wait_s() == pytest.approx(0.01)
    assert bucket.available(0.0101) == 1
    assert bucket.available(10.0) == 5, "what is not used is not saved beyond the burst"


def test_a_bucket_that_was_overdrawn_by_parts_pays_it_back() -> None:
    bucket = Bucket(10, 1, now=0.0)
    bucket.spend(4)
    assert bucket.available(0.0) < 1
    assert bucket.available(0.3) < 1
    assert bucket.available(0.41) == 1


def test_a_rate_of_zero_is_no_limit() -> None:
    bucket = Bucket(0, 0, now=0.0)
    bucket.spend(1_000_000)
    assert bucket.available(0.0) > 1_000_000
    assert bucket.wait_s() == 0


@given(st.floats(0.5, 5000), st.lists(st.floats(0, 0.5), min_size=1, max_size=60))
def test_a_bucket_never_lets_more_than_the_rate_and_one_burst_through(rate: float, pauses: list[float]) -> None:
    bucket, now, sent = Bucket(rate, rate / 20, now=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        n = bucket.available(now)
        bucket.spend(n)
        sent += n
    assert sent <= now * rate + max(rate / 20, 1) + 1e-6
