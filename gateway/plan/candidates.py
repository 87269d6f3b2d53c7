"""A route's candidates for one kind of message: their prices, chances and senders, their order, and the one taken.

In: a route, the surroundings at a time. Out: options in order, and `Choice` for the one that is taken. Never: whether a
carrier can be used now; that is choice.py's question to each message. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.message import Treatment
from gateway.plan import record
from gateway.plan.document import Plan, Route
from gateway.plan.matching import Asked, mixed, seed, stable
from gateway.plan.rates import Rates
from gateway.plan.senders import Senders
from gateway.plan.strategy import Option, by_draw, explored, in_order
from gateway.plan.surroundings import Surroundings, Whose

RANKED_MS: Final = 1_000
"""How long an order of candidates holds before prices and chances are asked again."""


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
    billed_on_delivery: bool = False
    """The carrier asks money for what arrives, not for what it takes."""
    sender: str = ""
    """What the message's sender is replaced by; empty: it stays."""
    record: str = ""
    """Why this one, see record.py."""
    is_drawn: bool = False
    """Another message of the same kind may get another one, by its id or its number."""


class Ranking(msgspec.Struct, gc=False, eq=False):
    """A decision's candidates at one time. `choices` are those that were made of it, so that alike ones are one."""

    until_ms: int
    since_ms: int
    chance: object  # who was asked
    used: object
    options: list[Option]
    is_drawn: bool  # their order, by each message
    plainly: Choice | None = None
    """Of the first option when nothing is wrong with it and no single message matters."""
    choices: dict[tuple[int, tuple[str, ...]], Choice] = {}


class Taken(msgspec.Struct, gc=False, eq=False):
    """One kind of message at one route: what holds whatever the time and whoever is live."""

    route: Route
    whose: Whose
    klass: str
    client: str
    sender: str
    digits: str  # what prices depend on beside the operator
    test: bool
    carriers: tuple[str, ...]
    """The route's candidates that take the class."""
    ranking: Ranking | None = None


class Candidates:
    """Makes options of carriers, and choices of options."""

    def __init__(self, plan: Plan, rates: Rates, senders: Senders) -> None:
        self._plan, self._rates, self._senders = plan, rates, senders
        self._seeds = {carrier.name: seed("carrier " + carrier.name) for carrier in plan.carriers}
        self._billed_on_delivery = frozenset(c.name for c in plan.carriers if c.billed_on == "delivered")

    def rank(self, taken: Taken, around: Surroundings) -> Ranking:
        """Its candidates as they are worth now, in order."""
        route, klass, now = taken.route, taken.klass, around.now_ms
        options = [self._option(n, name, taken, around) for n, name in enumerate(taken.carriers)]
        options = in_order(options, route.strategy, klass, self._plan.defaults.explore)
        drawn = route.strategy in ("weighted", "sticky") or any(option.share for option in options)
        ranking = Ranking(now + RANKED_MS, now, around.chance, around.used, options, drawn, None, {})
        if options and not options[0].barred and not drawn:
            ranking.plainly = self.choice(taken, ranking, options, 0, ())
        taken.ranking = ranking
        return ranking

    def _option(self, number: int, name: str, taken: Taken, around: Surroundings) -> Option:
        route, operator, klass = taken.route, taken.whose.operator, taken.klass
        option = Option(name, number, route.weights.get(name, 1), self._seeds[name])
        if taken.test:
            return option
        option.price = self._rates.price(name, operator, klass, taken.digits, around.now_ms, around.used)
        if option.price is not None:
            option.cost = self._rates.comparable(option.price)
        if around.chance is not None and route.strategy == "best_value":
            option.chance = around.chance(name, operator, klass)
        if route.unregistered != "send":
            allowed = self._senders.allowed
            if not allowed(taken.sender, name, operator, klass, taken.client).allowed:
                other = route.sender if route.unregistered == "replace" else None
                option.barred = not (other and allowed(other, name, operator, klass, taken.client).allowed)
                option.sender = "" if option.barred else other or ""
        return option

    def order(self, taken: Taken, ranking: Ranking, facts: Asked, lot: bytes) -> Sequence[Option]:
        """The candidates as this message asks them."""
        options, strategy = ranking.options, taken.route.strategy
        if ranking.plainly is not None or len(options) < 2:
            return options
        if strategy == "sticky":
            return by_draw(options, stable(facts.to))
        number = mixed(int.from_bytes(lot[-8:], "big"))
        return by_draw(options, number) if strategy == "weighted" else explored(options, number)

    def choice(
        self, taken: Taken, ranking: Ranking, options: Sequence[Option], place: int, whys: Sequence[str]
    ) -> Choice:
        """The choice of one option, and what was wrong with those that were asked before it."""
        option, by_number = options[place], [""] * len(options)
        for asked, why in zip(options, whys, strict=False):
            by_number[asked.number] = why
        by_number[option.number] = ""
        key = (option.number, tuple(by_number))
        choice = ranking.choices.get(key)
        if choice is None:
            route, price = taken.route, option.price
            drawn = place == 0 and option is not ranking.options[0] and route.strategy == "best_value"
            in_words = [by_number[o.number] for o in ranking.options]
            choice = ranking.choices[key] = Choice(
                option.carrier,
                taken.whose.operator,
                price.micro if price else 0,
                price.currency if price else self._plan.defaults.currency or "",
                route.name,
                taken.carriers,
                treatment_of(route),
                not taken.test and option.carrier in self._billed_on_delivery,
                option.sender,
                record.write(
                    route.strategy,
                    taken.whose.source,
                    drawn,
                    ranking.options,
                    in_words,
                    price.currency if price else "",
                ),
                ranking.is_drawn,
            )
        return choice


def treatment_of(route: Route) -> str:
    """What the route has done to a text, a `Treatment`."""
    if route.transliterate:
        return Treatment.TRANSLITERATION.value
    return Treatment.TYPOGRAPHY.value if route.typography == "replace" else Treatment.NONE.value
