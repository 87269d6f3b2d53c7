"""The JSON documents about what a plan changes and would have done. Never: I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.api.documents import Class, Klass, Price, To, TreatmentName

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


class PlanExplain(msgspec.Struct, forbid_unknown_fields=True, rename={"klass": "class", "sender": "from"}):
    """A message that need not exist: where would it go, and why?"""

    to: To
    klass: Klass = "transactional"
    client: Annotated[str | None, Meta(description="whose message; null: the key's client", examples=["shop"])] = None
    sender: Annotated[str | None, Meta(description="null: the gateway's default sender", examples=["MyShop"])] = None
    text: Annotated[
        str, Meta(description="what counts is its alphabet and its length", examples=["Your code is 4711"])
    ] = "x"
    tag: Annotated[str, Meta(max_length=64, description="its tag", examples=["spring"])] = ""
    at: Annotated[_Moment | None, Meta(description="when; null: now")] = None
    test: Annotated[bool, Meta(description="as a test key would send it")] = False
    document: Annotated[str | None, Meta(description="ask this plan, a TOML document, not the one in use")] = None
    version: Annotated[int | None, Meta(description="ask this kept version, not the one in use")] = None


class NumberSeen(msgspec.Struct, omit_defaults=True):
    """Whose number it is."""

    operator: Annotated[str, Meta(description="the plan's name; empty: none of its operators", examples=["mts"])]
    source: Annotated[str, Meta(description="how it is known: ported, plan, numbers, phonenumbers, lookup, rest")]
    source_words: Annotated[str, Meta(description="the same as a sentence")]
    country: Annotated[str, Meta(description="ISO 3166; empty: not known", examples=["RU"])] = ""
    region: Annotated[str, Meta(description="as the source spells it; empty: not known")] = ""
    zones: Annotated[Sequence[str], Meta(description="time zones that it may be in")] = ()


class RouteSeen(msgspec.Struct):
    """A route of the plan, in its order."""

    name: Annotated[str, Meta(description="its name", examples=["codes"])]
    matched: Annotated[bool, Meta(description="whether every condition of it holds; the first such route decides")]
    why_not: Annotated[str, Meta(description="the first condition that does not hold; empty: all do")]


class CandidateSeen(msgspec.Struct):
    """A carrier of the route, in the order in which it is asked."""

    carrier: Annotated[str, Meta(description="its name", examples=["north"])]
    verdict: Annotated[str, Meta(description="taken, waits, left, class, tried, down, full, sender, slow, aside")]
    words: Annotated[str, Meta(description="the same as a sentence")]
    live: Annotated[bool, Meta(description="whether it can send now")]
    price: Annotated[Price | None, Meta(description="of one part; null: it has no rate for this")]
    cost: Annotated[Price | None, Meta(description="of all parts, in the default currency")]
    probability: Annotated[
        float | None, Meta(description="of delivery in time, the bound that `best_value` counts with")
    ]
    expected: Annotated[float | None, Meta(description="the same, estimated")]
    messages: Annotated[int | None, Meta(description="how many messages these two rest on")]
    score: Annotated[float | None, Meta(description="what the strategy compares, the lowest first")]
    explored: Annotated[float, Meta(description="share of messages that it gets so that more is known of it")]
    sender: Annotated[str | None, Meta(description="what the sender is replaced by; null: it stays")]
    until: Annotated[datetime | None, Meta(description="until when a limit has no room")]


class Chosen(msgspec.Struct):
    """Where the message would go."""

    carrier: Annotated[str, Meta(description="the carrier", examples=["north"])]
    price: Annotated[Price | None, Meta(description="of one part")]
    cost: Annotated[Price | None, Meta(description="of all its parts")]
    sender: Annotated[str, Meta(description="what the phone would show", examples=["MyShop"])]
    treatment: Annotated[TreatmentName, Meta(description="what is done to the text")]
    parts: Annotated[int, Meta(description="parts that it has then", examples=[1])]


class HeldBack(msgspec.Struct):
    """Why the message may not go to its recipient now."""

    reason: Annotated[str, Meta(description="stopped or window_hours", examples=["window_hours"])]
    words: Annotated[str, Meta(description="the same as a sentence")]
    until: Annotated[datetime | None, Meta(description="when it may; null: never, or not known")]


class PlanExplained(msgspec.Struct):
    """Why a message goes where it goes. It comes from the steps that the router takes."""

    version: Annotated[int | None, Meta(description="the plan that was asked; null: a document", examples=[7])]
    number: Annotated[NumberSeen | None, Meta(description="null: the number is nobody's")]
    encoding: Annotated[str, Meta(description="the alphabet of the text as it is", examples=["gsm7"])]
    parts: Annotated[int, Meta(description="parts of the text as it is", examples=[1])]
    held_back: Annotated[HeldBack | None, Meta(description="stop lists and sending hours; null: it may go")]
    routes: Annotated[Sequence[RouteSeen], Meta(description="every route of the plan, in order")]
    route: Annotated[str | None, Meta(description="the one that takes it; null: none", examples=["codes"])]
    strategy: Annotated[str | None, Meta(description="how it puts its candidates in order", examples=["cheapest"])]
    candidates: Annotated[
        Sequence[CandidateSeen], Meta(description="its carriers, in the order in which they are asked")
    ]
    choice: Annotated[Chosen | None, Meta(description="null: no carrier takes it now")]
    reason: Annotated[str | None, Meta(description="why none takes it", examples=["no_carrier"])]
    words: Annotated[str, Meta(description="what becomes of the message, in a sentence")]
