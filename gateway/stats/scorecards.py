"""How each carrier does for each network: delivery with its interval, latency, cost, errors, receipts to doubt. Pure.

In: figures by carrier, operator and reason. Out: scorecards, those with most messages first.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import add
from typing import Final

import msgspec

from gateway.latencies import counts, quantile_ms, spread, total, within
from gateway.stats.definitions import TAKEN
from gateway.stats.evidence import interval
from gateway.stats.figures import Figures, nothing
from gateway.stats.slicing import Slice

LEAST: Final = 100
"""Deliveries below which receipts are not judged."""

_FASTEST_MS: Final = 700
"""Hardly a phone answers sooner: paging it alone takes about a second."""


class Scorecard(msgspec.Struct, frozen=True):
    """One carrier, and one operator; "" stands for all of them."""

    carrier: str
    operator: str
    figures: Figures
    low: float
    high: float
    """The delivery rate lies between them, as far as chance goes (Wilson, 95 percent)."""
    errors: dict[str, int]
    """Messages that did not arrive, by reason, most first."""
    silent: int
    """Messages with the carrier that no receipt came for: open ones, and those that expired for want of it."""
    silence: float | None
    """Their share of all that it took."""
    doubts: tuple[str, ...]
    """Why its receipts may be invented; empty: nothing says so."""


def scorecards(slices: Iterable[Slice]) -> list[Scorecard]:
    """Of slices by carrier, operator and reason, in this order. What has no carrier is left out."""
    cells: dict[tuple[str, str], dict[str, Figures]] = {}
    for one in slices:
        carrier, operator, reason = one.values
        if carrier:
            for key in {(carrier, ""), (carrier, operator)}:
                found = cells.setdefault(key, {}).setdefault(reason, nothing())
                merge(found, one.figures)
    cards = [_card(carrier, operator, by_reason) for (carrier, operator), by_reason in cells.items()]
    totals = {card.carrier: card.figures.messages for card in cards if not card.operator}
    return sorted(cards, key=lambda c: (-totals[c.carrier], c.carrier, c.operator != "", -c.figures.messages))


def merge(into: Figures, other: Figures) -> None:
    """Add the other figures."""
    into.counts = list(map(add, into.counts, other.counts))
    for currency, micro in other.costs.items():
        into.costs[currency] = into.costs.get(currency, 0) + micro
    into.submit += other.submit
    into.delivery += other.delivery


def _card(carrier: str, operator: str, by_reason: dict[str, Figures]) -> Scorecard:
    whole = nothing()
    for part in by_reason.values():
        merge(whole, part)
    low, high = interval(whole.delivered, whole.decided)
    errors = {reason: f.undelivered for reason, f in by_reason.items() if reason and f.undelivered}
    silent = whole.of("submitted", "unknown") + by_reason.get("no_receipt", nothing()).of("expired")
    taken = whole.of(*TAKEN)
    return Scorecard(
        carrier,
        operator,
        whole,
        low,
        high,
        dict(sorted(errors.items(), key=lambda pair: -pair[1])),
        silent,
        silent / taken if taken else None,
        tuple(doubts(whole.delivery)),
    )


def doubts(histogram: int) -> list[str]:
    """Why receipts after such delays may be invented."""
    all_ = total(histogram)
    if all_ < LEAST:
        return []
    found = []
    fast = within(histogram, _FASTEST_MS) / all_
    median_ms = quantile_ms(histogram, 0.5) or 0.0
    if fast >= 0.5:
        found.append(f"{fast:.0%} came within {_FASTEST_MS / 1000:g} s of the submit: no phone is that fast")
    if (width := spread(counts(histogram))) <= 2 and median_ms >= 20:
        alike = median_ms / 1000
        found.append(f"nine of ten took almost the same time, about {alike:.2g} s: {width} of 112 steps apart")
    return found
