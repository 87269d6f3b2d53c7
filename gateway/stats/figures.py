"""Figures of a slice of messages, as definitions.py defines them, from sums of the roll-ups. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.latencies import quantile_ms
from gateway.ledger.slices import COUNTS, LATENCIES, STATES
from gateway.stats.definitions import OPEN, QUANTILES, UNDELIVERED

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

    def add(self, currency: str, sums: Sequence[int], sign: int = 1) -> None:
        """Sums of COUNTS, and of LATENCIES where they were asked for."""
        width = len(COUNTS)
        for n in range(width):
            self.counts[n] += sign * sums[n]
        if currency:
            cost = sum(sums[n] for n in range(2, width, 3))
            self.costs[currency] = self.costs.get(currency, 0) + sign * cost
        if len(sums) == width + len(LATENCIES):
            self.submit += sign * sums[width]
            self.delivery += sign * sums[width + 1]

    def of(self, *states: str) -> int:
        """Messages in these states."""
        return sum(self.counts[_MESSAGES[state]] for state in states)

    def parts_of(self, *states: str) -> int:
        """Their parts."""
        return sum(self.counts[_MESSAGES[state] + 1] for state in states)

    @property
    def messages(self) -> int:
        return self.of(*STATES)

    @property
    def parts(self) -> int:
        return self.parts_of(*STATES)

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


def quantiles_s(histogram: int) -> dict[str, float | None]:
    """p50, p95 and p99 in seconds; None of nothing."""
    found = {name: quantile_ms(histogram, share) for name, share in QUANTILES}
    return {name: None if ms is None else float(f"{ms / 1000:.3g}") for name, ms in found.items()}
