"""Whether each route says what it can mean: names, conditions that can hold, a strategy with what it needs.

In: a plan that could be read. Out: problems. What routes leave to each other is coverage.py's business.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.plan.check_names import check_name, check_names, check_unique
from gateway.plan.document import Plan, Route
from gateway.plan.lines import Path
from gateway.plan.problems import Problems

BY_PRICE: Final = frozenset({"cheapest", "best_value"})
"""Strategies that compare prices."""

_WEIGHING: Final = frozenset({"weighted", "sticky"})
_DIGITS: Final = re.compile(r"\+?[0-9]{3,15}")


def check(plan: Plan, problems: Problems) -> None:
    """Look at every route by itself, and for carriers that no route uses."""
    check_unique(plan.routes, "route", problems)
    for index, route in enumerate(plan.routes):
        here: Path = ("route", index)
        _check_route_names(plan, route, here, problems)
        _check_conditions(route, here, problems)
        _check_strategy(route, here, problems)
        _check_sender(plan, route, here, problems)
        _check_fallback(plan, route, here, problems)
    _check_exchange(plan, problems)
    used = {name for route in plan.routes for name in route.carriers}
    for index, carrier in enumerate(plan.carriers):
        if carrier.name not in used and not carrier.sandbox:
            problems.add(("carrier", index), "unused_carrier", f"No route uses carrier `{carrier.name}`.", "warning")


def _check_route_names(plan: Plan, route: Route, here: Path, problems: Problems) -> None:
    carriers = {carrier.name for carrier in plan.carriers}
    operators = {operator.name for operator in plan.operators}
    countries = {operator.country for operator in plan.operators if operator.country}
    check_names(route.carriers, carriers, "carrier", (*here, "carriers"), problems)
    check_names(route.operators, operators, "operator", (*here, "operators"), problems)
    check_names(route.countries, countries, "operator's country", (*here, "countries"), problems)
    for name in route.weights:
        check_name(name, route.carriers, "carrier of this route", (*here, "weights", name), problems)


def _check_conditions(route: Route, here: Path, problems: Problems) -> None:
    if route.min_parts is not None and route.max_parts is not None and route.min_parts > route.max_parts:
        sentence = f"No message has at least {route.min_parts} and at most {route.max_parts} parts."
        problems.add((*here, "min_parts"), "impossible_condition", sentence)
    if route.hours is not None and len(set(route.hours.split("-"))) == 1:
        sentence = "These hours begin when they end: leave `hours` out for the whole day."
        problems.add((*here, "hours"), "impossible_condition", sentence)


def _check_strategy(route: Route, here: Path, problems: Problems) -> None:
    if route.weights and route.strategy not in _WEIGHING:
        sentence = f"Strategy `{route.strategy}` does not read `weights`: only weighted and sticky do."
        problems.add((*here, "weights"), "unused_field", sentence, "warning")
    if route.carriers and route.strategy in _WEIGHING and not any(route.weights.get(c, 1) for c in route.carriers):
        problems.add((*here, "weights"), "no_weight", "Every carrier has the weight 0: give at least one more.")


def _check_sender(plan: Plan, route: Route, here: Path, problems: Problems) -> None:
    if route.unregistered == "replace" and route.sender is None:
        sentence = "An unregistered sender is to be replaced, but not by what: write `sender`."
        problems.add((*here, "unregistered"), "no_sender", sentence)
    if route.sender is None:
        return
    if not _is_sender(route.sender):
        sentence = "A sender has up to 15 digits, or up to 11 characters of ASCII."
        problems.add((*here, "sender"), "wrong_value", sentence)
    if route.unregistered != "replace":
        sentence = '`sender` is read only with unregistered = "replace".'
        problems.add((*here, "sender"), "unused_field", sentence, "warning")


def _is_sender(sender: str) -> bool:
    if _DIGITS.fullmatch(sender):
        return True
    return len(sender) <= 11 and sender.isascii() and sender.isprintable() and sender.strip() == sender


def _check_fallback(plan: Plan, route: Route, here: Path, problems: Problems) -> None:
    """One candidate is a single point of failure where another carrier could do the same."""
    only = plan.carrier(route.carriers[0]) if len(route.carriers) == 1 else None
    if only is None or only.sandbox:
        return
    classes = set(route.classes)
    for carrier in plan.carriers:
        takes = not classes or not carrier.classes or classes & set(carrier.classes)
        if carrier != only and not carrier.sandbox and takes:
            sentence = f"Route `{route.name}` has no fallback: while `{only.name}` is down its messages wait."
            problems.add((*here, "carriers"), "no_fallback", sentence, "warning")
            return


def _check_exchange(plan: Plan, problems: Problems) -> None:
    """Prices that are compared have one currency, or are worth something in that of [defaults]."""
    own = plan.defaults.currency
    for name in plan.currencies:
        if name == own:
            problems.add(("currencies", name), "own_currency", f"`{name}` is the currency of [defaults]: leave it out.")
    if plan.currencies and own is None:
        problems.add(("currencies",), "no_currency", "Worth in which currency? Write `currency` into [defaults].")
    compared = {name for route in plan.routes if route.strategy in BY_PRICE for name in route.carriers}
    known = {own, *plan.currencies}
    if len({rate.currency or own for rate in plan.rates if rate.carrier in compared}) > 1:
        for index, rate in enumerate(plan.rates):
            if rate.carrier in compared and (rate.currency or own) not in known:
                sentence = (
                    f"Routes compare prices, but what one {rate.currency} is worth is not known: see [currencies]."
                )
                problems.add(("rate", index, "currency"), "no_exchange_rate", sentence)
