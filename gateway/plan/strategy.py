"""In which order a route's candidates are asked: as written, by price, by the price of what arrives, by lot, or so that
a number keeps its carrier.

In: candidates with prices and chances, now and then a draw. Out: their order. docs/routing.md has the reasons. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log, sqrt
from typing import Final

import msgspec

from gateway.plan.matching import mixed, seed
from gateway.plan.rates import FOREVER, Price
from gateway.plan.surroundings import Chance

UNEXPLORED: Final = frozenset({"otp", "alert"})
"""Classes whose messages are never used to learn about a carrier."""

CERTAINTY: Final = 1.64
"""Standard deviations between an estimate and its bounds: the true value is beyond one of them once in twenty times."""

_KNOWN, _NEAR, _SPARE = 30, 1.5, 0.25
"""A carrier that nothing speaks for now is explored until so many messages are known, while its price is at most so
many times as high; it gets this part of the share."""

_LITTLE: Final = 20
"""Who may be better than the first gets the whole share until so many messages are known, and less the more are."""

_LEAST: Final = 0.001  # probability that scores are divided by
_TWO_64: Final = float(1 << 64)
_EXPLORING: Final = seed("explore")


class Option(msgspec.Struct, gc=False, eq=False):
    """A candidate of a route for one kind of message."""

    carrier: str
    number: int
    """Its place in the route's list."""
    weight: int
    seed: int
    barred: bool = False
    """Its sender is not allowed there, and the route refuses that."""
    sender: str = ""
    """What the sender is replaced by; empty: it stays."""
    price: Price | None = None
    cost: int = FOREVER
    """The price in millionths of the default currency, to be compared; FOREVER when there is none."""
    chance: Chance | None = None
    score: float = 0.0
    """What is compared: the lowest is first. For best_value the cost of a part that arrives."""
    share: float = 0.0
    """Of the messages, how many it gets so that more is known of it."""


def in_order(options: Sequence[Option], strategy: str, klass: str, explore: float) -> list[Option]:
    """By the strategy, as far as it does not depend on the single message; sets `score` and `share`.

    explore: percent of messages that may go where little is known.
    """
    if strategy == "cheapest":
        for option in options:
            option.score = option.cost
    elif strategy == "best_value":
        _value(options)
    else:
        return list(options)
    found = sorted(options, key=_score)
    if found and strategy == "best_value" and klass not in UNEXPLORED and explore:
        _share(found, explore / 100)
    return found


def _score(option: Option) -> float:
    return option.score


def _value(options: Sequence[Option]) -> None:
    """While nothing is known of any they stay as written: a price says nothing about what arrives. Later, of whom
    nothing is known comes last."""
    if not any(option.chance is not None and option.chance.messages for option in options):
        return
    for option in options:
        if option.chance is None or option.cost == FOREVER:
            option.score = inf
        else:
            option.score = option.cost / max(option.chance.delivered, _LEAST)


def _share(options: Sequence[Option], explore: float) -> None:
    """Explored is who may well be better than the first: would be, if its chance were at its upper bound. So what is
    known to be bad or dear costs nothing, and what was bad long ago is looked at again as its statistics fade.

    And so that one is known when the first fails, whoever may become the next best gets a little until it is known.
    """
    first = options[0]
    for option in options:
        option.share = 0.0
    if first.chance is None or first.score == inf:
        return
    beat = first.cost / max(first.chance.expected, _LEAST)
    others = [(o, o.cost / hoped(o.chance)) for o in options[1:] if o.cost < FOREVER and not o.barred]
    better = [o for o, hope in others if hope < beat]
    spare = [o for o, hope in others if beat <= hope < beat * _NEAR and _messages(o) < _KNOWN]
    whole = explore * (1 - _SPARE) if spare else explore
    for option in better:
        option.share = whole / len(better) * min(1.0, _LITTLE / max(_messages(option), 1))
    for option in spare:
        option.share = explore * _SPARE / len(spare)


def _messages(option: Option) -> int:
    return 0 if option.chance is None else option.chance.messages


def hoped(chance: Chance | None) -> float:
    """The upper bound of the probability of delivery."""
    if chance is None or not chance.messages:
        return 1.0
    return max(wilson(chance.expected, chance.messages, CERTAINTY), _LEAST)


def wilson(share: float, count: float, certainty: float) -> float:
    """A bound of a share that was seen in `count` trials (E. B. Wilson, 1927): the upper one, for a negative certainty
    the lower one."""
    z2 = certainty * certainty
    middle = share + z2 / (2 * count)
    spread = certainty * sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return min(max((middle + spread) / (1 + z2 / count), 0.0), 1.0)


def by_draw(options: Sequence[Option], number: int) -> list[Option]:
    """Weighted rendezvous: each is first for its weight's share of the numbers, and whoever is away leaves the order of
    the others as it was."""
    return sorted(options, key=lambda option: _drawn(option, number))


def _drawn(option: Option, number: int) -> float:
    if not option.weight:
        return inf
    return -log((mixed(number ^ option.seed) + 0.5) / _TWO_64) / option.weight


def explored(options: Sequence[Option], number: int) -> Sequence[Option]:
    """The same, but with one in front that this message is to explore, when it is."""
    draw = mixed(number ^ _EXPLORING) / _TWO_64
    for option in options:
        if draw < option.share:
            return [option, *(o for o in options if o is not option)]
        draw -= option.share
    return options
