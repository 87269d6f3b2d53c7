"""The short record of a decision: why a message went to its carrier, as a text of some dozen bytes per candidate.

    best_value,ported,x|north,2150000,962,|south,19000EUR,431,down
    strategy, source of the operator, x: explored; then carrier, price of a part in millionths (with its currency when
    that is another than the chosen one's), permille, why it was not taken
Empty: the first candidate of a route that has them in order of preference, for a number that the plan's prefixes know.
In and out: values. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase, digits
from typing import Final

import msgspec

from gateway.plan.strategy import Option

MOST: Final = 8
"""Candidates in a record."""

WHY: Final = {
    "tried": "it was tried already",
    "down": "it cannot send now",
    "full": "a limit has no room",
    "sender": "the sender is not registered there",
    "slow": "too much waits for it",
    "aside": "most of what it got for this operator failed",
}
"""Why a candidate is passed over."""


class Candidate(msgspec.Struct, frozen=True):
    """As it was then. probability: permille, -1: not asked or not known; why: of WHY, or empty."""

    carrier: str
    price_micro: int
    currency: str
    """Empty: that of the carrier that was chosen."""
    probability: int
    why: str


class Record(msgspec.Struct, frozen=True):
    """What is kept of a decision."""

    strategy: str
    source: str
    explored: bool
    candidates: tuple[Candidate, ...]


def write(
    strategy: str, source: str, explored: bool, options: Sequence[Option], whys: Sequence[str], currency: str
) -> str:
    """The text; `whys` are those of the options, in their order; `currency` is that of the one chosen."""
    trivial = strategy == "priority" and not any(whys)
    if trivial:
        return "" if source in ("plan", "rest", "") else f",{source},"
    lines = [f"{strategy},{source},{'x' if explored else ''}"]
    for option, why in zip(options[:MOST], whys, strict=False):
        permille = "" if option.chance is None else f"{option.chance.delivered * 1000:.0f}"
        price = ""
        if option.price is not None:
            price = f"{option.price.micro}{option.price.currency if option.price.currency != currency else ''}"
        lines.append(f"{option.carrier},{price},{permille},{why}")
    return "|".join(lines)


def read(text: str) -> Record | None:
    """Inverse of `write`, as far as it was kept; None for an empty text or one that this release cannot read."""
    head, *lines = text.split("|")
    try:
        strategy, source, explored = head.split(",")
        rows = [line.split(",") for line in lines]
        candidates = tuple(
            Candidate(carrier, int(price.rstrip(ascii_uppercase) or 0), price.lstrip(digits), int(permille or -1), why)
            for carrier, price, permille, why in rows
        )
    except ValueError:
        return None
    return Record(strategy or "priority", source, bool(explored), candidates)
