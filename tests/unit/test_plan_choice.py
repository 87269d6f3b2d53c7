"""Lookup, prices and choice, held equal to slow references that read the document straight."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.message import CLASSES
from gateway.plan.choice import Choice, Compiled, NoRoute
from gateway.plan.document import Carrier, Defaults, Operator, Plan, Rate, Route
from gateway.plan.matching import Facts
from gateway.plan.numbering import Numbering, PrefixError, expand
from gateway.plan.rates import Price, Rates, decimal, micro
from gateway.plan.surroundings import Surroundings
from gateway.provider import Reason

prefixes = st.text("789", max_size=4)
numbers = st.text("789", min_size=5, max_size=9).map("+".__add__)
names = st.sampled_from(["a", "b", "c"])
klasses = st.sampled_from(CLASSES)


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, unique=True, max_size=3).map(tuple)


operators = st.lists(prefixes, unique=True, min_size=1, max_size=12).map(
    lambda found: tuple(
        Operator(name=name, prefixes=tuple(found[i::3]), country="RU" if name == "a" else None)
        for i, name in enumerate("abc")
        if found[i::3]
    )
)
carriers = st.lists(some(klasses), min_size=3, max_size=3).map(
    lambda found: tuple(
        Carrier(name=name, provider="smpp", classes=classes, sandbox=name == "c")
        for name, classes in zip("abc", found, strict=True)
    )
)
rates = st.lists(
    st.builds(
        Rate,
        carrier=names,
        operator=st.none() | names,
        klass=st.none() | klasses,
        price=st.decimals(0, 999, places=3).map(str),
        currency=st.none() | st.just("EUR"),
    ),
    unique_by=lambda r: (r.carrier, r.operator, r.klass),
    max_size=12,
).map(tuple)
routes = st.lists(
    st.builds(
        Route,
        name=st.just("r"),
        carriers=some(names),
        classes=some(klasses),
        operators=some(names),
        countries=some(st.just("RU")),
        clients=some(st.sampled_from(["x", "y"])),
    ),
    max_size=5,
).map(tuple)
plans = st.builds(
    Plan, st.just(Defaults(currency="RUB")), carriers=carriers, operators=operators, rates=rates, routes=routes
)


def operator_plainly(plan: Plan, to: str) -> Operator | None:
    fitting = [(len(p), o) for o in plan.operators for p in o.prefixes if to[1:].startswith(p)]
    return max(fitting, key=lambda found: found[0])[1] if fitting else None


def price_plainly(plan: Plan, carrier: str, operator: str, klass: str) -> Price | None:
    fitting = [
        (rate.operator is not None, rate.klass is not None, rate)
        for rate in plan.rates
        if rate.carrier == carrier and rate.operator in (None, operator) and rate.klass in (None, klass)
    ]
    if not fitting:
        return None
    rate = max(fitting, key=lambda found: found[:2])[2]
    return Price(int(Decimal(rate.price) * 1_000_000), rate.currency or "RUB")


def choose_plainly(
    plan: Plan, to: str, klass: str, client: str, exclude: frozenset[str], live: set[str], test: bool
) -> tuple[str, str] | Reason:
    """(carrier, route), or why not."""
    operator = operator_plainly(plan, to)
    if operator is None:
        if not test:
            return Reason.NO_ROUTE
        operator = Operator(name="", prefixes=())
    route = Route(name="sandbox", carriers=tuple(c.name for c in plan.carriers if c.sandbox)) if test else None
    for candidate in plan.routes if not test else ():
        fits = [
            not candidate.classes or klass in candidate.classes,
            not candidate.operators or operator.name in candidate.operators,
            not candidate.countries or operator.country in candidate.countries,
            not candidate.clients or client in candidate.clients,
        ]
        if all(fits):
            route = candidate
            break
    by_name = {c.name: c for c in plan.carriers}
    able = [n for n in (route.carriers if route else ()) if not by_name[n].classes or klass in by_name[n].classes]
    if not able or not route:
        return Reason.NO_ROUTE
    left = [name for name in able if name not in exclude]
    if not left:
        return Reason.ATTEMPTS_EXHAUSTED
    up = [name for name in left if name in live]
    return (up[0], route.name) if up else Reason.NO_CARRIER


@given(plans, st.lists(numbers, max_size=5))
def test_the_longest_prefix_decides_the_operator(plan: Plan, tos: list[str]) -> None:
    compiled = Compiled(plan, 1)
    for to in tos:
        expected = operator_plainly(plan, to)
        assert compiled.operator(to) == (expected.name if expected else "")


@given(plans, names, names, klasses)
def test_the_exactest_rate_decides_the_price(plan: Plan, carrier: str, operator: str, klass: str) -> None:
    assert Rates(plan).price(carrier, operator, klass) == price_plainly(plan, carrier, operator, klass)


@given(
    plans,
    st.lists(
        st.tuples(
            numbers,
            klasses,
            st.sampled_from("xyz"),
            st.frozensets(names),
            st.sets(names),
            st.sampled_from([False, True]),
        ),
        max_size=8,
    ),
)
def test_every_choice_is_the_one_that_reading_the_routes_from_the_top_gives(
    plan: Plan, asks: list[tuple[str, str, str, frozenset[str], set[str], bool]]
) -> None:
    compiled = Compiled(plan, 7)
    for to, klass, client, exclude, live, test in [*asks, *asks]:  # the second time from remembered decisions
        expected = choose_plainly(plan, to, klass, client, exclude, live, test)
        choice = compiled.choose(
            Facts(to, klass, client, "S", test=test), Surroundings(live=live.__contains__), exclude
        )
        if isinstance(expected, Reason):
            assert isinstance(choice, NoRoute) and choice.reason == expected
        else:
            assert isinstance(choice, Choice) and (choice.carrier, choice.route) == expected
            price = None if test else price_plainly(plan, choice.carrier, choice.operator, klass)
            assert (choice.price_micro, choice.currency) == (price or Price(0, "RUB"))
            assert choice.carrier in choice.candidates


@given(st.integers(0, 99_999), st.integers(0, 300), st.integers(6, 8))
def test_a_range_stands_for_every_prefix_between_its_ends(first: int, more: int, width: int) -> None:
    last = first + more
    text = f"{first:0{width}}-{last:0{width}}"
    assert list(expand(text)) == [f"{n:0{width}}" for n in range(first, last + 1)]


def test_ranges_and_plus_signs_mean_what_they_look_like() -> None:
    table = Numbering([Operator(name="m", prefixes=("7980-7989",)), Operator(name="k", prefixes=("+77", "79855"))])
    found = {to: (o.name if (o := table.operator(to)) else None) for to in ("+79801", "+79855", "+7705", "+7990")}
    assert found == {"+79801": "m", "+79855": "k", "+7705": "k", "+7990": None}
    with pytest.raises(PrefixError):
        list(expand("9-1"))


@given(st.integers(0, 10**15 - 1))
def test_prices_survive_the_way_to_millionths_and_back(price: int) -> None:
    assume(price < 10**15)
    assert micro(decimal(price)) == price
    assert Decimal(decimal(price)) * 1_000_000 == price


def test_prices_are_exact_where_floats_are_not() -> None:
    assert micro("0.1") + micro("0.2") == micro("0.3")
    assert (micro("2.15"), micro("7"), decimal(2_150_000), decimal(1)) == (2_150_000, 7_000_000, "2.15", "0.000001")


def test_a_client_that_no_route_names_shares_the_decisions_of_all_others() -> None:
    plan = Plan(
        carriers=(Carrier(name="a", provider="smpp"),),
        operators=(Operator(name="all", prefixes=("",)),),
        routes=(Route(name="r", carriers=("a",)),),
    )
    compiled = Compiled(plan, 1)
    assert len({id(compiled.choose(Facts("+79161234567", "otp", f"client-{i}"))) for i in range(100)}) == 1
