"""Statistics of the API as people read them: states as columns, a line of time as a plot. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

UNDELIVERED: Final = frozenset({"undeliverable", "rejected", "failed", "expired"})
BLOCKS: Final = "▁▂▃▄▅▆▇█"
STEPS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


class Figures(msgspec.Struct):
    """Sums of some messages, by where they stand. `open`: not ended yet."""

    messages: int = 0
    delivered: int = 0
    undelivered: int = 0
    cancelled: int = 0
    unknown: int = 0
    open: int = 0
    parts: int = 0
    cost: dict[str, Decimal] = {}

    def add(self, group: Mapping[str, Any]) -> None:
        """A group of the API that has a state."""
        count, state = group["messages"], group["state"]
        self.messages += count
        self.parts += group["parts"]
        if state == "delivered":
            self.delivered += count
        elif state in UNDELIVERED:
            self.undelivered += count
        elif state == "cancelled":
            self.cancelled += count
        else:
            self.open += count
            self.unknown += count if state == "unknown" else 0
        if cost := group["cost"]:
            self.cost[cost["currency"]] = self.cost.get(cost["currency"], Decimal()) + Decimal(cost["amount"])

    @property
    def rate(self) -> float | None:
        """Delivered of those that have ended or are unknown; None as long as there are none."""
        decided = self.delivered + self.undelivered + self.cancelled + self.unknown
        return self.delivered / decided if decided else None


def pivot(groups: Iterable[Mapping[str, Any]], by: Sequence[str]) -> dict[tuple[str, ...], Figures]:
    """By the values of the dimensions, and of `at` when that is one, in the order that they came."""
    found: dict[tuple[str, ...], Figures] = {}
    for group in groups:
        key = tuple(str(group.get(name) or "") for name in by)
        found.setdefault(key, Figures()).add(group)
    return found


def whole(figures: Iterable[Figures]) -> Figures:
    """All of them together."""
    total = Figures()
    for one in figures:
        for name in ("messages", "delivered", "undelivered", "cancelled", "unknown", "open", "parts"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
        for currency, amount in one.cost.items():
            total.cost[currency] = total.cost.get(currency, Decimal()) + amount
    return total


def step_for(since: datetime, until: datetime) -> str:
    """How long a column of the plot is, so that there are neither few nor thousands."""
    length = until - since
    return "minute" if length <= timedelta(hours=2) else "hour" if length <= timedelta(days=5) else "day"


def series(groups: Iterable[Mapping[str, Any]], since: datetime, until: datetime, step: str) -> list[Figures]:
    """One for each step of the span, those without messages too."""
    by_step: dict[datetime, list[Figures]] = {}
    for (begin,), figures in pivot(groups, ("at",)).items():  # the first one begins where the span does
        by_step.setdefault(_floor(datetime.fromisoformat(begin), step), []).append(figures)
    found, at = list[Figures](), _floor(min([*by_step, since]), step)
    while at < until:
        found.append(whole(by_step.get(at, ())))
        at += STEPS[step]
    return found


def _floor(at: datetime, step: str) -> datetime:
    at = at.replace(second=0, microsecond=0)
    if step != "minute":
        at = at.replace(minute=0)
    return at.replace(hour=0) if step == "day" else at


def sparkline(values: Sequence[float], width: int, highest: float | None = None) -> str:
    """A column a value, or a column for the sum of several where there is no room; nothing is a dot."""
    if not values:
        return ""
    per = -(-len(values) // width)
    columns = [sum(values[at : at + per]) for at in range(0, len(values), per)]
    top = highest if highest is not None else max(columns)
    if not top:
        return "·" * len(columns)
    scale = len(BLOCKS)
    return "".join(BLOCKS[min(scale - 1, int(scale * v / top))] if v else "·" for v in columns)


def highest(values: Sequence[float], width: int) -> float:
    """The highest column of `sparkline`, so that two of them can share a scale."""
    per = -(-len(values) // width) if values else 1
    return max((sum(values[at : at + per]) for at in range(0, len(values), per)), default=0)


def money(cost: Mapping[str, Decimal]) -> str:
    """Amounts for people."""
    return ", ".join(f"{amount:,.2f} {currency}" for currency, amount in cost.items())
