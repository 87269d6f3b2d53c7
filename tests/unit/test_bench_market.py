"""The simulated market day that `python -m bench.routing` measures."""

from __future__ import annotations

import pytest

from bench import market
from bench.market import Market


def test_a_seed_is_always_the_same_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "DAY_S", 3 * 3600)
    monkeypatch.setattr(market, "PER_S", 0.2)
    one, other = Market(3), Market(3)
    assert [(c.price, c.delivers, c.worse, c.begin_s) for c in one.carriers.values()] == [
        (c.price, c.delivers, c.worse, c.begin_s) for c in other.carriers.values()
    ]
    assert one.day("best_value") == other.day("best_value")
    assert one.day("cheapest").cost > 0 and one.day("priority").share > one.day("cheapest").share


def test_in_every_market_one_carrier_degrades_and_one_is_cheap_and_worse() -> None:
    for seed in range(10):
        carriers = Market(seed).carriers
        assert sum(carrier.worse > 0.25 for carrier in carriers.values()) == 1 and not carriers["cheap"].worse
        assert carriers["cheap"].price < min(carriers[name].price for name in ("north", "south"))
        assert max(carriers["cheap"].delivers) < min(carriers["north"].delivers + carriers["south"].delivers)
