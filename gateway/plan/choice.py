"""Which carrier a message goes to, and at what price.

In: a plan, a message's facts, which carriers were tried and which are live. Out: `Choice` or `NoRoute`, a value. Pure:
the same plan and the same facts give the same answer in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.message import Treatment
from gateway.plan.document import Carrier, Operator, Plan, Route
from gateway.plan.numbering import Numbering
from gateway.plan.rates import Rates
from gateway.provider import Reason


class Choice(msgspec.Struct, frozen=True, gc=False):
    """A carrier for one attempt. `price_micro` is for one part; `candidates` are all of the route's, in order;
    `treatment` is what the route has done to the text, a `Treatment`."""

    carrier: str
    operator: str
    price_micro: int
    currency: str
    route: str
    candidates: tuple[str, ...]
    treatment: str = ""


class NoRoute(msgspec.Struct, frozen=True, gc=False):
    """No carrier now. The reason says what to do: `no_route` ends the message, as does `attempts_exhausted`; with
    `no_carrier` none of the candidates is live, and the message may wait for one."""

    reason: Reason
    operator: str = ""
    route: str = ""
    candidates: tuple[str, ...] = ()


_NOTHING: Final[frozenset[str]] = frozenset()
_NO_OPERATOR: Final = Operator(name="", prefixes=())


class _Decision(msgspec.Struct, frozen=True):
    """What the routes say to one kind of message, whatever is live."""

    choices: tuple[Choice, ...]
    none_live: NoRoute
    none_left: NoRoute


class Compiled:
    """A plan made ready for messages. Immutable but for its memory of decisions, which the plan's size bounds."""

    def __init__(self, plan: Plan, version: int) -> None:
        self.plan = plan
        self.version = version
        self.carriers: dict[str, Carrier] = {carrier.name: carrier for carrier in plan.carriers}
        self._numbering = Numbering(plan.operators)
        self._rates = Rates(plan)
        self._named_clients = frozenset(client for route in plan.routes for client in route.clients)
        self.sandboxes = tuple(carrier.name for carrier in plan.carriers if carrier.sandbox)
        """Carriers that may take what test keys send, in the plan's order."""
        self._decisions: dict[tuple[str, str, str, bool], _Decision] = {}

    def operator(self, to: str) -> str:
        """The name of the number's operator; empty when no prefix covers it."""
        found = self._numbering.operator(to)
        return "" if found is None else found.name

    def shares(self, carrier: str) -> dict[str, int]:
        """Percent of the carrier's rate by class, all classes."""
        return self.plan.shares_of(self.carriers[carrier])

    def choose(
        self,
        to: str,
        klass: str,
        client: str,
        sender: str = "",
        tag: str = "",
        encoding: str = "gsm7",
        exclude: frozenset[str] = _NOTHING,
        live: Callable[[str], bool] | None = None,
        test: bool = False,
    ) -> Choice | NoRoute:
        """The first candidate of the first matching route that is not excluded and is live.

        `exclude` are carriers not to be tried (again); `live` tells whether a carrier takes messages now (None: all
        do). What a test key sends (`test`) goes to the sandbox carriers only and costs nothing, whatever routes, rates
        and operators say. `sender`, `tag` and `encoding` are facts that no condition of a route reads in this release.
        """
        operator = self._numbering.operator(to)
        if operator is None:
            if not test:
                return NoRoute(Reason.NO_ROUTE)
            operator = _NO_OPERATOR
        key = (operator.name, klass, client if client in self._named_clients else "", test)
        decision = self._decisions.get(key)
        if decision is None:
            decision = self._decisions[key] = self._decide(operator, klass, client, test)
        none = decision.none_left
        for choice in decision.choices:
            if choice.carrier not in exclude:
                if live is None or live(choice.carrier):
                    return choice
                none = decision.none_live
        return none

    def _decide(self, operator: Operator, klass: str, client: str, test: bool) -> _Decision:
        name, carriers, treatment = self._candidates(operator, klass, client, test)
        usable = tuple(c for c in carriers if not self.carriers[c].classes or klass in self.carriers[c].classes)
        choices = []
        for carrier in usable:
            price = None if test else self._rates.price(carrier, operator.name, klass)
            micro, currency = price or (0, self.plan.defaults.currency or "")
            choices.append(Choice(carrier, operator.name, micro, currency, name, usable, treatment))
        left = Reason.ATTEMPTS_EXHAUSTED if choices else Reason.NO_ROUTE
        return _Decision(
            tuple(choices),
            NoRoute(Reason.NO_CARRIER, operator.name, name, usable),
            NoRoute(left, operator.name, name, usable),
        )

    def _candidates(self, operator: Operator, klass: str, client: str, test: bool) -> tuple[str, tuple[str, ...], str]:
        """The name of the route, its carriers, and its treatment of texts."""
        if test:
            return "sandbox", self.sandboxes, ""
        for route in self.plan.routes:
            if matches(route, operator, klass, client):
                return route.name, route.carriers, treatment_of(route)
        return "", (), ""


def treatment_of(route: Route) -> str:
    """What the route has done to a text, a `Treatment`."""
    if route.transliterate:
        return Treatment.TRANSLITERATION.value
    return Treatment.TYPOGRAPHY.value if route.typography == "replace" else Treatment.NONE.value


def matches(route: Route, operator: Operator, klass: str, client: str) -> bool:
    """Whether every condition of the route holds; an empty one does."""
    return (
        (not route.classes or klass in route.classes)
        and (not route.operators or operator.name in route.operators)
        and (not route.countries or operator.country in route.countries)
        and (not route.clients or client in route.clients)
    )
