"""What is unusual beside failures: time, money, parts, volume, and receipts that look invented. Pure.

In: figures now and in the same hours of earlier days. Out: findings, each on the broadest scope that it holds for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from gateway.latencies import counts, quantiles_ms
from gateway.stats.definitions import TAKEN
from gateway.stats.evidence import level_score
from gateway.stats.figures import Figures, nothing
from gateway.stats.scorecards import doubts, merge
from gateway.stats.slicing import Slice
from gateway.stats.unusual import Scope

_SCORE: Final = 5.0
_LEAST: Final = 50

Found = Mapping[Scope, Figures]
Level = Callable[[Figures], float | None]


class Shift(NamedTuple):
    """A level that has moved in a scope."""

    kind: str
    scope: Scope
    score: float
    value: float
    usual: float
    messages: int


def by_carrier(slices: Iterable[Slice]) -> dict[Scope, Figures]:
    """Of slices by carrier, operator and reason: carriers, operators and both."""
    pairs: dict[tuple[str, str], Figures] = {}
    for one in slices:
        carrier, operator, _ = one.values
        if carrier:
            merge(pairs.setdefault((carrier, operator), nothing()), one.figures)
    found: dict[Scope, Figures] = {}
    for (carrier, operator), figures in pairs.items():
        for scope in {Scope(carrier), Scope("", operator), Scope(carrier, operator)}:
            merge(found.setdefault(scope, nothing()), figures)
    return found


def by_client(slices: Iterable[Slice]) -> dict[Scope, Figures]:
    """Of slices by client, sender and reason: clients."""
    found: dict[Scope, Figures] = {}
    for one in slices:
        merge(found.setdefault(Scope(client=one.values[0]), nothing()), one.figures)
    return found


def shifts(carriers: Found, before: Sequence[Found], clients: Found, clients_before: Sequence[Found]) -> list[Shift]:
    """All of them."""
    return [
        *_broadest(_moved("latency", carriers, before, _median_s, least_spread=0.08, factor=1.5)),
        *_broadest(_moved("cost", carriers, before, _part_cost, least_spread=0.02, factor=1.12)),
        *_moved("parts", clients, clients_before, _parts, least_spread=0.03, factor=1.25),
        *_invented(carriers, before),
        *_volumes(clients, clients_before),
    ]


def _median_s(f: Figures) -> float | None:
    found = counts(f.delivery)
    (median_ms,) = quantiles_ms(found, (0.5,)) if sum(found) >= _LEAST else (None,)
    return None if median_ms is None else median_ms / 1000


def _part_cost(f: Figures) -> float | None:
    parts = f.parts_of(*TAKEN)
    if len(f.costs) != 1 or parts < _LEAST:
        return None
    (micro,) = f.costs.values()
    return micro / parts / 1e6 or None


def _parts(f: Figures) -> float | None:
    return f.parts / f.messages if f.messages >= _LEAST else None


def _moved(
    kind: str, now: Found, before: Sequence[Found], level: Level, least_spread: float, factor: float
) -> list[Shift]:
    """Levels that are above what they were by this factor, and by far more than they swing."""
    found = []
    for scope, figures in now.items():
        if (value := level(figures)) is None:
            continue
        usual: list[float] = []
        for one in before:
            if scope in one and (known := level(one[scope])) is not None:
                if known >= value:
                    break  # it was so high before: nothing else has to be known
                usual.append(known)
        else:
            if len(usual) >= 3 and value >= factor * median(usual):
                score = level_score(math.log(value), [math.log(known) for known in usual], least_spread)
                if score >= _SCORE:
                    found.append(Shift(kind, scope, score, value, median(usual), figures.messages))
    return found


def _broadest(found: Sequence[Shift]) -> Iterator[Shift]:
    """Carriers and operators of which two parts and most of the messages have moved, then what is left of the parts."""
    pairs = [one for one in found if one.scope.carrier and one.scope.operator]
    wholes = []
    for one in found:
        mine = [pair for pair in pairs if one.scope.has(pair.scope)]
        if one not in pairs and len(mine) >= 2 and sum(p.messages for p in mine) >= 0.6 * one.messages:
            wholes.append(one)
    wholes.sort(key=lambda one: -one.score)
    kept: list[Shift] = []
    for one in [*wholes, *pairs, *found]:
        if not any(_overlap(one.scope, other.scope) for other in kept):
            kept.append(one)
    return iter(kept)


def _overlap(one: Scope, other: Scope) -> bool:
    return one.has(other) or other.has(one) or (bool(one.carrier) != bool(other.carrier) and not one.is_of_clients)


def _invented(now: Found, before: Sequence[Found]) -> Iterator[Shift]:
    for scope, figures in now.items():
        if not scope.carrier or scope.operator or not doubts(figures.delivery):
            continue
        if sum(1 for one in before if scope in one and doubts(one[scope].delivery)) * 2 <= len(before):
            usual = [s for one in before if scope in one and (s := _median_s(one[scope])) is not None]
            value = _median_s(figures) or 0.0
            yield Shift("invented", scope, 20.0, value, median(usual) if usual else 0.0, figures.delivered)


def _volumes(now: Found, before: Sequence[Found]) -> Iterator[Shift]:
    """Clients who send nothing like what they send at this time, of which there were at least three days."""
    for scope in {*now, *(scope for one in before for scope in one)}:
        count = now[scope].messages if scope in now else 0
        usual = [one[scope].messages if scope in one else 0 for one in before]
        if len(usual) < 3:
            continue
        middle, low, high = median(usual), min(usual), max(usual)
        logs = [math.log(known + 10) for known in usual]
        score = level_score(math.log(count + 10), logs, 0.15)
        if middle >= _LEAST and count < 0.35 * low and score <= -_SCORE:
            yield Shift("gone", scope, -score, count, middle, round(middle - count))
        elif count >= 3 * (high + 10) and count - high >= 2 * _LEAST and score >= _SCORE:
            yield Shift("surge", scope, score, count, middle, round(count - middle))
