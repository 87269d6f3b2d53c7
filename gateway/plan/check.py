"""Whether a plan makes sense: names that exist, routes that can be reached, prices for everything that may be sent.

In: the document's text. Out: the plan and what is wrong with it, each with its line. Never reads a secret, a file or
the network: whether a secret is there is asked on the machine that will use it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from gateway.plan import coverage
from gateway.plan.document import Carrier, Operator, Plan, Rate, Route
from gateway.plan.lines import Lines, Path
from gateway.plan.numbering import PrefixError, expand
from gateway.plan.parse import parse
from gateway.plan.problems import Problem, Problems, close_to, errors


class Checked(NamedTuple):
    """A plan is there when no problem is an error; warnings may be there beside it."""

    plan: Plan | None
    problems: list[Problem]


def check(text: str, providers: Collection[str] | None = None) -> Checked:
    """Read and check a document. `providers` are the names that this installation has; None: not asked."""
    plan = parse(text)
    if not isinstance(plan, Plan):
        return Checked(None, plan)
    problems = Problems(Lines(text))
    _check_carriers(plan, providers, problems)
    _check_operators(plan, problems)
    _check_rates(plan, problems)
    _check_routes(plan, problems)
    if not errors(problems):
        coverage.check(plan, problems)
    found = sorted(problems, key=lambda p: p.line)
    return Checked(None if errors(found) else plan, found)


def _check_unique(entries: Iterable[Carrier | Operator | Route], table: str, problems: Problems) -> None:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name in seen:
            sentence = f"Another {table} is called `{entry.name}` too: rename one."
            problems.add((table, index, "name"), "duplicate_name", sentence)
        seen.add(entry.name)


def _check_names(
    names: Iterable[str], known: Collection[str], table: str, path: Path, problems: Problems, is_list: bool = True
) -> None:
    """Every name exists, and once."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        here = (*path, index) if is_list else path
        if name not in known:
            problems.add(here, "unknown_name", f"No {table} is called `{name}`.{close_to(name, known)}")
        elif name in seen:
            problems.add(here, "duplicate_name", f"`{name}` is in this list twice.")
        seen.add(name)


def _check_carriers(plan: Plan, providers: Collection[str] | None, problems: Problems) -> None:
    _check_unique(plan.carriers, "carrier", problems)
    _check_shares(plan.shares_of(Carrier(name="", provider="")), ("defaults", "shares"), problems)
    for index, carrier in enumerate(plan.carriers):
        if carrier.shares:
            _check_shares(plan.shares_of(carrier), ("carrier", index, "shares"), problems)
        if providers is not None and carrier.provider not in providers:
            problems.add(
                ("carrier", index, "provider"),
                "unknown_provider",
                f"There is no provider `{carrier.provider}`: known are {', '.join(sorted(providers))}.",
            )


def _check_shares(shares: dict[str, int], path: Path, problems: Problems) -> None:
    if (total := sum(shares.values())) > 100:
        problems.add(path, "shares_over_100", f"The shares of all classes add up to {total} percent, more than 100.")


def _check_operators(plan: Plan, problems: Problems) -> None:
    _check_unique(plan.operators, "operator", problems)
    owners: dict[str, str] = {}
    for index, operator in enumerate(plan.operators):
        for place, text in enumerate(operator.prefixes):
            try:
                prefixes = list(expand(text))
            except PrefixError as e:
                problems.add(("operator", index, "prefixes", place), "wrong_prefix", str(e))
                continue
            for prefix in prefixes:
                owner = owners.setdefault(prefix, operator.name)
                if owner != operator.name:
                    problems.add(
                        ("operator", index, "prefixes", place),
                        "duplicate_prefix",
                        f"Prefix `{prefix}` already belongs to operator `{owner}`.",
                    )
                    break
    if plan.operators and "" not in owners:
        sentence = 'Numbers outside every prefix have no route: an operator with the prefix "" would take the rest.'
        problems.add(("operator",), "no_rest", sentence, "warning")


def _check_rates(plan: Plan, problems: Problems) -> None:
    carriers = {carrier.name for carrier in plan.carriers}
    operators = {operator.name for operator in plan.operators}
    seen: set[tuple[str, str | None, str | None]] = set()
    for index, rate in enumerate(plan.rates):
        here: Path = ("rate", index)
        _check_names([rate.carrier], carriers, "carrier", (*here, "carrier"), problems, is_list=False)
        if rate.operator is not None:
            _check_names([rate.operator], operators, "operator", (*here, "operator"), problems, is_list=False)
        if rate.currency is None and plan.defaults.currency is None:
            problems.add(
                here, "no_currency", 'This rate has no `currency`, and [defaults] has none: write "RUB" or so.'
            )
        if _is_for(rate) in seen:
            problems.add(here, "duplicate_rate", "There is already a rate for this carrier, operator and class.")
        seen.add(_is_for(rate))


def _is_for(rate: Rate) -> tuple[str, str | None, str | None]:
    return rate.carrier, rate.operator, rate.klass


def _check_routes(plan: Plan, problems: Problems) -> None:
    _check_unique(plan.routes, "route", problems)
    carriers = {carrier.name for carrier in plan.carriers}
    operators = {operator.name for operator in plan.operators}
    countries = {operator.country for operator in plan.operators if operator.country}
    for index, route in enumerate(plan.routes):
        here: Path = ("route", index)
        _check_names(route.carriers, carriers, "carrier", (*here, "carriers"), problems)
        _check_names(route.operators, operators, "operator", (*here, "operators"), problems)
        _check_names(route.countries, countries, "operator's country", (*here, "countries"), problems)
    used = {name for route in plan.routes for name in route.carriers}
    for index, carrier in enumerate(plan.carriers):
        if carrier.name not in used and not carrier.sandbox:
            problems.add(("carrier", index), "unused_carrier", f"No route uses carrier `{carrier.name}`.", "warning")
