"""The documents of scorecards and incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.api.documents import Price
from gateway.api.figure_documents import Latency, latency, prices
from gateway.stats.definitions import FIGURES
from gateway.stats.incidents import Incident
from gateway.stats.scorecards import Scorecard


class ScorecardView(msgspec.Struct):
    """How one carrier does, for one network or (operator null) for all of them."""

    carrier: Annotated[str, Meta(description="the carrier", examples=["north"])]
    operator: Annotated[str | None, Meta(description="the network; null: all of them", examples=["mts"])]
    messages: Annotated[int, Meta(description=FIGURES["messages"], examples=[1200])]
    delivered: Annotated[int, Meta(description=FIGURES["delivered"], examples=[1100])]
    delivery_rate: Annotated[float | None, Meta(description=FIGURES["delivery_rate"], examples=[0.9322])]
    delivery_rate_low: Annotated[float, Meta(description="the rate is hardly lower (Wilson, 95 percent)")]
    delivery_rate_high: Annotated[float, Meta(description="the rate is hardly higher (Wilson, 95 percent)")]
    delivery_latency: Annotated[Latency, Meta(description=FIGURES["delivery_latency"])]
    costs: Annotated[Sequence[Price], Meta(description=FIGURES["cost"])]
    cost_per_delivered: Annotated[Sequence[Price], Meta(description=FIGURES["cost_per_delivered"])]
    errors: Annotated[
        Mapping[str, int],
        Meta(description="messages that did not arrive, by reason, most first", examples=[{"unreachable": 61}]),
    ]
    silent: Annotated[int, Meta(description="with the carrier, and no receipt came yet or ever", examples=[4])]
    silence: Annotated[float | None, Meta(description="silent ÷ all that the carrier took", examples=[0.0033])]
    doubts: Annotated[Sequence[str], Meta(description="why its receipts may be invented; empty: nothing says so")]


class Scorecards(msgspec.Struct):
    """How carriers do, those with most messages first; each carrier's whole before its networks."""

    since: Annotated[datetime, Meta(description="accepted then or later")]
    until: Annotated[datetime, Meta(description="accepted before")]
    scorecards: Annotated[Sequence[ScorecardView], Meta(description="one for each carrier, and for each network of it")]


class IncidentView(msgspec.Struct):
    """Something unusual."""

    kind: Annotated[
        str,
        Meta(
            description="failures, silence (of receipts), latency, invented (receipts), cost, parts, gone or surge"
            " (of a client's messages)",
            examples=["failures"],
        ),
    ]
    says: Annotated[str, Meta(description="what it is, in words")]
    todo: Annotated[str, Meta(description="the command that shows more of it")]
    messages: Annotated[int, Meta(description="about how many messages it concerns", examples=[1240])]
    value: Annotated[float, Meta(description="share, seconds, money or messages, as the kind has it", examples=[0.38])]
    usual: Annotated[float, Meta(description="the same at this time of earlier days", examples=[0.02])]
    carrier: Annotated[str | None, Meta(description="the carrier; null: any", examples=["north"])] = None
    operator: Annotated[str | None, Meta(description="the network; null: any", examples=["mts"])] = None
    client: Annotated[str | None, Meta(description="the client; null: any", examples=["shop"])] = None
    sender: Annotated[str | None, Meta(description="the sender; null: any", examples=["Sluice"])] = None
    reason: Annotated[str | None, Meta(description="of failures the reason", examples=["blocked"])] = None


class Incidents(msgspec.Struct):
    """What is unusual against the same hours of earlier days, worst first."""

    since: Annotated[datetime, Meta(description="accepted then or later")]
    until: Annotated[datetime, Meta(description="accepted before")]
    earlier_days: Annotated[int, Meta(description="days before that it is compared with", examples=[7])]
    incidents: Annotated[Sequence[IncidentView], Meta(description="worst first; empty: all is as usual")]


def scorecard(card: Scorecard) -> ScorecardView:
    """As a document."""
    f, rate = card.figures, card.figures.delivery_rate
    return ScorecardView(
        carrier=card.carrier,
        operator=card.operator or None,
        messages=f.messages,
        delivered=f.delivered,
        delivery_rate=None if rate is None else round(rate, 6),
        delivery_rate_low=round(card.low, 6),
        delivery_rate_high=round(card.high, 6),
        delivery_latency=latency(f.delivery),
        costs=prices(f),
        cost_per_delivered=prices(f, f.delivered) if f.delivered else [],
        errors=card.errors,
        silent=card.silent,
        silence=None if card.silence is None else round(card.silence, 6),
        doubts=card.doubts,
    )


def incident(one: Incident) -> IncidentView:
    """As a document."""
    scope = {key: value or None for key, value in one.scope._asdict().items()}
    value, usual = float(f"{one.value:.4g}"), float(f"{one.usual:.4g}")
    return IncidentView(one.kind, one.says, one.todo, one.messages, value, usual, reason=one.reason or None, **scope)
