"""The JSON documents about what a plan changes and would have done. Never: I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.api.documents import Class, Price

_Document = Annotated[str, Meta(description="the TOML document as text")]
_Against = Annotated[int | None, Meta(description="compare with this version; null: with the one in use")]
_Moment = Annotated[datetime, Meta(tz=True)]
_Sample = Annotated[
    int, Meta(ge=1, le=100_000, description="so many messages are looked at, each for others of its hour")
]


class PlanDiff(msgspec.Struct, forbid_unknown_fields=True):
    """A plan to compare with one that is kept."""

    document: _Document
    version: _Against = None
    days: Annotated[int, Meta(ge=0, le=31, description="of so many days the traffic is looked at; 0: none")] = 7
    sample: _Sample = 20_000


class PlanReplay(msgspec.Struct, forbid_unknown_fields=True):
    """A plan to try on messages that were really sent."""

    document: Annotated[str | None, Meta(description="the TOML document as text; null: a kept version, by number")] = (
        None
    )
    version: Annotated[int | None, Meta(description="the kept version to try, when there is no document")] = None
    against: _Against = None
    since: Annotated[_Moment | None, Meta(description="from here on; null: a week before `until`")] = None
    until: Annotated[_Moment | None, Meta(description="up to here; null: now")] = None
    sample: _Sample = 100_000


class PlanFieldChange(msgspec.Struct):
    """One entry or field that differs."""

    kind: Annotated[Literal["added", "removed", "changed"], Meta(description="what happened to it")]
    table: Annotated[str, Meta(description="the table of the document", examples=["route"])]
    name: Annotated[str, Meta(description="the entry's name, or what it is for")]
    field: Annotated[str, Meta(description="the field; empty for a whole entry")]
    before: Annotated[Any, Meta(description="what it was; null: not there")]
    after: Annotated[Any, Meta(description="what it is; null: not there")]


class PlanMove(msgspec.Struct, rename={"klass": "class"}):
    """Messages of one class and operator between two carriers."""

    klass: Annotated[Class, Meta(description="their class")]
    operator: Annotated[str, Meta(description="whose numbers they go to", examples=["mts"])]
    carrier_before: Annotated[str | None, Meta(description="by the plan before; null: none takes them")]
    carrier_after: Annotated[str | None, Meta(description="by the plan after; null: none takes them")]
    route_before: Annotated[str, Meta(description="the route that decides before; empty: none")]
    route_after: Annotated[str, Meta(description="the route that decides after; empty: none")]
    messages: Annotated[int, Meta(description="how many", examples=[120000])]
    parts: Annotated[int, Meta(description="their parts", examples=[150000])]
    cost_before: Annotated[Price, Meta(description="what they cost by the plan before")]
    cost_after: Annotated[Price, Meta(description="what they would cost by the plan after")]


class PlanEffect(msgspec.Struct):
    """What would have been otherwise. Every carrier counts as able to send, each message as one attempt."""

    since: Annotated[datetime, Meta(description="the traffic from here on")]
    until: Annotated[datetime, Meta(description="up to here")]
    sampled: Annotated[int, Meta(description="messages that both plans were asked about")]
    messages: Annotated[int, Meta(description="how many they stand for")]
    moved: Annotated[int, Meta(description="of these, how many would go to another carrier")]
    refused: Annotated[int, Meta(description="of these, how many no carrier would take any more")]
    cost_before: Annotated[Price, Meta(description="what all of them cost by the plan before")]
    cost_after: Annotated[Price, Meta(description="what all of them would cost by the plan after")]
    moves: Annotated[Sequence[PlanMove], Meta(description="the largest difference in money first, at most 500")]


class PlanDifference(msgspec.Struct):
    """What a plan changes, and what it would have moved."""

    version: Annotated[int, Meta(description="the version that it was compared with", examples=[7])]
    changes: Annotated[Sequence[PlanFieldChange], Meta(description="in the order of the document")]
    effect: Annotated[PlanEffect | None, Meta(description="on the traffic of `days`; null: none was looked at")]


class PlanReplayed(msgspec.Struct):
    """What a plan would have done with messages that were really sent."""

    version: Annotated[int, Meta(description="the version that it was compared with", examples=[7])]
    effect: Annotated[PlanEffect, Meta(description="what would have been otherwise")]
