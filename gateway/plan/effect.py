"""What another plan would have done with messages that were really sent: what moves, and what it costs.

In: two plans made ready, and messages with how many each stands for. Out: `Effect`. Every carrier counts as able to
send, and a message as one attempt: what is compared is the plans, not the weather. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from gateway.plan.choice import Choice, Compiled
from gateway.plan.matching import Asked
from gateway.plan.rates import FOREVER, Price
from gateway.plan.surroundings import Surroundings


class Sent(Asked, Protocol):
    """A message that was sent."""

    @property
    def accepted_ms(self) -> int:
        """Since the epoch."""

    @property
    def weight(self) -> float:
        """How many messages it stands for."""


class Move(msgspec.Struct, frozen=True):
    """Messages of one class and operator between two carriers; "" in place of a carrier: none takes them."""

    klass: str
    operator: str
    """By the plan that comes."""
    before: str
    after: str
    route_before: str
    route_after: str
    messages: int
    parts: int
    cost_before_micro: int
    cost_after_micro: int


class Effect(msgspec.Struct, frozen=True):
    """What would change. Costs are millionths of `currency`, the plan's default; of other currencies by its table."""

    messages: int
    """All that were looked at."""
    moved: int
    """Of them, those that would go to another carrier."""
    refused: int
    """Of them, those that no carrier would take any more."""
    cost_before_micro: int
    cost_after_micro: int
    currency: str
    moves: tuple[Move, ...]
    """What goes elsewhere or costs another price, the largest difference first; what stays as it is, is not listed."""


class _Sum:
    """Messages, parts and costs of one kind."""

    __slots__ = ("after", "before", "messages", "parts")

    def __init__(self) -> None:
        self.messages = self.parts = self.before = self.after = 0.0


_Key = tuple[str, str, str, str, str, str]


def effect(before: Compiled, after: Compiled, sent: Iterable[Sent], around: Surroundings | None = None) -> Effect:
    """Ask both plans about every message, each at the time at which it was accepted.

    around: chances and month volumes to reckon with; its time and liveness are not used.
    """
    around, sums = around or Surroundings(), dict[_Key, _Sum]()
    for n, message in enumerate(sent):
        then = Surroundings(now_ms=message.accepted_ms, chance=around.chance, used=around.used)
        lot = n.to_bytes(8, "big")
        old, new = before.choose(message, then, lot=lot), after.choose(message, then, lot=lot)
        key = (message.klass, new.operator, _carrier(old), _carrier(new), old.route, new.route)
        found = sums.setdefault(key, _Sum())
        found.messages += message.weight
        found.parts += message.weight * message.parts
        found.before += message.weight * message.parts * _cost(before, old)
        found.after += message.weight * message.parts * _cost(after, new)
    return _added_up(sums, after)


def _added_up(sums: dict[_Key, _Sum], after: Compiled) -> Effect:
    moves = [
        Move(*key, round(s.messages), round(s.parts), round(s.before), round(s.after))
        for key, s in sums.items()
        if key[2] != key[3] or round(s.before) != round(s.after)
    ]
    moves.sort(key=lambda move: (-abs(move.cost_after_micro - move.cost_before_micro), -move.messages))
    total = list(sums.items())
    return Effect(
        messages=round(sum(s.messages for _, s in total)),
        moved=round(sum(s.messages for key, s in total if key[2] != key[3])),
        refused=round(sum(s.messages for key, s in total if key[2] and not key[3])),
        cost_before_micro=round(sum(s.before for _, s in total)),
        cost_after_micro=round(sum(s.after for _, s in total)),
        currency=after.plan.defaults.currency or "",
        moves=tuple(moves),
    )


def _carrier(found: object) -> str:
    return found.carrier if isinstance(found, Choice) else ""


def _cost(plan: Compiled, found: object) -> int:
    """Of one part, in the plan's default currency; what cannot be compared counts as it is written."""
    if not isinstance(found, Choice) or not found.price_micro:
        return 0
    worth = plan.rates.comparable(Price(found.price_micro, found.currency))
    return found.price_micro if worth >= FOREVER else worth
