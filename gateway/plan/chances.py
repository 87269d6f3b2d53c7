"""How likely a carrier delivers in time: an estimate from what became of the messages that it took in recent hours.

In: counts by class, carrier, operator and time of sending: how many were sent, and how long deliveries took. Out: a
`Chance` for each. A message whose time is not over yet counts only for the time that it had. docs/routing.md says why.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gateway.deliveries import BUCKET_S, DEADLINE_S, DELIVERED, ENDS_S, FAILED, LATER, SENT
from gateway.plan.strategy import CERTAINTY, wilson
from gateway.plan.surroundings import Chance

HALF_LIFE_S: Final = {"otp": 900, "alert": 900, "transactional": 1_800, "marketing": 3_600}
"""After so long a message counts half: what a carrier did then says half as much of what it does now."""

HALF_LIVES: Final = 6
"""What is older than so many, beyond its deadline, is forgotten."""

_FROM_ALL, _FROM_CARRIER, _LEAST = 5.0, 20.0, 2.0
"""Messages that the mean of all carriers, that of the carrier, and nothing at all are worth."""

_MOST: Final = 60.0
"""So many messages of one bucket count, more count as so many: else what a busy carrier did would hide for hours what
few messages tell of it since."""

Cell = tuple[str, str, str]
"""Class, carrier, operator."""


def horizon_ms(klass: str) -> int:
    """How far back counts are of use."""
    return (DEADLINE_S[klass] + HALF_LIVES * HALF_LIFE_S[klass]) * 1000


class _Seen(msgspec.Struct, gc=False):
    """Weighted counts by interval of ENDS_S: how many might have been delivered in it, and how many were."""

    waited: list[float]
    arrived: list[float]
    heard: float = 0.0
    """Receipts of any kind."""

    def add(self, other: _Seen) -> None:
        """The sum."""
        self.heard += other.heard
        for k, value in enumerate(other.waited):
            self.waited[k] += value
            self.arrived[k] += other.arrived[k]


class Tally:
    """Counts of one class by time of sending, as far back as they are of use."""

    def __init__(self, klass: str) -> None:
        self.klass = klass
        self.intervals = ENDS_S.index(DEADLINE_S[klass]) + 1
        self.buckets: dict[int, Mapping[tuple[str, str], Sequence[int]]] = {}
        """By time (ms): by carrier and operator a row of counts."""

    def put(self, at_ms: int, rows: Mapping[tuple[str, str], Sequence[int]]) -> None:
        """What is known of one bucket now."""
        self.buckets[at_ms] = rows

    def forget(self, now_ms: int) -> None:
        """Drop what is too old."""
        for at_ms in [at for at in self.buckets if at < now_ms - horizon_ms(self.klass)]:
            del self.buckets[at_ms]

    def estimate(self, now_ms: int, silent_ms: int = 0) -> dict[Cell, Chance]:
        """By cell; also by class and carrier alone, under the operator "", and by class under the carrier "" too.

        silent_ms: how far behind the counts may be.
        """
        cells = self._seen(now_ms - silent_ms)
        return estimated(self.klass, self.intervals, cells)

    def _seen(self, now_ms: int) -> dict[tuple[str, str], _Seen]:
        width, cells = BUCKET_S[self.klass] * 1000, dict[tuple[str, str], _Seen]()
        for at_ms, rows in self.buckets.items():
            weights = self._weights(now_ms - at_ms - width)
            if not weights:
                continue
            for cell, row in rows.items():
                seen = cells.get(cell)
                if seen is None:
                    seen = cells[cell] = _nothing(self.intervals)
                left, waited, arrived = row[SENT], seen.waited, seen.arrived
                fit = min(1.0, _MOST / left) if left else 0.0
                for k, weight in enumerate(weights):
                    came = row[DELIVERED + k]
                    waited[k] += weight * fit * left
                    arrived[k] += weight * fit * came
                    left -= came
                seen.heard += row[FAILED] + row[LATER] + sum(row[DELIVERED:LATER])
        return cells

    def _weights(self, age_ms: int) -> list[float]:
        """Of a bucket whose youngest message has this age, for each interval that all its messages have behind them:
        the freshest that can be known of an interval weighs 1."""
        found = []
        for end_s in ENDS_S[: self.intervals]:
            beyond = age_ms / 1000 - end_s
            if beyond < 0:
                break
            found.append(0.5 ** (beyond / HALF_LIFE_S[self.klass]))
        return found


def estimated(klass: str, intervals: int, cells: dict[tuple[str, str], _Seen]) -> dict[Cell, Chance]:
    """The product-limit estimate (Kaplan and Meier, 1958) of delivery by the deadline, with the rate of each interval
    drawn towards the carrier's, and that towards the mean of all, where there is little to go by."""
    everyone, by_carrier = _nothing(intervals), dict[str, _Seen]()
    for (carrier, _), seen in cells.items():
        by_carrier.setdefault(carrier, _nothing(intervals)).add(seen)
    for seen in by_carrier.values():
        if seen.heard:  # who never says anything says nothing of the others
            everyone.add(seen)
    found: dict[Cell, Chance] = {}
    if not everyone.heard:
        return found
    mean = [a / w if w else 0.0 for a, w in zip(everyone.arrived, everyone.waited, strict=True)]
    found[klass, "", ""] = unknown = _chance(mean, 0.0)
    rates = {carrier: _drawn(seen, mean, _FROM_ALL) for carrier, seen in by_carrier.items()}
    for carrier, seen in by_carrier.items():
        found[klass, carrier, ""] = _heard(_chance(rates[carrier], min(seen.waited[0], _FROM_CARRIER)), seen, unknown)
    for (carrier, operator), own in cells.items():
        seen = by_carrier[carrier]
        borrowed = min(seen.waited[0] - own.waited[0], _FROM_CARRIER)
        chance = _chance(_drawn(own, rates[carrier], _FROM_CARRIER), own.waited[0] + borrowed)
        found[klass, carrier, operator] = _heard(chance, seen, unknown)
    return found


def _nothing(intervals: int) -> _Seen:
    return _Seen([0.0] * intervals, [0.0] * intervals)


def _drawn(seen: _Seen, towards: Sequence[float], strength: float) -> list[float]:
    return [(a + strength * t) / (w + strength) for a, w, t in zip(seen.arrived, seen.waited, towards, strict=True)]


def _chance(rates: Iterable[float], messages: float) -> Chance:
    missing = 1.0
    for rate in rates:
        missing *= 1 - min(max(rate, 0.0), 1.0)
    share = 1 - missing
    return Chance(wilson(share, messages + _LEAST, -CERTAINTY), share, int(messages))


def _heard(chance: Chance, carrier: _Seen, unknown: Chance) -> Chance:
    """A carrier without a single receipt is not known to fail: it counts as one that nobody has tried. But it is not
    worth exploring: its estimate stays what it looks like."""
    if carrier.heard:
        return chance
    return Chance(unknown.delivered, chance.expected, chance.messages)


class Chances:
    """What is known of all classes, to be asked by (carrier, operator, class)."""

    def __init__(self, known: dict[Cell, Chance]) -> None:
        self._known = known

    def chance(self, carrier: str, operator: str, klass: str) -> Chance | None:
        """Of the carrier for the operator; else of the carrier, else of any. None: nothing is known of the class."""
        known = self._known
        return known.get((klass, carrier, operator)) or known.get((klass, carrier, "")) or known.get((klass, "", ""))
