"""Whether limits, budgets, windows, senders, lookups and inbound rules say what they can mean.

In: a plan that could be read. Out: problems.
"""

from __future__ import annotations

import zoneinfo
from functools import cache

from gateway.plan.check_names import check_name, check_names, check_unique
from gateway.plan.document import Limit, Plan, Route
from gateway.plan.lines import Path
from gateway.plan.problems import Problems

_EACH = "*"


def check(plan: Plan, problems: Problems) -> None:
    """Look at every entry."""
    _check_zone(plan.defaults.timezone, ("defaults", "timezone"), problems)
    _check_limits(plan, problems)
    _check_budgets(plan, problems)
    _check_windows(plan, problems)
    _check_senders(plan, problems)
    _check_lookup(plan, problems)
    _check_inbound(plan, problems)


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _check_zone(zone: str | None, path: Path, problems: Problems) -> None:
    if zone is not None and zone not in _zones():
        problems.add(path, "unknown_zone", f'There is no time zone `{zone}`: write one such as "Europe/Moscow".')


def _names(plan: Plan) -> tuple[set[str], set[str]]:
    return {carrier.name for carrier in plan.carriers}, {operator.name for operator in plan.operators}


def _check_limits(plan: Plan, problems: Problems) -> None:
    carriers, operators = _names(plan)
    seen: set[tuple[str | None, ...]] = set()
    for index, limit in enumerate(plan.limits):
        here: Path = ("limit", index)
        check_name(limit.carrier, carriers, "carrier", (*here, "carrier"), problems)
        if limit.operator != _EACH:
            check_name(limit.operator, operators, "operator", (*here, "operator"), problems)
        _check_measure(limit, here, problems)
        counts = (limit.carrier, limit.operator, limit.sender, limit.client, limit.tag, limit.klass)
        if (*counts, limit.per) in seen:
            problems.add(here, "duplicate_limit", "There is already a limit for the same in the same period.")
        seen.add((*counts, limit.per))
        if limit.in_flight is None and not any(counts):
            sentence = (
                "This limit names nothing that it counts: write a carrier, operator, sender, client, tag or class."
            )
            problems.add(here, "limits_nothing", sentence)


def _check_measure(limit: Limit, here: Path, problems: Problems) -> None:
    measured = (limit.parts is not None, limit.per is not None)
    right = "write `parts` and `per`, or `in_flight`."
    if limit.in_flight is not None and any(measured):
        problems.add((*here, "in_flight"), "two_limits", f"These are two limits: {right}")
    elif limit.in_flight is None and not all(measured):
        problems.add(here, "no_measure", f"This limit does not say how much: {right}")


def _check_budgets(plan: Plan, problems: Problems) -> None:
    seen: set[tuple[str | None, ...]] = set()
    for index, budget in enumerate(plan.budgets):
        here: Path = ("budget", index)
        if budget.client is None and budget.tag is None:
            problems.add(here, "limits_nothing", "This budget names nobody: write `client`, `tag` or both.")
        if (budget.client, budget.tag, budget.per) in seen:
            problems.add(here, "duplicate_budget", "There is already a budget for the same in the same period.")
        seen.add((budget.client, budget.tag, budget.per))
        currency = budget.currency or plan.defaults.currency
        if currency is None:
            problems.add(here, "no_currency", "This budget has no `currency`, and [defaults] has none.")
        elif currency != plan.defaults.currency and currency not in plan.currencies:
            sentence = f"What one {currency} is worth is not known: see [currencies]."
            problems.add((*here, "currency"), "no_exchange_rate", sentence)


def _check_windows(plan: Plan, problems: Problems) -> None:
    check_unique(plan.windows, "window", problems)
    _, operators = _names(plan)
    for index, window in enumerate(plan.windows):
        here: Path = ("window", index)
        check_names(window.operators, operators, "operator", (*here, "operators"), problems)
        _check_zone(window.zone, (*here, "zone"), problems)
        if window.from_ == window.until:
            sentence = "This window closes when it opens: it would hold everything back for ever."
            problems.add((*here, "until"), "impossible_condition", sentence)
        if window.from_ == "24:00":
            problems.add(
                (*here, "from"), "wrong_value", "A window opens at 00:00 at the earliest and 23:59 at the latest."
            )
        if "otp" in window.classes:
            sentence = f"Window `{window.name}` holds back codes: an otp would wait for the morning."
            problems.add((*here, "classes"), "otp_waits", sentence, "warning")


def _check_senders(plan: Plan, problems: Problems) -> None:
    carriers, operators = _names(plan)
    for index, sender in enumerate(plan.senders):
        here: Path = ("sender", index)
        check_names(sender.carriers, carriers, "carrier", (*here, "carriers"), problems)
        check_names(sender.operators, operators, "operator", (*here, "operators"), problems)
    if not plan.senders:
        return
    for index, route in enumerate(plan.routes):
        wanted = route.senders if route.unregistered != "replace" else (*route.senders, route.sender or "")
        for name in wanted:
            missing = [where for where in _places(plan, route) if not _is_registered(plan, name, *where)]
            if name and missing:
                carrier, operator = missing[0]
                more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                sentence = f"Sender `{name}` is not registered at operator `{operator}` with carrier `{carrier}`{more}."
                problems.add(("route", index), "unregistered_sender", sentence, "warning")


def _places(plan: Plan, route: Route) -> list[tuple[str, str]]:
    """Every carrier and operator that the route may use."""
    operators = [
        operator.name
        for operator in plan.operators
        if (not route.operators or operator.name in route.operators)
        and (not route.countries or operator.country in route.countries)
    ]
    return [(carrier, operator) for carrier in route.carriers for operator in operators]


def _is_registered(plan: Plan, name: str, carrier: str, operator: str) -> bool:
    return any(
        sender.name == name
        and sender.state == "registered"
        and (not sender.carriers or carrier in sender.carriers)
        and (not sender.operators or operator in sender.operators)
        for sender in plan.senders
    )


def _check_lookup(plan: Plan, problems: Problems) -> None:
    lookup = plan.lookup
    if lookup is None:
        return
    _, operators = _names(plan)
    check_names(lookup.operators, operators, "operator", ("lookup", "operators"), problems)
    if lookup.budget is not None and lookup.price is None:
        problems.add(("lookup", "budget"), "no_price", "A budget for lookups needs the `price` of one.")
    if lookup.price is not None and lookup.currency is None and plan.defaults.currency is None:
        problems.add(("lookup", "price"), "no_currency", "This price has no `currency`, and [defaults] has none.")


def _check_inbound(plan: Plan, problems: Problems) -> None:
    seen: set[tuple[str | None, str | None]] = set()
    for index, rule in enumerate(plan.inbound):
        case = rule.number, None if rule.keyword is None else rule.keyword.casefold()
        hidden = case in seen or (rule.number, None) in seen or (None, None) in seen or (None, case[1]) in seen
        if hidden:
            sentence = "An earlier rule takes all that this one would take: move this one up, or leave it out."
            problems.add(("inbound", index), "unreachable_rule", sentence)
        seen.add(case)
