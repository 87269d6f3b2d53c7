"""An explanation is what the choice did, in words."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.message import id_tail
from gateway.plan.choice import Choice, Compiled, NoRoute
from gateway.plan.document import Carrier, Defaults, Operator, Plan, Rate, Route, Sender
from gateway.plan.explain import explain
from gateway.plan.matching import Facts
from gateway.plan.record import WHY
from gateway.plan.surroundings import Chance, Surroundings
from gateway.provider import Reason
from tests.unit.test_plan_routing import OPERATORS, REGISTRY, facts, moments, routes

strategies = st.sampled_from(["priority", "cheapest", "best_value", "weighted", "sticky"])
carriers = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3).map(tuple)
plans = st.builds(
    lambda made, ways: Plan(
        defaults=Defaults(currency="RUB"),
        carriers=(
            Carrier(name="a", provider="smpp"),
            Carrier(name="b", provider="smpp", classes=("otp", "marketing")),
            Carrier(name="c", provider="smpp", sandbox=True),
        ),
        operators=OPERATORS,
        rates=(Rate(carrier="a", price="2"), Rate(carrier="b", price="1.5")),
        senders=REGISTRY,
        routes=tuple(
            Route(**{f: getattr(route, f) for f in route.__struct_fields__} | way)
            for route, way in zip(made, ways, strict=False)
        ),
    ),
    routes,
    st.lists(
        st.fixed_dictionaries(
            {
                "carriers": carriers,
                "strategy": strategies,
                "when_none": st.sampled_from(["wait", "fail"]),
                "unregistered": st.sampled_from(["send", "replace", "refuse"]),
                "sender": st.just("INFO"),
            }
        ),
        min_size=8,
        max_size=8,
    ),
)


def answers(values: dict[str, bool]) -> Callable[[str], bool]:
    return lambda carrier: values.get(carrier, True)


states = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans())
worlds = st.builds(
    lambda now, live, slow, full, known: Surroundings(
        now_ms=now,
        live=answers(live),
        slow=lambda carrier, klass: not answers(slow)(carrier),
        full=(lambda carrier, *_: 0 if answers(full)(carrier) else now + 1000) if full else None,
        chance=lambda carrier, operator, klass: known.get(carrier),
    ),
    moments,
    states,
    states,
    states,
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.builds(Chance, st.floats(0, 0.9), st.floats(0.9, 1.0), st.integers(0, 500)),
    ),
)


@settings(max_examples=40, deadline=None)
@given(
    plans,
    st.lists(
        st.tuples(facts, st.booleans(), worlds, st.frozensets(st.sampled_from(["a", "b", "c"]), max_size=2)), max_size=6
    ),
)
def test_the_explanation_chooses_what_the_choice_does(
    plan: Plan, asks: list[tuple[Facts, bool, Surroundings, frozenset[str]]]
) -> None:
    apart, compiled = Compiled(plan, 1), Compiled(plan, 1)
    for f, test, around, exclude in asks:
        f, lot = Facts(*[getattr(f, name) for name in f.__struct_fields__[:-1]], test=test), id_tail(0)
        chosen, told = compiled.choose(f, around, exclude, lot=lot), explain(apart, f, around, exclude, lot)
        assert told.choice == chosen and told.route == chosen.route
        assert [seen.matched for seen in told.routes] == [not seen.why_not for seen in told.routes]
        if not test:
            assert told.route == next((seen.name for seen in told.routes if seen.matched), "")
        verdicts = {candidate.carrier: candidate.verdict for candidate in told.candidates}
        assert set(verdicts.values()) <= {"taken", "waits", "left", "class", *WHY}
        taken = [name for name, verdict in verdicts.items() if verdict == "taken"]
        if isinstance(chosen, Choice):
            assert taken == [chosen.carrier]
            assert "left" not in [*verdicts.values()][: [*verdicts].index(chosen.carrier)]
        else:
            assert not taken and "left" not in verdicts.values() and "slow" not in verdicts.values()
            waits = [name for name, verdict in verdicts.items() if verdict == "waits"]
            assert bool(waits) <= (chosen.reason == Reason.NO_CARRIER and chosen.wait)


def test_it_says_of_every_route_and_candidate_why_not() -> None:
    plan = Plan(
        defaults=Defaults(currency="RUB", timezone="Europe/Moscow"),
        carriers=tuple(Carrier(name=name, provider="smpp") for name in "abc"),
        operators=(Operator(name="mts", prefixes=("7916",), country="RU"),),
        rates=(Rate(carrier="a", price="2"), Rate(carrier="b", price="1.5"), Rate(carrier="c", price="1")),
        senders=(Sender(name="INFO", carriers=("c",)),),
        routes=(
            Route(name="night", carriers=("a",), classes=("otp",), hours="22:00-06:00"),
            Route(name="abroad", carriers=("a",), countries=("KZ",)),
            Route(name="long", carriers=("a",), min_parts=3),
            Route(name="few", carriers=("a",), percent=0.001),
            Route(name="all", carriers=("a", "b", "c"), strategy="best_value", unregistered="refuse"),
        ),
    )
    chances = {"a": Chance(0.9, 0.95, 300), "b": Chance(0.8, 0.9, 200)}
    around = Surroundings(
        now_ms=1_800_000_000_000, live=lambda carrier: carrier != "b", chance=lambda carrier, *_: chances.get(carrier)
    )
    told = explain(Compiled(plan, 1), Facts("+79161234567", "otp", "app", "SHOP", parts=2), around)
    assert [(seen.name, seen.why_not) for seen in told.routes] == [
        ("night", "It is fri 11:00 in Europe/Moscow, not 22:00-06:00."),
        ("abroad", "The country is `RU`, not `KZ`."),
        ("long", "It has 2 parts, fewer than 3."),
        ("few", "The recipient is not among the 0.001 percent that it takes."),
        ("all", ""),
    ]
    assert told.whose is not None and (told.whose.operator, told.whose.source) == ("mts", "plan")
    assert isinstance(told.choice, Choice) and told.choice.carrier == "a"
    found = {c.carrier: (c.verdict, c.live, c.cost_micro, c.probability) for c in told.candidates}
    assert found == {
        "c": ("sender", True, 2_000_000, None),
        "b": ("down", False, 3_000_000, 0.8),
        "a": ("taken", True, 4_000_000, 0.9),
    }
    assert [c.score_micro for c in told.candidates] == [3_000_000 / 0.8, 4_000_000 / 0.9, None]


def test_nobodys_number_has_no_route() -> None:
    told = explain(Compiled(Plan(routes=(Route(name="r", carriers=()),)), 1), Facts("+79161234567", "otp"))
    assert told.whose is None and told.choice == NoRoute(Reason.NO_ROUTE)
    assert told.routes[0].why_not == "The number is nobody's."
