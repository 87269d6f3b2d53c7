"""Figures of a slice of messages, as definitions.py defines them, from sums of the roll-ups. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import add
from typing import Final

import msgspec

from gateway.latencies import quantiles_ms
from gateway.ledger.slices import COUNTS, STATES
from gateway.stats.definitions import OPEN, QUANTILES, UNDELIVERED

_COUNTS: Final = {name: n for n, name in enumerate(COUNTS)}
_MESSAGES: Final = {state: COUNTS.index(state) for state in STATES}


class Figures(msgspec.Struct, gc=False):
    """Sums of some messages; they are merged by adding."""

    counts: list[int]
    """Of COUNTS, in their order."""
    costs: dict[str, int]
    """Currency → millionths."""
    submit: int = 0
    """Histogram of latencies from accept to submit, see gateway/latencies.py; `delivery`: from submit to delivery."""
    delivery: int = 0

    def add(self, currency: str, sums: Mapping[str, int | str | None], states: Sequence[str]) -> None:
        """Sums by column, what is missing is 0; of these states. Histograms are decimal numbers in text."""
        cost = 0
        for state in states:
            at = _MESSAGES[state]
            for n, name in enumerate(COUNTS[at : at + 3], at):
                if number := sums.get(name):
                    self.counts[n] += int(number)
            cost += int(sums.get(COUNTS[at + 2]) or 0)
        if currency:
            self.costs[currency] = self.costs.get(currency, 0) + cost
        if submit := sums.get("submit_latency"):
            self.submit += int(submit)
        if "delivered" in states and (delivery := sums.get("delivery_latency")):
            self.delivery += int(delivery)

    def add_all(self, currency: str, sums: Sequence[int | str | None]) -> None:
        """The same of all states: COUNTS and, where they were asked for, LATENCIES, in their order."""
        width = len(COUNTS)
        found = [int(number) if number else 0 for number in sums[:width]]
        self.counts = list(map(add, self.counts, found))
        if currency:
            self.costs[currency] = self.costs.get(currency, 0) + sum(found[2::3])
        if len(sums) > width:
            self.submit += int(sums[width] or 0)
            self.delivery += int(sums[width + 1] or 0)

    def add_columns(self, currency: str, columns: Sequence[str], sums: Sequence[int | str | None]) -> None:
        """The same of some columns; what is not among them stays."""
        cost = 0
        for name, number in zip(columns, sums, strict=True):
            if number:
                if (at := _COUNTS.get(name)) is not None:
                    self.counts[at] += int(number)
                    cost += int(number) if at % 3 == 2 else 0
                elif name == "delivery_latency":
                    self.delivery += int(number)
                else:
                    self.submit += int(number)
        if currency:
            self.costs[currency] = self.costs.get(currency, 0) + cost

    def of(self, *states: str) -> int:
        """Messages in these states."""
        return sum([self.counts[_MESSAGES[state]] for state in states])

    def parts_of(self, *states: str) -> int:
        """Their parts."""
        return sum([self.counts[_MESSAGES[state] + 1] for state in states])

    @property
    def messages(self) -> int:
        return sum(self.counts[::3])

    @property
    def parts(self) -> int:
        return sum(self.counts[1::3])

    @property
    def delivered(self) -> int:
        return self.of("delivered")

    @property
    def undelivered(self) -> int:
        return self.of(*UNDELIVERED)

    @property
    def open(self) -> int:
        return self.of(*OPEN)

    @property
    def decided(self) -> int:
        """What the delivery rate is a share of: final messages and unknown ones."""
        return self.of("delivered", *UNDELIVERED, "cancelled", "unknown")

    @property
    def delivery_rate(self) -> float | None:
        return self.delivered / self.decided if self.decided else None

    @property
    def parts_delivery_rate(self) -> float | None:
        decided = self.parts_of("delivered", *UNDELIVERED, "cancelled", "unknown")
        return self.parts_of("delivered") / decided if decided else None

    @property
    def is_nothing(self) -> bool:
        return not any(self.counts)


def nothing() -> Figures:
    """No messages."""
    return Figures([0] * len(COUNTS), {})


def quantiles_s(found: Sequence[int]) -> dict[str, float | None]:
    """p50, p95 and p99 in seconds, of the counts of buckets; None of nothing."""
    times = quantiles_ms(found, [share for _, share in QUANTILES])
    return {
        name: None if ms is None else float(f"{ms / 1000:.3g}") for (name, _), ms in zip(QUANTILES, times, strict=True)
    }
