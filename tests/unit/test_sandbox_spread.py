"""Delays of the sandbox: distributions have the figures that they are given by."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.embedded.sandbox.profile import ProfileError, make_profile
from gateway.embedded.sandbox.spread import Spread, draw

EVEN = [n / 10_000 for n in range(10_000)]


def quantile(spread: Spread, share: float) -> float:
    return sorted(spread.draw(n) for n in EVEN)[int(share * len(EVEN))]


def test_a_uniform_one_lies_between_its_ends() -> None:
    spread = Spread(least=2, most=6)
    assert (spread.draw(0), spread.draw(0.5)) == (pytest.approx(2, abs=1e-6), 4)
    assert spread.draw(0.9999999) < 6.000001


def test_an_exponential_one_has_its_mean() -> None:
    drawn = [Spread(mean=3).draw(n) for n in EVEN]
    assert sum(drawn) / len(drawn) == pytest.approx(3, rel=0.01)


def test_a_log_normal_one_has_its_median_and_its_99th_percentile() -> None:
    spread = Spread(median=20, p99=300)
    assert quantile(spread, 0.5) == pytest.approx(20, rel=0.01)
    assert quantile(spread, 0.99) == pytest.approx(300, rel=0.02)


def test_most_bounds_what_has_a_long_tail() -> None:
    assert max(Spread(median=1, p99=100, most=5).draw(n) for n in EVEN) == 5


@given(st.floats(0, 1), st.sampled_from([Spread(least=0, most=9), Spread(mean=2), Spread(median=1, p99=9)]))
def test_every_draw_is_a_finite_time(random: float, spread: Spread) -> None:
    assert 0 <= spread.draw(random) < math.inf


def test_a_number_is_always_itself() -> None:
    assert draw(2.5, lambda: 0.7) == 2.5


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({}, "one of these"),
        ({"least": 1}, "`most` must be given"),
        ({"least": 5, "most": 1}, "not below `least`"),
        ({"median": 5}, "`median` and `p99`"),
        ({"median": 5, "p99": 1}, "not below `median`"),
        ({"least": 1, "most": 2, "mean": 3}, "one of these"),
        ({"mean": -1}, ">= 0"),
        ({"middle": 1}, "answer_delay_ms.middle: no such field"),
    ],
)
def test_what_is_no_distribution_is_refused_with_what_would_be_right(given_: Mapping[str, float], says: str) -> None:
    with pytest.raises(ProfileError) as refusal:
        make_profile({"answer_delay_ms": given_})
    assert says in str(refusal.value) and "answer_delay_ms" in str(refusal.value)


def test_a_distribution_is_shown_as_it_was_given() -> None:
    profile = make_profile({"answer_delay_ms": {"median": 20, "p99": 300}})
    assert msgspec.to_builtins(profile)["answer_delay_ms"] == {"median": 20.0, "p99": 300.0}
    assert make_profile({"window": 3}, profile).answer_delay_ms == profile.answer_delay_ms
