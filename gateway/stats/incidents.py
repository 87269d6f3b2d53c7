"""What is unusual now against the same hours of earlier days, worst first, in words for who was just woken up. Pure.

In: slices of now and of those days. Out: `Incident`s. Never: a number or a text of anybody's message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway.stats import shifts
from gateway.stats.shifts import Shift
from gateway.stats.slicing import Slice
from gateway.stats.unusual import SILENT, Growth, Scope, carrier_cells, client_cells, growths


class Window(msgspec.Struct, frozen=True):
    """Figures of some hours of one day: by carrier, operator and reason, and by client, sender and reason."""

    carriers: Sequence[Slice]
    clients: Sequence[Slice]


class Incident(msgspec.Struct, frozen=True):
    """Something unusual. `messages`: about how many it concerns; `weight`: how bad it is, for the order."""

    kind: str
    scope: Scope
    says: str
    todo: str
    messages: int
    weight: float
    value: float
    usual: float
    reason: str = ""


def incidents(now: Window, earlier: Sequence[Window], words: Callable[[str], str | None]) -> list[Incident]:
    """Worst first. `words`: what a reason means, for people."""
    cells = {**carrier_cells(now.carriers), **client_cells(now.clients)}
    before = [{**carrier_cells(one.carriers), **client_cells(one.clients)} for one in earlier]
    found = [_grown(one, words) for one in _one_a_scope(growths(cells, before))]
    moved = shifts.shifts(
        shifts.by_carrier(now.carriers),
        [shifts.by_carrier(one.carriers) for one in earlier],
        shifts.by_client(now.clients),
        [shifts.by_client(one.clients) for one in earlier],
    )
    invented = {one.scope.carrier for one in moved if one.kind == "invented"}
    found += [_shifted(one) for one in moved if one.kind != "latency" or one.scope.carrier not in invented]
    return sorted(found, key=lambda one: -one.weight)


def _one_a_scope(found: Sequence[Growth]) -> list[Growth]:
    """Of several reasons that have grown in one scope the one that cost most."""
    best: dict[Scope, Growth] = {}
    for one in found:
        if one.scope not in best or one.more > best[one.scope].more:
            best[one.scope] = one
    return list(best.values())


def _grown(one: Growth, words: Callable[[str], str | None]) -> Incident:
    who, more = name(one.scope), round(one.more)
    if one.reason == SILENT:
        says = (
            f"{who}: no receipt came for {one.share:.0%} of the messages; at this time it is usually"
            f" {one.usual:.1%}. About {more:,} messages without an answer"
        )
        kind, todo = "silence", f"sluice carriers check {one.scope.carrier}" if one.scope.carrier else "sluice carriers"
        return Incident(kind, one.scope, says, todo, more, 1.0 * more, one.share, one.usual)
    meaning = words(one.reason)
    why = f"`{one.reason}`" + (f" ({meaning})" if meaning else "")
    says = (
        f"{who}: {one.share:.0%} fail with {why}; at this time it is usually {one.usual:.1%}. About {more:,} too many"
    )
    return Incident("failures", one.scope, says, _look(one.scope), more, 1.2 * more, one.share, one.usual, one.reason)


_WEIGHTS: Final = {"latency": 0.4, "cost": 0.3, "parts": 0.2, "invented": 0.9, "gone": 0.8, "surge": 0.3}


def _shifted(one: Shift) -> Incident:
    who, now, usual = name(one.scope), one.value, one.usual
    match one.kind:
        case "latency":
            says = f"{who}: half of the deliveries take longer than {_s(now)}; usually it is {_s(usual)}"
        case "cost":
            says = f"{who}: a part costs {now:.4g}; usually it is {usual:.4g} ({now / usual - 1:+.0%})"
        case "parts":
            says = (
                f"{who}: {now:.2f} parts a message; usually {usual:.2f}. The same messages cost {now / usual - 1:+.0%}"
            )
        case "invented":
            says = f"{who}: receipts look invented, all alike or too fast: half within {_s(now)}, usually {_s(usual)}"
        case "gone":
            says = f"{who} sends next to nothing: {now:,.0f} messages; at this time it is usually {usual:,.0f}"
        case _:
            says = f"{who} sends far more than ever at this time: {now:,.0f} messages; usually {usual:,.0f}"
    weight = _WEIGHTS[one.kind] * one.messages
    return Incident(one.kind, one.scope, says, _look(one.scope), one.messages, weight, now, usual)


def _look(scope: Scope) -> str:
    """The command that shows more of it."""
    chosen = "".join(f" --{key} {value}" for key, value in scope._asdict().items() if value)
    by = "operator,reason" if scope.carrier and not scope.operator else "carrier,reason"
    if scope.is_of_clients:
        by = "sender,reason"
    return f"sluice stats --since 24h --step hour{chosen} --by {by}"


def name(scope: Scope) -> str:
    """The scope in words."""
    parts = [
        f"carrier {scope.carrier}" if scope.carrier else "",
        f"network {scope.operator}" if scope.operator else "",
        f"client {scope.client}" if scope.client else "",
        f"sender {scope.sender}" if scope.sender else "",
    ]
    said = ", ".join(part for part in parts if part)
    return said[:1].upper() + said[1:] if said else "Everything"


def _s(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
