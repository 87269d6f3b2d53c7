"""Why a message goes where it goes, in words: its number, every route, every candidate, the choice.

In: what choice.py chooses from. Out: `Explanation`, a value. It asks the same steps as `Compiled.choose`, so that both
agree; it decides nothing itself. Pure. Never the text of a message, nor its whole number.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import inf

import msgspec

from gateway.plan.choice import NOTHING, NOWHERE, Choice, Compiled, NoRoute, Taken
from gateway.plan.document import Route
from gateway.plan.matching import DAYS, Asked, it_is_time
from gateway.plan.rates import FOREVER
from gateway.plan.record import WHY
from gateway.plan.strategy import Option
from gateway.plan.surroundings import Surroundings, Whose
from gateway.provider import Reason


class RouteSeen(msgspec.Struct, frozen=True):
    """A route of the plan. `why_not`: the first condition that does not hold, as a sentence; empty: all hold."""

    name: str
    matched: bool
    why_not: str = ""


class Candidate(msgspec.Struct, frozen=True):
    """A carrier of the route, in the order in which it was asked."""

    carrier: str
    verdict: str
    """`taken`, `waits` (the message waits there), `left` (another came first), `class` or a word of record.WHY."""
    words: str
    """The same as a sentence."""
    live: bool
    """Whether it can send now."""
    price_micro: int | None = None
    """Of one part; None: there is no rate."""
    currency: str = ""
    cost_micro: int | None = None
    """Of all parts, in the default currency."""
    probability: float | None = None
    """Of delivery within the class's deadline, its lower bound, which `best_value` counts with."""
    expected: float | None = None
    messages: int | None = None
    """How many messages these two rest on."""
    score_micro: float | None = None
    """What the strategy compares, the lowest first: cost of all parts, for `best_value` divided by the probability."""
    explored: float = 0.0
    """Share of the messages that it gets so that more is known of it."""
    sender: str = ""
    """What the sender is replaced by."""
    until_ms: int = 0
    """Until when a limit has no room."""


class Explanation(msgspec.Struct, frozen=True):
    """All of it. `whose` None: nobody's number."""

    whose: Whose | None
    routes: tuple[RouteSeen, ...]
    route: str
    """The one that takes the message; empty: none does."""
    strategy: str
    when_none: str
    candidates: tuple[Candidate, ...]
    choice: Choice | NoRoute


def explain(
    compiled: Compiled,
    facts: Asked,
    around: Surroundings = NOWHERE,
    exclude: frozenset[str] = NOTHING,
    lot: bytes = b"",
    health: Callable[[str], str] = lambda carrier: "",
) -> Explanation:
    """What `compiled.choose` answers to the same arguments, and why. `lot`: of a message that is there; without it the
    draw of strategies by lot is one of many. `health`: in a word what limits a carrier."""
    choice = compiled.choose(facts, around, exclude, NOTHING, lot)
    whose, taken = compiled.directory.find(facts.to), compiled.taken(facts, around)
    routes = () if facts.test else _routes(compiled, facts, whose, around.now_ms)
    if taken is None:
        return Explanation(whose, routes, "", "", "", (), choice)
    place = choice
    if isinstance(choice, NoRoute) and choice.reason == Reason.NO_CARRIER and choice.wait:
        place = compiled.choose(facts, around, exclude, NOTHING, lot, waiting=True)
    candidates = _candidates(compiled, taken, facts, around, exclude, lot, place, health)
    route = taken.route
    return Explanation(whose, routes, route.name, route.strategy, route.when_none, tuple(candidates), choice)


def _routes(compiled: Compiled, facts: Asked, whose: Whose | None, now_ms: int) -> tuple[RouteSeen, ...]:
    local = compiled.matching.local(now_ms)
    seen = []
    for number, route in enumerate(compiled.plan.routes):
        drawn = compiled.matching.drawn[number]
        why = "The number is nobody's." if whose is None or not whose.operator else why_not(route, facts, whose, local)
        if not why and drawn is not None and not drawn.has(facts.to):
            why = f"The recipient is not among the {route.percent:g} percent that it takes."
        seen.append(RouteSeen(route.name, not why, why))
    return tuple(seen)


def why_not(route: Route, facts: Asked, whose: Whose, local: datetime) -> str:
    """The first condition of the route, but for its percentage, that does not hold; empty: all hold."""
    asked = (
        ("class", facts.klass, route.classes),
        ("client", facts.client, route.clients),
        ("operator", whose.operator, route.operators),
        ("country", whose.country, route.countries),
        ("sender", facts.sender, route.senders),
        ("tag", facts.tag, route.tags),
        ("encoding", facts.encoding, route.encodings),
    )
    for what, value, wanted in asked:
        if wanted and value not in wanted:
            named = f"`{value}`" if value else "not known" if what in ("operator", "country") else "empty"
            return f"The {what} is {named}, not {_or(wanted)}."
    if route.prefixes and not any(facts.to[1:].startswith(prefix.lstrip("+")) for prefix in route.prefixes):
        return f"The number does not begin with {_or(route.prefixes)}."
    if route.min_parts is not None and facts.parts < route.min_parts:
        return f"It has {facts.parts} parts, fewer than {route.min_parts}."
    if route.max_parts is not None and facts.parts > route.max_parts:
        return f"It has {facts.parts} parts, more than {route.max_parts}."
    if not it_is_time(route, local):
        when = " ".join([*route.days, route.hours or ""]).strip()
        return f"It is {DAYS[local.weekday()]} {local:%H:%M} in {local.tzinfo}, not {when}."
    return ""


def _or(values: tuple[str, ...]) -> str:
    shown = [f"`{value}`" for value in values[:5]]
    if len(values) > 5:
        shown.append(f"{len(values) - 5} others")
    return " or ".join(shown)


def _candidates(
    compiled: Compiled,
    taken: Taken,
    facts: Asked,
    around: Surroundings,
    exclude: frozenset[str],
    lot: bytes,
    choice: Choice | NoRoute,
    health: Callable[[str], str],
) -> list[Candidate]:
    ranking, found = compiled.candidates.rank(taken, around), []
    chosen = choice.carrier if isinstance(choice, Choice) else ""
    for option in compiled.candidates.order(taken, ranking, facts, lot):
        why, until_ms = compiled.why_not(option, taken, facts, around, exclude)
        live = around.live is None or around.live(option.carrier)
        limited = f" ({health(option.carrier)})" if why == "down" and health(option.carrier) else ""
        verdict, words = why, f"Not taken: {WHY.get(why, '')}{limited}."
        if option.carrier == chosen:
            verdict, words = (
                ("waits", f"It waits here: none can send{limited}.") if why == "down" else ("taken", "Taken.")
            )
        elif not why:
            verdict, words = "left", "Not asked: another comes before it."
        found.append(_candidate(option, verdict, words, live, until_ms, facts.parts))
    able = set(taken.carriers)
    for name in (c for c in taken.route.carriers if c not in able):
        live = around.live is None or around.live(name)
        found.append(Candidate(name, "class", f"Not asked: it does not take class {taken.klass}.", live))
    return found


def _candidate(o: Option, verdict: str, words: str, live: bool, until_ms: int, parts: int) -> Candidate:
    known, priced = o.chance, o.cost < FOREVER
    return Candidate(
        o.carrier,
        verdict,
        words,
        live,
        None if o.price is None else o.price.micro,
        "" if o.price is None else o.price.currency,
        o.cost * parts if priced else None,
        None if known is None else known.delivered,
        None if known is None else known.expected,
        None if known is None else known.messages,
        o.score * parts if o.score not in (0.0, inf) and priced else None,
        o.share,
        o.sender,
        until_ms,
    )
