"""Which messages each route really gets, and what nothing takes.

In: a plan whose names are right. Out: problems: routes that others hide, messages without a route, carriers without a
price for what they may be given. Sets of operators are the bits of an integer, so that a thousand routes take a moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from gateway.message import CLASSES
from gateway.plan.document import Plan, Route
from gateway.plan.problems import Problems
from gateway.plan.rates import Rates

_MOST_PARTS = 63
_ANYONE = ""
"""Stands for all clients that no route names."""


def check(plan: Plan, problems: Problems) -> None:
    """Follow every class, operator and client through the routes."""
    if not plan.operators:
        sentence = 'There is no operator, so that no number has a route: add one, with the prefix "" for all numbers.'
        problems.add((), "no_operator", sentence)
        return
    got = _what_routes_get(plan)
    for index, route in enumerate(plan.routes):
        if not any(got[index].values()):
            problems.add(
                ("route", index),
                "unreachable_route",
                f"Route `{route.name}` never gets a message: earlier routes match all that it matches.",
            )
        else:
            _check_carriers(plan, index, got[index], problems)
    _check_the_rest(plan, got, problems)


def _what_routes_get(plan: Plan) -> list[dict[tuple[str, str], int]]:
    """By route: the operators (bits) of each class and client that no earlier route takes whole.

    A route with conditions on something else, such as tags, takes whole only what later routes ask at least as much of.
    """
    masks = [_operators_of(plan, route) for route in plan.routes]
    others = [_others(route) for route in plan.routes]
    got: list[dict[tuple[str, str], int]] = [{} for _ in plan.routes]
    covers = cache(_covers)
    for client in {_ANYONE}.union(*(route.clients for route in plan.routes)):
        for klass in CLASSES:
            taken: dict[_Others, int] = {}
            for index, route in enumerate(plan.routes):
                if (not route.classes or klass in route.classes) and (not route.clients or client in route.clients):
                    left = masks[index]
                    for wider, operators in taken.items():
                        if left & operators and covers(wider, others[index]):
                            left &= ~operators
                    got[index][klass, client] = left
                    taken[others[index]] = taken.get(others[index], 0) | masks[index]
    return got


_Others = tuple[frozenset[str], ...]
"""A route's conditions on what is neither class, client nor operator, each as what it lets through; empty: all."""


def _others(route: Route) -> _Others:
    parts: frozenset[str] = frozenset()
    if route.min_parts is not None or route.max_parts is not None:
        parts = frozenset(str(n) for n in range(route.min_parts or 1, (route.max_parts or _MOST_PARTS) + 1))
    lists = (route.prefixes, route.senders, route.tags, route.encodings, route.days)
    hours = frozenset() if route.hours is None else frozenset((route.hours,))
    percent = frozenset() if route.percent is None else frozenset((f"{route.name} {route.percent}",))
    return (*(frozenset(names) for names in lists), parts, hours, percent)


def _covers(wider: _Others, narrower: _Others) -> bool:
    """Whether all that the narrower conditions let through passes the wider ones too."""
    prefixes, more = wider[0], narrower[0]
    if prefixes and not (more and all(any(p.startswith(q) for q in prefixes) for p in more)):
        return False
    return all(not w or (n and n <= w) for w, n in zip(wider[1:], narrower[1:], strict=True))


def _operators_of(plan: Plan, route: Route) -> int:
    return sum(
        1 << index
        for index, operator in enumerate(plan.operators)
        if (not route.operators or operator.name in route.operators)
        and (not route.countries or operator.country in route.countries)
    )


def _check_carriers(plan: Plan, index: int, got: dict[tuple[str, str], int], problems: Problems) -> None:
    """Every carrier of the route takes something of what the route gets, and has a price for it."""
    rates = Rates(plan)
    by_class: dict[str, int] = defaultdict(int)
    for (klass, _), operators in got.items():
        by_class[klass] |= operators
    for place, name in enumerate(plan.routes[index].carriers):
        carrier = plan.carrier(name)
        takes = (carrier.classes if carrier else ()) or CLASSES
        classes = [klass for klass in takes if by_class[klass]]
        if not classes:
            sentence = f"Carrier `{name}` takes no class that this route gets: see its `classes`."
            problems.add(("route", index, "carriers", place), "useless_carrier", sentence)
        unpriced = [
            (klass, operator.name)
            for klass in classes
            for bit, operator in enumerate(plan.operators)
            if by_class[klass] >> bit & 1 and rates.price(name, operator.name, klass) is None
        ]
        if unpriced:
            what = f"class {_some({k for k, _ in unpriced})} to operator {_some({o for _, o in unpriced})}"
            right = "add a [[rate]], unless an imported rate sheet has it."
            sentence = f"Carrier `{name}` has no rate for {what}, which this route may give it: {right}"
            problems.add(("route", index, "carriers", place), "no_rate", sentence, "warning")


def _check_the_rest(plan: Plan, got: list[dict[tuple[str, str], int]], problems: Problems) -> None:
    """Clients that a route names fall through to the same routes as anyone, so that anyone's case tells all."""
    missing: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for klass in CLASSES:
        taken = 0
        for route, by_case in zip(plan.routes, got, strict=True):
            if not any(_others(route)):
                taken |= by_case.get((klass, _ANYONE), 0)
        left = tuple(operator.name for bit, operator in enumerate(plan.operators) if not taken >> bit & 1)
        if left:
            missing[left].append(klass)
    for operators, classes in missing.items():
        whom = "any operator" if len(operators) == len(plan.operators) else f"operator {_some(operators)}"
        problems.add(
            ("route",),
            "no_route",
            f"No route takes class {_some(classes)} to {whom}: add one; with `carriers = []` it refuses on purpose.",
        )


def _some(names: Iterable[str]) -> str:
    listed = [f"`{name}`" for name in sorted(names)]
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
