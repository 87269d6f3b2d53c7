"""The documents of figures: groups of messages as statistics show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.api.documents import Price
from gateway.api.render import price
from gateway.latencies import counts
from gateway.stats.definitions import FIGURES
from gateway.stats.figures import Figures, quantiles_s
from gateway.stats.slicing import Slice


class Latency(msgspec.Struct):
    """How long it took, in seconds, within 10 percent; null: nothing was measured."""

    measured: Annotated[int, Meta(description="messages that it was measured of", examples=[1180])]
    p50: Annotated[float | None, Meta(description="half were no slower", examples=[2.4])]
    p95: Annotated[float | None, Meta(description="95 percent were no slower", examples=[9.7])]
    p99: Annotated[float | None, Meta(description="99 percent were no slower", examples=[31.0])]


class Group(msgspec.Struct, omit_defaults=True):
    """Sums of the messages that have these values. Only the dimensions asked for are there; figures beside messages,
    parts and cost only where `from`, `to`, `tz`, `group_by` or `filter` asks for them."""

    messages: Annotated[int, Meta(description=FIGURES["messages"], examples=[1200])]
    parts: Annotated[int, Meta(description=FIGURES["parts"], examples=[1310])]
    cost: Annotated[Price | None, Meta(description="what carriers ask for them; null: nothing, or several currencies")]
    at: Annotated[datetime | None, Meta(description="where the step begins; only with `step`")] = None
    client: Annotated[str | None, Meta(description="the client", examples=["shop"])] = None
    klass: Annotated[str | None, Meta(description="the class", examples=["otp"])] = msgspec.field(
        default=None, name="class"
    )
    carrier: Annotated[str | None, Meta(description="the carrier; empty: none yet", examples=["north"])] = None
    operator: Annotated[str | None, Meta(description="the recipients' network", examples=["mts"])] = None
    country: Annotated[str | None, Meta(description="the recipients' country", examples=["RU"])] = None
    sender: Annotated[str | None, Meta(description="the sender asked for", examples=["Sluice"])] = None
    state: Annotated[str | None, Meta(description="where they stand now", examples=["delivered"])] = None
    tag: Annotated[str | None, Meta(description="your dimension", examples=["spring"])] = None
    reason: Annotated[str | None, Meta(description="why they stand so; empty: nothing is wrong")] = None
    delivered: Annotated[int | None, Meta(description=FIGURES["delivered"], examples=[1100])] = None
    undelivered: Annotated[int | None, Meta(description=FIGURES["undelivered"], examples=[80])] = None
    cancelled: Annotated[int | None, Meta(description=FIGURES["cancelled"], examples=[0])] = None
    unknown: Annotated[int | None, Meta(description=FIGURES["unknown"], examples=[0])] = None
    open: Annotated[int | None, Meta(description=FIGURES["open"], examples=[20])] = None
    delivery_rate: Annotated[float | None, Meta(description=FIGURES["delivery_rate"], examples=[0.9322])] = None
    parts_delivered: Annotated[int | None, Meta(description=FIGURES["parts_delivered"], examples=[1200])] = None
    parts_delivery_rate: Annotated[float | None, Meta(description=FIGURES["parts_delivery_rate"])] = None
    costs: Annotated[Sequence[Price] | None, Meta(description=FIGURES["cost"])] = None
    cost_per_delivered: Annotated[Sequence[Price] | None, Meta(description=FIGURES["cost_per_delivered"])] = None
    submit_latency: Annotated[Latency | None, Meta(description=FIGURES["submit_latency"])] = None
    delivery_latency: Annotated[Latency | None, Meta(description=FIGURES["delivery_latency"])] = None


class Statistics(msgspec.Struct, omit_defaults=True):
    """Sums by group. A message counts where it stands now, at the time when it was accepted."""

    since: Annotated[datetime, Meta(description="accepted then or later")]
    until: Annotated[datetime, Meta(description="accepted before")]
    by: Annotated[Sequence[str], Meta(description="the dimensions that groups are told apart by", examples=[["state"]])]
    groups: Annotated[Sequence[Group], Meta(description="a page of them, oldest first")]
    tz: Annotated[str | None, Meta(description="the zone of days, weeks and months", examples=["Europe/Moscow"])] = None
    next: Annotated[str | None, Meta(description="path of the next page; absent: there is none")] = None


def latency(histogram: int) -> Latency:
    """Of a histogram."""
    found = counts(histogram)
    return Latency(sum(found), **quantiles_s(found))


def group(one: Slice, by: Sequence[str], at: datetime | None, latencies: bool) -> Group:
    """A slice as a document."""
    f = one.figures
    values: dict[str, Any] = {"klass" if n == "class" else n: v for n, v in zip(by, one.values, strict=True)}
    costs = prices(f)
    return Group(
        messages=f.messages,
        delivered=f.delivered,
        undelivered=f.undelivered,
        cancelled=f.of("cancelled"),
        unknown=f.of("unknown"),
        open=f.open,
        delivery_rate=_rounded(f.delivery_rate),
        parts=f.parts,
        parts_delivered=f.parts_of("delivered"),
        parts_delivery_rate=_rounded(f.parts_delivery_rate),
        cost=costs[0] if len(costs) == 1 else None,
        costs=costs,
        cost_per_delivered=prices(f, f.delivered) if f.delivered else [],
        submit_latency=latency(f.submit) if latencies and "state" not in by else None,
        delivery_latency=latency(f.delivery) if latencies else None,
        at=at,
        **values,
    )


def prices(f: Figures, shared_by: int = 1) -> list[Price]:
    """What it cost, one sum a currency."""
    found = (price(round(micro / shared_by), currency) for currency, micro in sorted(f.costs.items()))
    return [one for one in found if one is not None]


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 6)
