"""Histograms of latencies: merged by adding, and their quantiles within the stated error."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.countries import country_of
from gateway.latencies import BUCKETS, ERROR, UNITS, counts, histogram_of, quantile_ms, slot, spread, total, within

TIMES = st.lists(st.integers(4, 3 * 86_400_000), min_size=1, max_size=300)


@given(TIMES, st.sampled_from((0.01, 0.5, 0.9, 0.95, 0.99, 1.0)))
def test_a_quantile_is_within_the_stated_error_of_the_exact_one(times: list[int], share: float) -> None:
    exact = sorted(times)[max(0, math.ceil(share * len(times)) - 1)]
    found = quantile_ms(histogram_of(times), share)
    assert found is not None
    assert abs(found / exact - 1) <= ERROR + 1e-9
    assert ERROR < 0.1


@given(TIMES, TIMES)
def test_histograms_are_merged_by_adding_and_parted_by_taking_away(some: list[int], others: list[int]) -> None:
    assert histogram_of(some) + histogram_of(others) == histogram_of(some + others)
    assert histogram_of(some + others) - histogram_of(others) == histogram_of(some)
    assert total(histogram_of(some)) == len(some)


def test_every_time_has_a_bucket() -> None:
    assert [slot(ms) for ms in (0, 1, 2, 4, 8)] == [0, 0, 4, 8, 12]
    assert slot(10**12) == BUCKETS - 1 == len(UNITS) - 1
    assert counts(UNITS[3] * 5 + UNITS[0]) == [1, 0, 0, 5]
    assert quantile_ms(0, 0.5) is None


def test_what_came_within_a_limit_is_counted() -> None:
    assert within(histogram_of([10, 900, 1_000, 60_000]), 1_000) == 3


def test_times_that_are_all_alike_stand_close_together() -> None:
    assert spread(counts(histogram_of([1_000] * 95 + [60_000] * 5))) == 1
    assert spread(counts(histogram_of(list(range(500, 30_000, 50))))) > 6


@pytest.mark.parametrize(
    ("number", "country"),
    [("+79161234567", "RU"), ("+77011234567", "KZ"), ("+12125550100", "US"), ("+14165550100", "CA"),
     ("+447911123456", "GB"), ("+88213000000", ""), ("nobody", ""), ("", "")],
)  # fmt: skip
def test_a_number_has_the_country_of_its_calling_code(number: str, country: str) -> None:
    assert country_of(number) == country
