"""Which carrier a message goes to, and at what price.

In: a plan, a message's facts, the surroundings, which carriers were tried. Out: `Choice` or `NoRoute`, a value. Pure:
the same plan, facts and surroundings give the same answer everywhere. explain.py tells it in words, by the same steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import msgspec

from gateway.message import Treatment
from gateway.plan import record
from gateway.plan.document import Carrier, Plan, Route
from gateway.plan.matching import Asked, Drawn, Key, Matching, mixed, seed, stable
from gateway.plan.numbering import Numbering
from gateway.plan.rates import Rates
from gateway.plan.senders import Senders
from gateway.plan.strategy import Option, by_draw, explored, in_order
from gateway.plan.surroundings import Directory, Surroundings, Whose
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
    billed_on_delivery: bool = False
    """The carrier asks money for what arrives, not for what it takes."""
    sender: str = ""
    """What the message's sender is replaced by; empty: it stays."""
    record: str = ""
    """Why this one, see record.py."""


class NoRoute(msgspec.Struct, frozen=True, gc=False):
    """No carrier now. The reason says what to do: `no_route` and `sender_not_registered` end the message, as does
    `attempts_exhausted`; with `no_carrier` none of the candidates can send, with `limit` those that can have no room
    until `until_ms`: then the message may wait, unless the route says that it fails (`wait` False)."""

    reason: Reason
    operator: str = ""
    route: str = ""
    candidates: tuple[str, ...] = ()
    wait: bool = True
    until_ms: int = 0


NOTHING: Final[frozenset[str]] = frozenset()
NOWHERE: Final = Surroundings()
NOBODY: Final = Whose("")
RANKED_MS: Final = 1_000
"""How long an order of candidates holds before prices and chances are asked again."""

_SANDBOX, _NONE = Route(name="sandbox", carriers=()), Route(name="", carriers=())
_REMEMBERED: Final = 10_000  # decisions of a generation


class Ranking(msgspec.Struct, gc=False, eq=False):
    """A decision's candidates at one time. `choices` are those that were made of it, so that alike ones are one."""

    until_ms: int
    since_ms: int
    chance: object  # who was asked
    used: object
    options: list[Option]
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


class Decision(msgspec.Struct, gc=False, eq=False):
    """The routes that take one kind of message: those with a share of the recipients, and the first that has all."""

    chain: tuple[tuple[Drawn | None, Taken], ...]
    only: Taken | None
    """The first route, when it has all recipients."""


class Compiled:
    """A plan made ready for messages. Immutable but for its memory of decisions, which is bounded.

    directory: whose number it is, when the plan's prefixes are not all that is known; rates and senders: with what was
    imported beside the plan.
    """

    def __init__(
        self,
        plan: Plan,
        version: int,
        directory: Directory | None = None,
        rates: Rates | None = None,
        senders: Senders | None = None,
    ) -> None:
        self.plan = plan
        self.version = version
        self.carriers: dict[str, Carrier] = {carrier.name: carrier for carrier in plan.carriers}
        self.directory: Final[Directory] = directory or PlanDirectory(plan)
        self.rates: Final = rates or Rates(plan)
        self.senders: Final = senders or Senders(plan)
        self.matching: Final = Matching(plan)
        self.sandboxes = tuple(carrier.name for carrier in plan.carriers if carrier.sandbox)
        """Carriers that may take what test keys send, in the plan's order."""
        self._find, self._key, self._by_prefix = self.directory.find, self.matching.key, self.rates.by_prefix
        self._decisions = Memory[Key, Decision](_REMEMBERED)
        self._takes = Memory[tuple[int, str, str, str, str, str, str], Taken](_REMEMBERED)
        self._trials = Memory[tuple[str, str], Taken](_REMEMBERED)
        self._seeds = {name: seed("carrier " + name) for name in self.carriers}

    def with_data(
        self, directory: Directory | None = None, rates: Rates | None = None, senders: Senders | None = None
    ) -> Compiled:
        """The same plan with other data beside it; what is not given stays."""
        return Compiled(
            self.plan, self.version, directory or self.directory, rates or self.rates, senders or self.senders
        )

    def operator(self, to: str) -> str:
        """The name of the number's operator; empty when no prefix covers it."""
        found = self._find(to)
        return "" if found is None else found.operator

    def shares(self, carrier: str) -> dict[str, int]:
        """Percent of the carrier's rate by class, all classes."""
        return self.plan.shares_of(self.carriers[carrier])

    def choose(
        self,
        facts: Asked,
        around: Surroundings = NOWHERE,
        exclude: frozenset[str] = NOTHING,
        again: frozenset[str] = NOTHING,
        lot: bytes = b"",
        waiting: bool = False,
    ) -> Choice | NoRoute:
        """The first candidate of the first matching route, in the order of its strategy, with which nothing is wrong.

        `exclude` are carriers not to be tried (again); those of them that are in `again` may be, where the route says
        `retry_same`. `lot` is the message's id: chance for `weighted` and exploration. `waiting`: one that may come to
        be able to send is good enough. What a test key sends goes to the sandbox carriers only and costs nothing,
        whatever routes, rates and operators say.
        """
        taken = self.taken(facts, around)
        if taken is None:
            return NoRoute(Reason.NO_ROUTE)
        ranking = taken.ranking
        if (
            ranking is None
            or not ranking.since_ms <= around.now_ms < ranking.until_ms
            or ranking.chance is not around.chance
            or ranking.used is not around.used
        ):
            ranking = self.rank(taken, around)
        plainly = ranking.plainly
        if (
            plainly is not None
            and not exclude
            and around.full is None
            and (around.live is None or around.live(plainly.carrier))
            and (around.slow is None or not around.slow(plainly.carrier, taken.klass))
        ):
            return plainly
        return self._weigh(taken, ranking, facts, around, exclude, again, lot, waiting)

    def _trial(self, whose: Whose, klass: str) -> Taken:
        key = (whose.operator, klass)
        found = self._trials.get(key)
        if found is None:
            able = tuple(c for c in self.sandboxes if klass in (self.carriers[c].classes or (klass,)))
            found = self._trials.put(key, Taken(_SANDBOX, whose, klass, "", "", "", True, able))
        return found

    def taken(self, facts: Asked, around: Surroundings) -> Taken | None:
        """The route that takes the message; None when its number is nobody's. A route that no carrier of the plan
        serves has no carriers."""
        to = facts.to
        whose = self._find(to)
        if facts.test:
            return self._trial(whose or NOBODY, facts.klass)
        if whose is None or not whose.operator:
            return None
        digits = self.rates.prefix(to) if self._by_prefix else ""
        key = self._key(facts, whose, digits, around.now_ms)
        decision = self._decisions.young.get(key) or self._decisions.get(key)
        if decision is None:
            decision = self._decisions.put(key, self._decide(key, whose, facts))
        if decision.only is not None:
            return decision.only
        for drawn, taken in decision.chain:
            if drawn is None or drawn.has(to):
                return taken
        return None

    def _decide(self, key: Key, whose: Whose, facts: Asked) -> Decision:
        matching, digits = self.matching, key[-1]
        chain = [(matching.drawn[n], self._take(n, whose, facts, digits)) for n in matching.matching(key)]
        if not chain or chain[-1][0] is not None:
            chain.append((None, self._take(-1, whose, facts, "")))
        return Decision(tuple(chain), None if chain[0][0] is not None else chain[0][1])

    def _take(self, number: int, whose: Whose, facts: Asked, digits: str) -> Taken:
        """The route by its number; -1: none. What no price and no sender differs in is shared by many decisions."""
        route, klass = self.plan.routes[number] if number >= 0 else _NONE, facts.klass
        client, sender = ("", "") if route.unregistered == "send" else (facts.client, facts.sender)
        key = (number, whose.operator, whose.source, klass, digits, client, sender)
        taken = self._takes.get(key)
        if taken is None:
            able = tuple([c for c in route.carriers if klass in (self.carriers[c].classes or (klass,))])
            taken = self._takes.put(key, Taken(route, whose, klass, client, sender, digits, False, able))
        return taken

    def rank(self, taken: Taken, around: Surroundings) -> Ranking:
        """Its candidates as they are worth now, in order."""
        route, klass, now = taken.route, taken.klass, around.now_ms
        options = [self._option(n, name, taken, around) for n, name in enumerate(taken.carriers)]
        options = in_order(options, route.strategy, klass, self.plan.defaults.explore)
        ranking = Ranking(now + RANKED_MS, now, around.chance, around.used, options, None, {})
        drawn = route.strategy in ("weighted", "sticky") or any(option.share for option in options)
        if options and not options[0].barred and not drawn:
            ranking.plainly = self._chosen(taken, ranking, options, 0, ())
        taken.ranking = ranking
        return ranking

    def _option(self, number: int, name: str, taken: Taken, around: Surroundings) -> Option:
        route, operator, klass = taken.route, taken.whose.operator, taken.klass
        option = Option(name, number, route.weights.get(name, 1), self._seeds[name])
        if taken.test:
            return option
        option.price = self.rates.price(name, operator, klass, taken.digits, around.now_ms, around.used)
        if option.price is not None:
            option.cost = self.rates.comparable(option.price)
        if around.chance is not None and route.strategy == "best_value":
            option.chance = around.chance(name, operator, klass)
        if route.unregistered != "send":
            allowed = self.senders.allowed
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

    def why_not(
        self,
        option: Option,
        taken: Taken,
        facts: Asked,
        around: Surroundings,
        exclude: frozenset[str],
        waiting: bool = False,
    ) -> tuple[str, int]:
        """What is wrong with a candidate now, out of record.WHY, and until when (ms) a limit is reached."""
        carrier = option.carrier
        if carrier in exclude:
            return "tried", 0
        if option.barred:
            return "sender", 0
        if not waiting and around.live is not None and not around.live(carrier):
            return "down", 0
        if around.full is not None and not taken.test:
            until = around.full(
                carrier,
                taken.whose.operator,
                option.sender or facts.sender,
                facts.client,
                facts.tag,
                taken.klass,
                facts.parts,
            )
            if until:
                return "full", until
        if not waiting and around.slow is not None and around.slow(carrier, taken.klass):
            return "slow", 0
        return "", 0

    def _weigh(
        self,
        taken: Taken,
        ranking: Ranking,
        facts: Asked,
        around: Surroundings,
        exclude: frozenset[str],
        again: frozenset[str],
        lot: bytes,
        waiting: bool,
    ) -> Choice | NoRoute:
        if again and taken.route.retry_same:
            exclude = exclude - again
        options, whys, behind, full_ms = self.order(taken, ranking, facts, lot), list[str](), -1, 0
        for place, option in enumerate(options):
            why, until_ms = self.why_not(option, taken, facts, around, exclude, waiting)
            if not why:
                return self._chosen(taken, ranking, options, place, whys)
            if why == "slow" and behind < 0:
                behind = place
            full_ms = min(full_ms or until_ms, until_ms or full_ms)
            whys.append(why)
        if behind >= 0:
            return self._chosen(taken, ranking, options, behind, whys)
        waits = taken.route.when_none == "wait"
        return NoRoute(_reason(whys), taken.whose.operator, taken.route.name, taken.carriers, waits, full_ms)

    def _chosen(
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
                price.currency if price else self.plan.defaults.currency or "",
                route.name,
                taken.carriers,
                treatment_of(route),
                not taken.test and self.carriers[option.carrier].billed_on == "delivered",
                option.sender,
                record.write(
                    route.strategy,
                    taken.whose.source,
                    drawn,
                    ranking.options,
                    in_words,
                    price.currency if price else "",
                ),
            )
        return choice


def _reason(whys: Sequence[str]) -> Reason:
    """Why no candidate takes the message, by what is wrong with each."""
    if not whys:
        return Reason.NO_ROUTE
    if "full" in whys:
        return Reason.LIMIT
    if "down" in whys:
        return Reason.NO_CARRIER
    return Reason.ATTEMPTS_EXHAUSTED if "tried" in whys else Reason.SENDER_NOT_REGISTERED


def treatment_of(route: Route) -> str:
    """What the route has done to a text, a `Treatment`."""
    if route.transliterate:
        return Treatment.TRANSLITERATION.value
    return Treatment.TYPOGRAPHY.value if route.typography == "replace" else Treatment.NONE.value


class PlanDirectory:
    """Whose number it is by nothing but the prefixes of the plan's operators."""

    def __init__(self, plan: Plan) -> None:
        whose = {o.name: Whose(o.name, o.country or "", source="plan") for o in plan.operators}
        self._tables = [
            (end, {prefix: whose[o.name] for prefix, o in table.items()})
            for end, table in Numbering(plan.operators).tables
        ]

    def find(self, to: str) -> Whose | None:
        """The operator with the longest prefix."""
        for end, table in self._tables:
            if (found := table.get(to[:end])) is not None:
                return found
        return None


K = TypeVar("K")
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Remembers at most two generations of values: what was not asked for in a whole one is forgotten."""

    __slots__ = ("_capacity", "_old", "young")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value, when it is still known."""
        found = self.young.get(key)
        if found is None and self._old and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> V:
        """Remember a value."""
        if len(self.young) >= self._capacity:
            self._old, self.young = self.young, {}
        self.young[key] = value
        return value
