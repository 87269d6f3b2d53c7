"""Matching, strategies and what removes a candidate, held equal to slow references that read the document straight."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.message import CLASSES, id_tail
from gateway.plan import record
from gateway.plan.choice import Choice, Compiled, NoRoute
from gateway.plan.document import Carrier, Defaults, Operator, Plan, Rate, Route, Sender
from gateway.plan.matching import Drawn, Facts, Matching
from gateway.plan.memory import Memory
from gateway.plan.numbering import PlanDirectory
from gateway.plan.surroundings import Chance, Surroundings
from gateway.provider import Reason

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=2).map(tuple)


clocks = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.sampled_from([0, 30]))
routes = st.lists(
    st.builds(
        Route,
        name=st.uuids().map(str),
        carriers=st.just(("a", "b")),
        classes=some(*CLASSES),
        operators=some("m", "n"),
        countries=some("RU", "KZ"),
        clients=some("x", "y"),
        prefixes=some("7", "+79", "7916", "8"),
        senders=some("S", "T"),
        tags=some("t", "u"),
        encodings=some("gsm7", "ucs2"),
        min_parts=st.none() | st.integers(1, 4),
        max_parts=st.none() | st.integers(1, 4),
        hours=st.none() | st.builds(lambda a, b: f"{a}-{b}", clocks, clocks | st.just("24:00")),
        days=some(*DAYS),
        percent=st.none() | st.sampled_from([1.0, 50.0, 100.0]),
    ),
    min_size=1,
    max_size=8,
).map(tuple)
facts = st.builds(
    Facts,
    to=st.sampled_from(["+79161234567", "+79261234567", "+77011234567", "+8123456789", "+4912345678"]),
    klass=st.sampled_from(CLASSES),
    client=st.sampled_from("xyz"),
    sender=st.sampled_from("STU"),
    tag=st.sampled_from(["t", "u", "v", ""]),
    encoding=st.sampled_from(["gsm7", "ucs2"]),
    parts=st.integers(1, 6),
)
moments = st.datetimes(datetime(2026, 3, 28), datetime(2026, 4, 5)).map(
    lambda at: int(at.replace(tzinfo=UTC).timestamp() * 1000)
)
OPERATORS = (
    Operator(name="m", prefixes=("7916", "79"), country="RU"),
    Operator(name="n", prefixes=("77",), country="KZ"),
    Operator(name="rest", prefixes=("8",)),
)


def plan_of(*made: Route, zone: str = "Europe/Berlin", **fields: Any) -> Plan:
    given_: dict[str, Any] = {
        "carriers": tuple(Carrier(name=name, provider="smpp") for name in "abc"),
        "operators": OPERATORS,
        "defaults": Defaults(currency="RUB", timezone=zone),
        "routes": made,
    }
    return Plan(**given_ | fields)


def matches_plainly(plan: Plan, route: Route, f: Facts, now_ms: int) -> bool:
    whose = PlanDirectory(plan).find(f.to)
    assert whose is not None
    local = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(plan.defaults.timezone))
    clock = f"{local.hour:02}:{local.minute:02}"
    on_time = True
    if route.hours:
        begin, end = route.hours.split("-")
        on_time = begin <= clock < end if begin < end else clock >= begin or clock < end
    return all(
        [
            not route.classes or f.klass in route.classes,
            not route.operators or whose.operator in route.operators,
            not route.countries or whose.country in route.countries,
            not route.clients or f.client in route.clients,
            not route.prefixes or any(f.to[1:].startswith(p.lstrip("+")) for p in route.prefixes),
            not route.senders or f.sender in route.senders,
            not route.tags or f.tag in route.tags,
            not route.encodings or f.encoding in route.encodings,
            route.min_parts is None or f.parts >= route.min_parts,
            route.max_parts is None or f.parts <= route.max_parts,
            not route.days or DAYS[local.weekday()] in route.days,
            on_time,
            route.percent is None or Drawn(route).has(f.to),
        ]
    )


@given(routes, st.lists(st.tuples(facts, moments), max_size=12), st.sampled_from(["Europe/Berlin", "Asia/Kolkata"]))
def test_the_first_route_of_which_every_condition_holds_takes_the_message(
    made: tuple[Route, ...], asks: list[tuple[Facts, int]], zone: str
) -> None:
    plan = plan_of(*made, zone=zone)
    compiled = Compiled(plan, 1)
    for f, now_ms in [*asks, *asks]:  # the second time from remembered decisions
        expected: Route | None = None
        if PlanDirectory(plan).find(f.to) is not None:
            expected = next((r for r in made if matches_plainly(plan, r, f, now_ms)), None)
        found = compiled.choose(f, Surroundings(now_ms=now_ms))
        assert found.route == (expected.name if expected else "")
        assert isinstance(found, Choice) == (expected is not None)


def test_a_key_has_nothing_in_it_that_no_route_asks_for() -> None:
    matching = Matching(plan_of(Route(name="r", carriers=("a",), clients=("x",), min_parts=3)))
    whose = PlanDirectory(plan_of()).find("+79161234567")
    assert whose is not None
    keys = {
        matching.key(Facts("+79161234567", "otp", client, sender, tag, encoding, parts), whose, "", now_ms)
        for client in "xyz"
        for sender in "ST"
        for tag in "tu"
        for encoding in ("gsm7", "ucs2")
        for parts in (1, 2, 3, 4)
        for now_ms in (0, 10**12)
    }
    assert len(keys) == 4, "x or anybody, below three parts or not"


def test_the_memory_of_decisions_is_bounded_and_keeps_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory[int, str](10)
    memory.put(-1, "hot")
    for n in range(1000):
        memory.put(n, "cold")
        assert memory.get(-1) == "hot"
    assert sum(memory.get(n) is not None for n in range(1000)) <= 20


@pytest.mark.parametrize("percent", [5.0, 33.0, 80.0])
def test_a_percentage_is_that_share_of_the_recipients_and_the_same_ones_each_time(percent: float) -> None:
    numbers = [f"+7916{n:07}" for n in range(20_000)]
    one, other = (Drawn(Route(name=name, carriers=(), percent=percent)) for name in ("one", "other"))
    mine = {to for to in numbers if one.has(to)}
    assert len(mine) == pytest.approx(200 * percent, rel=0.05)
    assert mine == {to for to in numbers if one.has(to)}
    both = sum(other.has(to) for to in mine)
    assert both == pytest.approx(2 * percent * percent, rel=0.15), "another route draws for itself"


# Strategies -----------------------------------------------------------------------------------------------------------

ANY = (Operator(name="any", prefixes=("",)),)


def routed(strategy: str, prices: dict[str, str], currencies: dict[str, str] | None = None, **fields: Any) -> Compiled:
    route = Route(**{"name": "r", "carriers": tuple("abc"), "strategy": strategy} | fields)
    own = currencies or {}
    rates = tuple(Rate(carrier=name, price=price, currency=own.get(name)) for name, price in prices.items())
    return Compiled(plan_of(route, operators=ANY, rates=rates, currencies={"EUR": "100"}), 1)


def carrier_of(found: Choice | NoRoute) -> str:
    assert isinstance(found, Choice)
    return found.carrier


MESSAGE = Facts("+79161234567", "transactional")


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 500).map(lambda n: f"{n / 100:.2f}")),
    st.sets(st.sampled_from("abc")),
    st.frozensets(st.sampled_from("abc")),
)
def test_the_cheapest_candidate_that_can_send_is_taken(
    prices: dict[str, str], live: set[str], exclude: frozenset[str]
) -> None:
    currencies = {"b": "EUR"}
    found = routed("cheapest", prices, currencies).choose(MESSAGE, Surroundings(live=live.__contains__), exclude)
    left = [name for name in "abc" if name in live - exclude]
    worth = {name: float(price) * (100 if name == "b" else 1) for name, price in prices.items()}
    expected = min(left, key=lambda name: (worth.get(name, float("inf")), name)) if left else None
    assert (found.carrier if isinstance(found, Choice) else None) == expected


chances = st.dictionaries(st.sampled_from("abc"), st.integers(1, 100))


@given(st.fixed_dictionaries(dict.fromkeys("abc", st.integers(1, 500))), chances)
def test_best_value_takes_the_lowest_price_of_what_arrives(cents: dict[str, int], percent: dict[str, int]) -> None:
    compiled = routed("best_value", {name: f"{n / 100:.2f}" for name, n in cents.items()})

    def chance(carrier: str, operator: str, klass: str) -> Chance | None:
        share = percent.get(carrier)
        return None if share is None else Chance(share / 100, share / 100, 1000)

    otp = msgspec.structs.replace(MESSAGE, klass="otp")
    taken = carrier_of(compiled.choose(otp, Surroundings(chance=chance)))
    if percent:
        value = {name: cents[name] / share for name, share in percent.items()}
        assert value[taken] == pytest.approx(min(value.values())), "of whom nothing is known comes last"
    else:
        assert taken == "a", "as written, while nothing is known of any"


def shares(compiled: Compiled, around: Surroundings, klass: str, count: int = 4000) -> dict[str, float]:
    f = msgspec.structs.replace(MESSAGE, klass=klass)
    found = Counter(carrier_of(compiled.choose(f, around, lot=id_tail(0))) for _ in range(count))
    return {name: found[name] / count for name in "abc"}


def test_weights_are_shares_of_the_messages_also_when_one_is_away() -> None:
    compiled = routed("weighted", {}, weights={"a": 70, "b": 20, "c": 10})
    found = shares(compiled, Surroundings(), "otp")
    assert found == pytest.approx({"a": 0.7, "b": 0.2, "c": 0.1}, abs=0.03)
    found = shares(compiled, Surroundings(live=lambda name: name != "a"), "otp")
    assert found == pytest.approx({"a": 0.0, "b": 0.667, "c": 0.333}, abs=0.03)


def test_a_number_keeps_its_carrier_and_only_those_of_a_carrier_that_is_away_move() -> None:
    compiled = routed("sticky", {}, weights={"a": 60, "b": 30, "c": 10})
    numbers = [f"+7916{n:07}" for n in range(4000)]

    def by_number(around: Surroundings) -> dict[str, str]:
        return {to: carrier_of(compiled.choose(Facts(to, "otp"), around, lot=id_tail(0))) for to in numbers}

    before, without = by_number(Surroundings()), by_number(Surroundings(live=lambda name: name != "b"))
    assert before == by_number(Surroundings())
    found = Counter(before.values())
    assert {name: found[name] / 4000 for name in "abc"} == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1}, abs=0.03)
    assert all(without[to] == carrier for to, carrier in before.items() if carrier != "b")


def test_a_carrier_with_weight_0_is_the_last_resort() -> None:
    compiled = routed("sticky", {}, weights={"a": 0, "b": 0})
    assert shares(compiled, Surroundings(), "otp")["c"] == 1.0
    assert shares(compiled, Surroundings(live=lambda name: name == "a"), "otp", 10)["a"] == 1.0


def chance_of(**known: tuple[float, int]) -> Surroundings:
    def chance(carrier: str, operator: str, klass: str) -> Chance | None:
        if carrier not in known:
            return None
        expected, messages = known[carrier]
        return Chance(max(expected - 1 / max(messages, 1) ** 0.5, 0.0), expected, messages)

    return Surroundings(chance=chance)


PRICES = {"a": "1.00", "b": "0.80", "c": "3.00"}


def test_a_cheap_carrier_that_nobody_knows_gets_a_small_share_but_never_an_otp() -> None:
    compiled, around = routed("best_value", PRICES), chance_of(a=(0.95, 1000), b=(0.9, 0), c=(0.95, 1000))
    assert shares(compiled, around, "marketing") == pytest.approx({"a": 0.98, "b": 0.02, "c": 0.0}, abs=0.01)
    assert shares(compiled, around, "otp")["a"] == shares(compiled, around, "alert")["a"] == 1.0


def test_what_is_known_to_be_bad_or_dear_is_not_explored() -> None:
    compiled, around = routed("best_value", PRICES), chance_of(a=(0.95, 1000), b=(0.5, 1000), c=(0.97, 3))
    assert shares(compiled, around, "marketing", 500)["a"] == 1.0


# What removes a candidate -------------------------------------------------------------------------------------------


def test_a_carrier_with_much_before_it_comes_behind_the_others_and_before_none() -> None:
    compiled = routed("priority", PRICES)
    assert carrier_of(compiled.choose(MESSAGE, Surroundings(slow=lambda c, k: c == "a"))) == "b"
    assert carrier_of(compiled.choose(MESSAGE, Surroundings(slow=lambda c, k: True))) == "a"
    around = Surroundings(slow=lambda c, k: c == "b", live=lambda c: c == "b")
    assert carrier_of(compiled.choose(MESSAGE, around)) == "b"


def test_a_full_limit_removes_a_candidate_and_says_until_when_if_none_is_left() -> None:
    compiled, seen = routed("priority", PRICES), list[tuple[object, ...]]()

    def full(*asked: object) -> int:
        seen.append(asked)
        return {"a": 900, "b": 700, "c": 0}[str(asked[0])]

    f = Facts("+79161234567", "otp", "x", "S", "t", parts=2)
    assert carrier_of(compiled.choose(f, Surroundings(full=full))) == "c"
    assert seen[0] == ("a", "any", "S", "x", "t", "otp", 2)
    none = compiled.choose(f, Surroundings(full=full), frozenset("c"))
    assert isinstance(none, NoRoute) and (none.reason, none.until_ms, none.wait) == (Reason.LIMIT, 700, True)


def test_a_failed_carrier_is_tried_again_only_where_the_route_says_so() -> None:
    tried = frozenset("a")
    for retry_same, expected in ((False, "b"), (True, "a")):
        compiled = routed("priority", PRICES, retry_same=retry_same)
        assert carrier_of(compiled.choose(MESSAGE, Surroundings(), tried, tried)) == expected
        assert carrier_of(compiled.choose(MESSAGE, Surroundings(), tried)) == "b", "what failed for good is not"


REGISTRY = (Sender(name="BANK", carriers=("a",)), Sender(name="INFO", carriers=("b",)))


@pytest.mark.parametrize(
    ("unregistered", "sender", "expected"),
    [("send", None, ("a", "")), ("refuse", None, ("c", "")), ("replace", "INFO", ("b", "INFO"))],
)
def test_a_sender_that_is_not_registered_is_sent_refused_or_replaced(
    unregistered: str, sender: str | None, expected: tuple[str, str]
) -> None:
    route = Route(name="r", carriers=tuple("abc"), unregistered=unregistered, sender=sender)
    compiled = Compiled(plan_of(route, operators=ANY, senders=REGISTRY), 1)
    shop = msgspec.structs.replace(MESSAGE, sender="SHOP")
    found = compiled.choose(shop)
    assert isinstance(found, Choice) and (found.carrier, found.sender) == expected
    bank = compiled.choose(msgspec.structs.replace(MESSAGE, sender="BANK"))
    assert isinstance(bank, Choice) and (bank.carrier, bank.sender) == ("a", "")
    none = compiled.choose(shop, Surroundings(), frozenset("c"))
    if unregistered == "refuse":
        assert isinstance(none, NoRoute) and none.reason == Reason.ATTEMPTS_EXHAUSTED


# What is kept of a decision -------------------------------------------------------------------------------------------


def test_a_decision_that_needs_no_word_leaves_none() -> None:
    found = routed("priority", PRICES).choose(MESSAGE)
    assert isinstance(found, Choice) and found.record == ""


def test_the_record_of_a_decision_has_prices_chances_and_why_not() -> None:
    compiled = routed("best_value", PRICES, {"c": "EUR"})
    around = chance_of(a=(0.95, 1000), b=(0.9, 400))
    world = msgspec.structs.replace(around, live=lambda name: name != "b")
    found = compiled.choose(MESSAGE, world)
    assert isinstance(found, Choice) and found.carrier == "a"
    assert found.record == "best_value,plan,|b,800000,850,down|a,1000000,918,|c,3000000EUR,,"
    read = record.read(found.record)
    assert read is not None and (read.strategy, read.source, read.explored) == ("best_value", "plan", False)
    assert [(c.carrier, c.price_micro, c.currency, c.probability, c.why) for c in read.candidates] == [
        ("b", 800_000, "", 850, "down"),
        ("a", 1_000_000, "", 918, ""),
        ("c", 3_000_000, "EUR", -1, ""),
    ]


@pytest.mark.parametrize("text", ["", "a", "a,b,c,d", "a,b,|x", "a,b,|x,1,2,3,4", "a,b,|x,?,2,"])
def test_a_record_that_cannot_be_read_is_none(text: str) -> None:
    assert record.read(text) is None


def test_a_route_by_best_value_of_which_no_carrier_takes_the_class_has_no_candidates() -> None:
    plan = Plan(
        carriers=(Carrier(name="a", provider="smpp", classes=("otp",)),),
        operators=(Operator(name="any", prefixes=("",)),),
        routes=(Route(name="best", carriers=("a",), strategy="best_value"),),
    )
    found = Compiled(plan, 1).choose(Facts("+79161234567", "marketing"))
    assert isinstance(found, NoRoute) and found.reason == "no_route"
