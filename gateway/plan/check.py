"""Whether a plan makes sense: names that exist, routes that can be reached, prices for everything that may be sent.

In: the document's text. Out: the plan and what is wrong with it, each with its line. Never reads a secret, a file or
the network: whether a secret is there is asked on the machine that will use it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from gateway.plan import check_bounds, check_routes, coverage
from gateway.plan.check_names import check_name, check_unique
from gateway.plan.document import Carrier, Plan, Rate
from gateway.plan.lines import Lines, Path
from gateway.plan.numbering import PrefixError, expand
from gateway.plan.parse import parse
from gateway.plan.problems import Problem, Problems, errors


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
    check_routes.check(plan, problems)
    check_bounds.check(plan, problems)
    if not errors(problems):
        coverage.check(plan, problems)
    found = sorted(problems, key=lambda p: p.line)
    return Checked(None if errors(found) else plan, found)


def _check_carriers(plan: Plan, providers: Collection[str] | None, problems: Problems) -> None:
    check_unique(plan.carriers, "carrier", problems)
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
    check_unique(plan.operators, "operator", problems)
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
        if not operator.prefixes and not operator.aliases and operator.mcc_mnc is None:
            right = "give it `prefixes`, `mcc_mnc`, or `aliases` that numbering data has."
            sentence = f"No number belongs to operator `{operator.name}`: {right}"
            problems.add(("operator", index), "operator_without_numbers", sentence)
    _check_aliases(plan, problems)
    if plan.operators and "" not in owners:
        sentence = 'Numbers outside every prefix have no route: an operator with the prefix "" would take the rest.'
        problems.add(("operator",), "no_rest", sentence, "warning")


def _check_aliases(plan: Plan, problems: Problems) -> None:
    owners: dict[str, str] = {}
    for index, operator in enumerate(plan.operators):
        for place, alias in enumerate(operator.aliases):
            if (owner := owners.setdefault(alias.casefold(), operator.name)) != operator.name:
                sentence = f"`{alias}` is already an alias of operator `{owner}`."
                problems.add(("operator", index, "aliases", place), "duplicate_alias", sentence)


def _check_rates(plan: Plan, problems: Problems) -> None:
    carriers = {carrier.name for carrier in plan.carriers}
    operators = {operator.name for operator in plan.operators}
    seen: set[tuple[str | None, ...]] = set()
    for index, rate in enumerate(plan.rates):
        here: Path = ("rate", index)
        check_name(rate.carrier, carriers, "carrier", (*here, "carrier"), problems)
        check_name(rate.operator, operators, "operator", (*here, "operator"), problems)
        if rate.operator is not None and rate.prefix is not None:
            sentence = "A rate is for an operator or for a prefix, not for both: leave one out."
            problems.add((*here, "prefix"), "rate_for_two", sentence)
        if rate.currency is None and plan.defaults.currency is None:
            problems.add(
                here, "no_currency", 'This rate has no `currency`, and [defaults] has none: write "RUB" or so.'
            )
        if _is_for(rate) in seen:
            what = "this carrier, operator or prefix, class and day"
            problems.add(here, "duplicate_rate", f"There is already a rate for {what}.")
        seen.add(_is_for(rate))
        _check_ladder(rate, here, problems)


def _is_for(rate: Rate) -> tuple[str | None, ...]:
    prefix = None if rate.prefix is None else rate.prefix.removeprefix("+")
    return rate.carrier, rate.operator, rate.klass, prefix, rate.valid_from


def _check_ladder(rate: Rate, here: Path, problems: Problems) -> None:
    steps = [step.over for step in rate.ladder]
    if steps != sorted(set(steps)):
        problems.add(
            (*here, "ladder"), "ladder_order", "The steps of a ladder go up: each `over` larger than the last."
        )
    if rate.valid_from is not None and not _is_moment(rate.valid_from):
        problems.add((*here, "valid_from"), "wrong_value", 'There is no such day: write one such as "2026-12-01".')


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
