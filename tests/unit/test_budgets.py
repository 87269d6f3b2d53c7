"""Money of budgets: who counts in which, what a message will cost, how far budgets may be overrun."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.live.budgets import Real, real, target
from gateway.plan.budgets import Budgets
from gateway.plan.choice import Compiled
from gateway.plan.document import Budget, Carrier, Defaults, Operator, Plan, Rate, Route
from gateway.store.spending import Spent
from gateway.streams.allowances import Allowance, Allowances
from gateway.streams.purses import Purses
from tests.core_builders import message

NOW_MS = 1_793_487_590_000


def compiled(*budgets: Budget, price: str = "2") -> Compiled:
    return Compiled(
        Plan(
            defaults=Defaults(currency="RUB"),
            currencies={"EUR": "100"},
            carriers=(Carrier(name="north", provider="smpp"), Carrier(name="south", provider="smpp")),
            operators=(Operator(name="any", prefixes=("7",)),),
            rates=(Rate(carrier="north", price=price), Rate(carrier="south", price="0.03", currency="EUR")),
            routes=(Route(name="far", carriers=("south",), clients=("bank",)), Route(name="all", carriers=("north",))),
            budgets=budgets,
        ),
        1,
    )


def test_a_message_counts_in_every_budget_that_names_its_client_or_tag() -> None:
    found = Budgets(
        compiled(
            Budget(amount="10", per="day", client="*"),
            Budget(amount="20", per="month", client="shop", tag="*"),
            Budget(amount="30", per="month", tag="spring"),
        )
    )
    assert [p.count.key for p in found.purses("shop", "spring")] == [
        "budget:day,client=shop",
        "budget:month,client=shop,tag=spring",
        "budget:month,tag=spring",
    ]
    assert [p.count.key for p in found.purses("bank", "")] == ["budget:day,client=bank"]


def test_amounts_and_prices_are_compared_in_the_default_currency() -> None:
    found = Budgets(compiled(Budget(amount="1.5", currency="EUR", per="day", client="bank")))
    purse = found.purses("bank", "")[0]
    assert purse.count.rule.parts == 150_000_000 and purse.amount == "1.5 EUR"
    assert found.estimate(message(client="bank", parts=2), NOW_MS) == 6_000_000
    assert found.estimate(message(client="shop", parts=3), NOW_MS) == 6_000_000
    assert found.estimate(message(client="shop", to="+4915112345678"), NOW_MS) == 0, "no route, no price"
    assert found.convert(5, "USD") == 0, "a currency that the plan does not know"


class Server:
    """What Redis does with slices, for processes that ask when the test says so."""

    def __init__(self) -> None:
        self.out = Counter[str]()

    def lease(self, own: Allowance, now: int) -> None:
        if amount := own.asks(now):
            granted = max(min(amount, own.limit - self.out[own.key]), 0)
            self.out[own.key] += granted
            own.granted(own.key, granted, amount, self.out[own.key], now)


@settings(max_examples=60)
@given(
    st.integers(1, 60),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=50, max_size=400),
)
def test_a_budget_is_overrun_by_a_message_or_a_hundredth_a_process_at_most(
    messages: int, processes: int, steps: list[tuple[int, bool]]
) -> None:
    plan = compiled(Budget(amount=str(messages * 2), per="day", client="*"))
    server, now, taken = Server(), NOW_MS, 0
    gateway: Any = SimpleNamespace(link=lambda _: None, clock_ms=lambda: now)
    every = [(a, Purses(a, lambda: plan, lambda: now, refuses=True)) for a in map(Allowances, [gateway] * processes)]
    count = Budgets(plan).purses("shop", "")[0].count
    for n, leases in steps:
        allowances, purses = every[n % processes]
        now += 7
        taken += purses.take(message()) is None
        if leases:
            server.lease(allowances.of(count), now)
    limit = messages * 2_000_000
    assert taken * 2_000_000 <= limit + processes * max(2_000_000, limit // 100)


@given(st.integers(0, 10**9), st.integers(0, 500), st.integers(0, 500), st.integers(0, 10**9))
def test_corrected_a_purse_holds_what_was_spent_and_what_open_messages_will_cost(
    cost: int, closed: int, open_: int, booked: int
) -> None:
    purse = Budgets(compiled(Budget(amount="10", per="day", client="*"))).purses("shop", "")[0]
    held = booked + target(Real(purse, cost, closed + open_, open_), booked)
    share = open_ / (closed + open_) if closed + open_ else 1
    assert abs(held - (cost + booked * share)) <= 1


def test_the_roll_ups_are_summed_by_purse_in_the_default_currency() -> None:
    found = Budgets(compiled(Budget(amount="10", per="day", client="*"), Budget(amount="9", per="month", tag="*")))
    rows = [
        Spent("shop", "a", "RUB", 2_000_000, 3, 1),
        Spent("shop", "", "EUR", 1_000_000, 1, 0),
        Spent("bank", "a", "RUB", 500_000, 1, 1),
    ]
    by_day = real(found, "day", rows)
    shop, bank = by_day["budget:day,client=shop"], by_day["budget:day,client=bank"]
    assert (shop.cost, shop.messages, shop.open) == (102_000_000, 4, 1)
    assert (bank.cost, bank.messages, bank.open) == (500_000, 1, 1)
    assert list(real(found, "month", rows)) == ["budget:month,tag=a"]
