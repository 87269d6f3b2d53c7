"""Which carrier a message goes to, and at what price.

In: a plan, a message's facts, the surroundings, which carriers were tried. Out: `Choice` or `NoRoute`, a value. Pure:
the same plan, facts and surroundings give the same answer everywhere. explain.py tells it in words, by the same steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.plan.candidates import Candidates, Choice, Ranking, Taken
from gateway.plan.document import Carrier, Plan, Route
from gateway.plan.matching import Asked, Drawn, Key, Matching
from gateway.plan.memory import Memory
from gateway.plan.numbering import PlanDirectory
from gateway.plan.rates import Rates
from gateway.plan.senders import Senders
from gateway.plan.strategy import Option
from gateway.plan.surroundings import Directory, Surroundings, Whose
from gateway.provider import Reason

__all__ = ["NOBODY", "NOTHING", "NOWHERE", "Choice", "Compiled", "NoRoute", "Taken"]


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
_SANDBOX, _NONE = Route(name="sandbox", carriers=()), Route(name="", carriers=())
_REMEMBERED: Final = 10_000  # decisions of a generation


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
        self.whose: Final = self.directory.find
        self.is_coarse: Final = self.matching.is_coarse and not self.rates.by_prefix
        """Whether messages of one class and client to numbers of one `Whose` take the same route at the same prices."""
        self._key, self._by_prefix = self.matching.key, self.rates.by_prefix
        self._decisions = Memory[Key, Decision](_REMEMBERED)
        self._takes = Memory[tuple[int, str, str, str, str, str, str], Taken](_REMEMBERED)
        self._trials = Memory[tuple[str, str], Taken](_REMEMBERED)
        self.candidates: Final = Candidates(plan, self.rates, self.senders)

    def with_data(
        self, directory: Directory | None = None, rates: Rates | None = None, senders: Senders | None = None
    ) -> Compiled:
        """The same plan with other data beside it; what is not given stays."""
        return Compiled(
            self.plan, self.version, directory or self.directory, rates or self.rates, senders or self.senders
        )

    def operator(self, to: str) -> str:
        """The name of the number's operator; empty when no prefix covers it."""
        found = self.whose(to)
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
            ranking = self.candidates.rank(taken, around)
        plainly = ranking.plainly
        if (
            plainly is not None
            and not exclude
            and around.full is None
            and (around.live is None or around.live(plainly.carrier))
            and (around.slow is None or not around.slow(plainly.carrier, taken.klass))
            and (around.aside is None or not around.aside(plainly.carrier, taken.whose.operator))
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
        whose = self.whose(to)
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
        if not waiting and around.aside is not None and around.aside(carrier, taken.whose.operator):
            return "aside", 0
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
        options, whys, behind, full_ms = self.candidates.order(taken, ranking, facts, lot), list[str](), -1, 0
        for place, option in enumerate(options):
            why, until_ms = self.why_not(option, taken, facts, around, exclude, waiting)
            if not why:
                return self.candidates.choice(taken, ranking, options, place, whys)
            if why in _BEHIND and (behind < 0 or _BEHIND[why] < _BEHIND[whys[behind]]):
                behind = place
            full_ms = min(full_ms or until_ms, until_ms or full_ms)
            whys.append(why)
        if behind >= 0:
            return self.candidates.choice(taken, ranking, options, behind, whys)
        waits = taken.route.when_none == "wait"
        return NoRoute(_reason(whys), taken.whose.operator, taken.route.name, taken.carriers, waits, full_ms)


_BEHIND: Final = {"slow": 0, "aside": 1}
"""Who comes behind the others, and is not out: in this order."""


def _reason(whys: Sequence[str]) -> Reason:
    """Why no candidate takes the message, by what is wrong with each."""
    if not whys:
        return Reason.NO_ROUTE
    if "full" in whys:
        return Reason.LIMIT
    if "down" in whys:
        return Reason.NO_CARRIER
    return Reason.ATTEMPTS_EXHAUSTED if "tried" in whys else Reason.SENDER_NOT_REGISTERED
