"""The JSON documents about messages and batches, requests and answers: decoded, checked and described by msgspec.

What cannot be said by a type (numbers, alphabets, times against the clock) is checked in `checks`. Never: I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.api.problems import Problem

MAX_BATCH = 10_000
MAX_META_BYTES = 1024
MAX_SEND_AHEAD_S = 30 * 86_400

Class = Literal["otp", "alert", "transactional", "marketing"]
StateName = Literal[
    "accepted",
    "scheduled",
    "routed",
    "submitted",
    "unknown",
    "delivered",
    "undeliverable",
    "rejected",
    "failed",
    "expired",
    "cancelled",
]

To = Annotated[str, Meta(description="recipient: E.164, or a number of the default region", examples=["+79161234567"])]
Text = Annotated[str, Meta(description="any Unicode text; never cut", examples=["Your code is 4711"])]
From = Annotated[
    str, Meta(description="sender: up to 11 GSM characters, a number or a short code", examples=["MyShop"])
]
Klass = Annotated[Class, Meta(description="how urgent it is; `transactional` when not given")]
Ref = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="your own id, unique per recipient for 72 h: repeating is then safe",
        examples=["order-1042"],
    ),
]
Validity = Annotated[int, Meta(ge=1, description="seconds after which the message is worth nothing", examples=[300])]
SendAt = Annotated[
    datetime,
    Meta(
        tz=True,
        description="not before; with an offset, at most 30 days ahead (RFC 3339)",
        examples=["2030-01-31T09:00:00+03:00"],
    ),
]
CallbackUrl = Annotated[
    str,
    Meta(
        max_length=2048,
        description="gets this message's events instead of your endpoints",
        examples=["https://example.com/sms"],
    ),
]
Tag = Annotated[
    str, Meta(max_length=64, description="a dimension of the statistics, such as a campaign", examples=["spring"])
]
MetaObject = Annotated[
    dict[str, Any], Meta(description="at most 1 KB of JSON, only echoed", examples=[{"order": 1042}])
]
Id = Annotated[str, Meta(description="the message's id, a UUIDv7", examples=["0199c1a2-7a3e-7c11-8f00-5a1d2e3f4a5b"])]
BatchId = Annotated[
    str, Meta(description="the batch's id, a UUIDv7", examples=["0199c1a2-7a3e-7c11-8f00-9b8c7d6e5f40"])
]
Encoding = Annotated[
    str,
    Meta(
        description="gsm7 when the GSM alphabet holds every character, else ucs2",
        examples=["gsm7"],
        extra_json_schema={"enum": ["gsm7", "ucs2"]},
    ),
]
Parts = Annotated[int, Meta(description="how many SMS the text takes; each costs", examples=[1])]
Number = Annotated[str, Meta(description="the recipient in E.164", examples=["+79161234567"])]
SenderName = Annotated[str, Meta(description="who the message comes from, as carriers get it", examples=["MyShop"])]
ClassName = Annotated[Class, Meta(description="how urgent it is")]
At = Annotated[datetime, Meta(examples=["2030-01-31T06:00:00Z"])]


class MessageFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A message of a batch; what it does not give comes from the batch's `defaults`. null is the same as not given."""

    to: To | None = None
    text: Text | None = None
    sender: From | None = msgspec.field(default=None, name="from")
    klass: Klass | None = msgspec.field(default=None, name="class")
    ref: Ref | None = None
    validity_s: Validity | None = None
    send_at: SendAt | None = None
    callback_url: CallbackUrl | None = None
    tag: Tag | None = None
    meta: MetaObject | None = None


class NewMessage(MessageFields, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A message to send."""

    to: To
    text: Text


class NewBatch(msgspec.Struct, forbid_unknown_fields=True):
    """Up to 10,000 messages."""

    messages: Annotated[list[MessageFields], Meta(description=f"1 to {MAX_BATCH} messages")]
    defaults: Annotated[MessageFields | None, Meta(description="fields of all messages that do not give them")] = None


class Accepted(msgspec.Struct, gc=False):
    """A message that is durably ours."""

    id: Id
    state: Annotated[Literal["accepted", "scheduled"], Meta(description="the state that it was accepted in")]
    parts: Annotated[int, Meta(description="how many SMS the text takes; an estimate until a carrier has it")]
    encoding: Encoding
    duplicate: Annotated[bool, Meta(description="the ref was known: nothing new was made, and the id is the first's")]


Result = Annotated[
    Any,
    Meta(
        description="what a single POST would have answered: the accepted message or a problem",
        extra_json_schema={
            "anyOf": [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in (Accepted, Problem)]
        },
    ),
]


class BatchAnswer(msgspec.Struct):
    """What became of each message of the batch. A refused one stops none of the others."""

    batch_id: BatchId
    accepted: Annotated[int, Meta(description="messages that are durably ours now", examples=[2])]
    duplicates: Annotated[int, Meta(description="messages whose ref was known", examples=[0])]
    rejected: Annotated[int, Meta(description="messages that have a problem in `results`", examples=[0])]
    results: Annotated[Sequence[Result], Meta(description="one for each message, in the order of the request")]


class Price(msgspec.Struct):
    """Money: a decimal number as text, and its currency."""

    amount: Annotated[str, Meta(description="a decimal number, at least two digits after the point", examples=["0.35"])]
    currency: Annotated[str, Meta(description="ISO 4217", examples=["RUB"])]


TreatmentName = Literal["none", "typography", "transliteration"]


class TreatedText(msgspec.Struct, kw_only=True):
    """The text under one treatment."""

    treatment: Annotated[
        TreatmentName,
        Meta(
            description="none: as it was given; typography: quotes, dashes, spaces and the like in their plain form;"
            " transliteration: that, and Cyrillic in Latin letters (ICAO Doc 9303)"
        ),
    ]
    changed: Annotated[bool, Meta(description="false: it does not apply, and the text stays as it was given")]
    encoding: Encoding
    parts: Parts
    characters: Annotated[int, Meta(description="characters of the text then", examples=[17])]
    text: Annotated[str, Meta(description="the text then", examples=["Your code is 4711"])]
    price: Annotated[Price | None, Meta(description="of all its parts; null: no route of the plan takes it")] = None


class CostlyCharacter(msgspec.Struct, kw_only=True):
    """A character outside the GSM alphabet: one of them makes the whole text UCS-2."""

    character: Annotated[str, Meta(description="the character", examples=["—"])]
    name: Annotated[str, Meta(description="its Unicode name", examples=["EM DASH"])]
    count: Annotated[int, Meta(description="how often it is there", examples=[1])]
    plain: Annotated[str | None, Meta(description="its plain form; null: it has none", examples=["-"])] = None
    latin: Annotated[str | None, Meta(description="that, or its Latin letters; null: neither", examples=["-"])] = None


class Preview(msgspec.Struct):
    """What a message would be, without sending it. Alphabet, parts and texts are those that would be sent."""

    to: Number
    sender: SenderName = msgspec.field(name="from")
    klass: ClassName = msgspec.field(name="class")
    encoding: Encoding
    parts: Parts
    characters: Annotated[int, Meta(description="characters of the text", examples=[17])]
    part_texts: Annotated[Sequence[str], Meta(description="the text of each part", examples=[["Your code is 4711"]])]
    validity_s: Annotated[int, Meta(description="seconds after which it would be given up", examples=[300])]
    send_at: Annotated[datetime | None, Meta(description="when it would be sent; null: at once")] = None
    treatment: Annotated[
        TreatmentName, Meta(description="what the route would do to the text; none: it goes out as it was given")
    ] = "none"
    route: Annotated[str | None, Meta(description="the rule of the plan that would take it; null: none does")] = None
    operator: Annotated[str | None, Meta(description="the recipient's network, as the plan names it")] = None
    carrier: Annotated[str | None, Meta(description="the carrier that would be asked first if all could send")] = None
    price: Annotated[Price | None, Meta(description="of all parts; null: no route of the plan takes it")] = None
    treatments: Annotated[
        Sequence[TreatedText], Meta(description="the text under each treatment, one after another")
    ] = ()
    costly: Annotated[
        Sequence[CostlyCharacter], Meta(description="characters that make the text UCS-2, 20 at the most")
    ] = ()
    advice: Annotated[str | None, Meta(description="what would make it take fewer parts; null: nothing known")] = None
    waits_until: Annotated[
        datetime | None,
        Meta(description="when the hours begin in which the recipient may be sent this class; null: it need not wait"),
    ] = None


class Considered(msgspec.Struct, omit_defaults=True):
    """A carrier that a message might have gone to, as it was then."""

    carrier: Annotated[str, Meta(description="the carrier, as the plan names it")]
    price: Annotated[Price | None, Meta(description="of one part")] = None
    probability: Annotated[
        float | None, Meta(description="lower bound of the probability of delivery in time, where the strategy asks it")
    ] = None
    why_not: Annotated[str | None, Meta(description="why it was passed over: a word, then what it means")] = None


class Decision(msgspec.Struct, omit_defaults=True):
    """Why a carrier was chosen, where that was more than the first of its route."""

    strategy: Annotated[str, Meta(description="how the route puts its carriers in order")]
    source: Annotated[str | None, Meta(description="how the recipient's network is known")] = None
    explored: Annotated[bool | None, Meta(description="true: chosen to learn how the carrier does")] = None
    candidates: Annotated[list[Considered], Meta(description="in their order then")] = []


class Moment(msgspec.Struct, omit_defaults=True):
    """Something that happened to a message. Only what applies is there."""

    at: Annotated[datetime, Meta(description="when it happened")]
    event: Annotated[
        Literal[
            "accepted",
            "scheduled",
            "waiting",
            "routed",
            "submitted",
            "receipt",
            "parked",
            "held",
            "rescheduled",
            "rewritten",
            "asked",
            "ended",
            "callback",
        ],
        Meta(description="what happened"),
    ]
    attempt: Annotated[int | None, Meta(description="the attempt to hand it over, from 1")] = None
    part: Annotated[int | None, Meta(description="from 1; not there when the carrier takes the message whole")] = None
    parts: Annotated[int | None, Meta(description="parts of this attempt")] = None
    carrier: Annotated[str | None, Meta(description="the carrier, as the plan names it")] = None
    bind: Annotated[str | None, Meta(description="the carrier's link that it went over")] = None
    operator: Annotated[str | None, Meta(description="the recipient's network, as the plan names it")] = None
    route: Annotated[str | None, Meta(description="the rule of the plan that chose the carrier")] = None
    plan_version: Annotated[int | None, Meta(description="the version of the plan that chose the carrier")] = None
    routed_at: Annotated[datetime | None, Meta(description="when the carrier was chosen")] = None
    answered_at: Annotated[datetime | None, Meta(description="when the carrier answered")] = None
    outcome: Annotated[
        Literal["accepted", "deferred", "refused", "uncertain"] | None,
        Meta(description="what the carrier answered; uncertain: nothing, and it may have the message"),
    ] = None
    late: Annotated[bool | None, Meta(description="true: the answer came after we had given up waiting for it")] = None
    state: Annotated[str | None, Meta(description="the state that this led to, or that a receipt reports")] = None
    reason: Annotated[str | None, Meta(description="why, as a stable word")] = None
    code: Annotated[str | None, Meta(description="the carrier's own code")] = None
    carrier_message_id: Annotated[str | None, Meta(description="the carrier's own id of the message")] = None
    price: Annotated[Price | None, Meta(description="of one part")] = None
    matched_by: Annotated[str | None, Meta(description="how a receipt found its submission")] = None
    done_at: Annotated[datetime | None, Meta(description="when the carrier, or your endpoint, was done with it")] = None
    where: Annotated[str | None, Meta(description="where it waited: intake, outbox or later")] = None
    until: Annotated[datetime | None, Meta(description="until when it waits at most")] = None
    by: Annotated[str | None, Meta(description="who did it")] = None
    host: Annotated[str | None, Meta(description="where the application was told")] = None
    endpoint: Annotated[str | None, Meta(description="the endpoint; not there for the message's callback_url")] = None
    tries: Annotated[int | None, Meta(description="which attempt to tell the application it was")] = None
    status: Annotated[int | None, Meta(description="what the application answered")] = None
    error: Annotated[str | None, Meta(description="why the application has not taken the event")] = None
    next_try_at: Annotated[datetime | None, Meta(description="when the application is told again")] = None
    sender: Annotated[str | None, Meta(description="what the route replaced the sender by")] = None
    decision: Annotated[Decision | None, Meta(description="why this carrier")] = None
    client: Annotated[str | None, Meta(description="whose key it was accepted with")] = None
    key: Annotated[str | None, Meta(description="the id of that key")] = None
    key_name: Annotated[str | None, Meta(description="that key's name")] = None
    latency_ms: Annotated[int | None, Meta(description="how long the answer took")] = None
    words: Annotated[str | None, Meta(description="why it was routed so, or what the answer or reason means")] = None
    raw: Annotated[str | None, Meta(description="the receipt as it came; not there without the scope `privacy`")] = None


class MessageView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A message as it stands."""

    id: Id
    state: Annotated[StateName, Meta(description="where it stands; see the states")]
    reason: Annotated[str | None, Meta(description="why it did not move forward, as a stable word")]
    reason_text: Annotated[str | None, Meta(description="the reason in words")] = None
    to: Number
    sender: SenderName = msgspec.field(name="from")
    klass: ClassName = msgspec.field(name="class")
    text: Annotated[str, Meta(description="the text as it was given")]
    parts: Parts
    parts_delivered: Annotated[int, Meta(description="parts that are known to have reached the phone")] = 0
    encoding: Encoding
    ref: Annotated[str | None, Meta(description="your own id")]
    tag: Annotated[str | None, Meta(description="your dimension of the statistics")]
    carrier: Annotated[str | None, Meta(description="the carrier of the attempt under way, or of the last one")]
    operator: Annotated[str | None, Meta(description="the recipient's network, as the plan names it")]
    price: Annotated[Price | None, Meta(description="what its parts have cost, in the currency of the last attempt")]
    accepted_at: Annotated[datetime, Meta(description="when it became ours")]
    changed_at: Annotated[datetime | None, Meta(description="when it changed last")] = None
    validity_s: Annotated[int, Meta(description="seconds after which it is given up, from `send_at` or accepting")]
    send_at: Annotated[datetime | None, Meta(description="not before; null: at once")] = None
    callback_url: Annotated[str | None, Meta(description="where its events go instead of your endpoints")] = None
    batch_id: Annotated[str | None, Meta(description="the batch that it came with")] = None
    meta: Annotated[msgspec.Raw | None, Meta(description="your own JSON, as it was given")] = None
    test: Annotated[bool, Meta(description="true: sent with a test key, by the sandbox carrier only")] = False
    timeline: Annotated[
        Sequence[Moment] | None, Meta(description="everything that happened, oldest first; not in lists")
    ] = None
    masked: Annotated[
        bool, Meta(description="true: number and text are hidden, because the key has no scope `privacy`")
    ] = False
    retry_of: Annotated[
        str | None, Meta(description="the failed message that an operator sent again as this one; not in lists")
    ] = None
    retried_as: Annotated[
        str | None, Meta(description="the message that an operator sent again of this one; not in lists")
    ] = None


class MessagePage(msgspec.Struct):
    """A page of messages, newest first."""

    messages: Annotated[Sequence[MessageView], Meta(description="newest first, without timelines")]
    next: Annotated[str | None, Meta(description="the path of the next page; null: this is the last")]


class BatchView(msgspec.Struct):
    """A batch as it stands."""

    id: BatchId
    accepted_at: Annotated[datetime, Meta(description="when it became ours")]
    accepted: Annotated[int, Meta(description="messages that were accepted")]
    duplicates: Annotated[int, Meta(description="messages whose ref was known")]
    rejected: Annotated[int, Meta(description="messages that were refused")]
    open: Annotated[int, Meta(description="accepted messages that have not ended yet")]
    states: Annotated[dict[str, int], Meta(description="how many messages are in each state")]


class Cancelled(msgspec.Struct):
    """The message will not be sent."""

    id: Id
    state: Annotated[Literal["cancelled"], Meta(description="its final state")] = "cancelled"


class BatchChange(msgspec.Struct):
    """How many of a batch's open messages were changed."""

    id: BatchId
    changed: Annotated[int, Meta(description="messages that were changed")]
    too_late: Annotated[int, Meta(description="open messages that were on their way already")]


class Reschedule(msgspec.Struct, forbid_unknown_fields=True):
    """When to send what is still scheduled."""

    send_at: SendAt
