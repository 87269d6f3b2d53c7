"""The JSON documents of the API, requests and answers, as types: decoded, checked and described by msgspec.

What cannot be said by a type (numbers, alphabets, times against the clock) is checked in `checks`. Never: I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.api.problems import PlanFault, Problem

MAX_BATCH = 10_000
MAX_META_BYTES = 1024
MAX_SEND_AHEAD_S = 30 * 86_400

Class = Literal["otp", "alert", "transactional", "marketing"]
Scope = Literal["send", "read", "stats", "ops", "plan", "privacy", "admin"]
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
    str, Meta(max_length=128, description="your own id, unique per recipient for 72 h: repeating is then safe")
]
Validity = Annotated[int, Meta(ge=1, description="seconds after which the message is worth nothing", examples=[300])]
SendAt = Annotated[datetime, Meta(tz=True, description="not before; with an offset, at most 30 days ahead (RFC 3339)")]
CallbackUrl = Annotated[str, Meta(max_length=2048, description="gets this message's events instead of your endpoints")]
Tag = Annotated[str, Meta(max_length=64, description="a dimension of the statistics, such as a campaign")]
MetaObject = Annotated[dict[str, Any], Meta(description="at most 1 KB of JSON, only echoed")]


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
    """A message that is durably ours. `state` is the one it was accepted in; `parts` is an estimate."""

    id: str
    state: Literal["accepted", "scheduled"]
    parts: int
    encoding: Annotated[str, Meta(description="gsm7 or ucs2")]
    duplicate: Annotated[bool, Meta(description="the ref was known: the id is that of the first")]


Result = Annotated[
    Any,
    Meta(
        description="a result or a problem",
        extra_json_schema={
            "anyOf": [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in (Accepted, Problem)]
        },
    ),
]


class BatchAnswer(msgspec.Struct):
    """One result per message, in order: what a single POST would have answered."""

    batch_id: str
    accepted: int
    duplicates: int
    rejected: int
    results: Sequence[Result]


class Preview(msgspec.Struct):
    """What a message would be, without sending it."""

    to: str
    sender: str = msgspec.field(name="from")
    klass: Class = msgspec.field(name="class")
    encoding: Annotated[str, Meta(description="gsm7 or ucs2")]
    parts: int
    characters: int
    part_texts: Sequence[str]
    validity_s: int
    send_at: datetime | None = None


class Price(msgspec.Struct):
    """What the carrier asks for all parts. The amount is a decimal number as text."""

    amount: str
    currency: str


class Moment(msgspec.Struct, omit_defaults=True):
    """Something that happened to a message. Only what applies is there."""

    at: datetime
    event: Literal[
        "accepted", "scheduled", "waiting", "submitted", "receipt", "parked", "held", "rescheduled", "ended", "callback"
    ]
    attempt: int | None = None
    part: Annotated[int | None, Meta(description="from 1; not there when the carrier takes the message whole")] = None
    parts: int | None = None
    carrier: str | None = None
    bind: str | None = None
    operator: str | None = None
    route: str | None = None
    plan_version: int | None = None
    routed_at: datetime | None = None
    answered_at: datetime | None = None
    outcome: Literal["accepted", "deferred", "refused", "uncertain"] | None = None
    late: bool | None = None
    state: str | None = None
    reason: str | None = None
    code: Annotated[str | None, Meta(description="the carrier's own code")] = None
    carrier_message_id: str | None = None
    price: Annotated[Price | None, Meta(description="of one part")] = None
    matched_by: str | None = None
    done_at: datetime | None = None
    where: Annotated[str | None, Meta(description="intake, outbox or later")] = None
    until: datetime | None = None
    by: str | None = None


class MessageView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A message as it stands."""

    id: str
    state: StateName
    reason: str | None
    reason_text: Annotated[str | None, Meta(description="the reason in words")] = None
    to: str
    sender: str = msgspec.field(name="from")
    klass: Class = msgspec.field(name="class")
    text: str
    parts: int
    encoding: str
    ref: str | None
    tag: str | None
    carrier: str | None
    operator: str | None
    price: Price | None
    accepted_at: datetime
    changed_at: datetime | None = None
    validity_s: int
    send_at: datetime | None = None
    callback_url: str | None = None
    batch_id: str | None = None
    meta: msgspec.Raw | None = None
    test: bool = False
    timeline: Sequence[Moment] | None = None


class MessagePage(msgspec.Struct):
    """Messages, newest first. `next` is the path of the next page."""

    messages: Sequence[MessageView]
    next: str | None


class BatchView(msgspec.Struct):
    """A batch as it stands. `states` counts its messages."""

    id: str
    accepted_at: datetime
    accepted: int
    duplicates: int
    rejected: int
    open: int
    states: dict[str, int]


class Cancelled(msgspec.Struct):
    """The message will not be sent."""

    id: str
    state: Literal["cancelled"] = "cancelled"


class BatchChange(msgspec.Struct):
    """How many of a batch's open messages were changed, and for how many it was too late."""

    id: str
    changed: int
    too_late: int


class Reschedule(msgspec.Struct, forbid_unknown_fields=True):
    """When to send what is still scheduled."""

    send_at: SendAt


class CarrierView(msgspec.Struct):
    """A carrier as its connector reports it."""

    name: str
    mode: Literal["running", "paused", "draining"]
    status: dict[str, Any]


class Carriers(msgspec.Struct):
    """Every carrier that the plan names or a connector reports."""

    carriers: Sequence[CarrierView]


class PlanVersionView(msgspec.Struct, kw_only=True):
    """A version of the plan, without its text."""

    version: int
    active: bool
    note: str
    sha256: str
    created_at: datetime
    created_by: str
    activated_at: datetime | None
    activated_by: str | None


class PlanVersions(msgspec.Struct):
    """Versions, newest first; `active` is the one in use."""

    active: int | None
    plans: Sequence[PlanVersionView]


class PlanText(msgspec.Struct):
    """A version of the plan with its text."""

    plan: PlanVersionView
    document: str


class NewPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A plan to keep or check: the TOML document as text."""

    document: str
    note: Annotated[str, Meta(max_length=500)] = ""
    activate: bool = False


class PlanKept(msgspec.Struct):
    """The version that was made, and warnings about it."""

    version: int
    active: bool
    problems: Sequence[PlanFault]


class PlanChecked(msgspec.Struct):
    """What is wrong with a document; it could be used when nothing of it is an error."""

    ok: bool
    problems: Sequence[PlanFault]


class PlanActive(msgspec.Struct):
    """The version in use."""

    version: int
    since: datetime


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """What a new key may do."""

    client: Annotated[str, Meta(description="the application; made when it is new")]
    name: Annotated[str, Meta(max_length=100, description="a note for people")] = ""
    scopes: Sequence[Scope] = ("send", "read", "stats")
    classes: Annotated[Sequence[Class] | None, Meta(description="all of them when not given")] = None
    networks: Annotated[Sequence[str], Meta(description="where it may be used from; everywhere when empty")] = ()
    test: Annotated[bool, Meta(description="its messages go to sandbox carriers only")] = False
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class KeyMade(msgspec.Struct):
    """A new key. The secret cannot be read again."""

    id: str
    client: str
    secret: str


class KeyView(msgspec.Struct, kw_only=True):
    """A key, without its secret."""

    id: str
    client: str
    name: str
    scopes: Sequence[str]
    classes: Sequence[str]
    networks: Sequence[str]
    test: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyViews(msgspec.Struct):
    """Every key, oldest first."""

    keys: Sequence[KeyView]


class NewQuota(msgspec.Struct, forbid_unknown_fields=True):
    """How fast a client may send. Nothing given: what the settings give to every client."""

    messages_per_s: Annotated[
        float | None, Meta(description="messages a second on average; 0: no limit; null: what the settings say")
    ] = None
    burst: Annotated[int, Meta(ge=0, le=1_000_000, description="how many at once; 0: what a second gives")] = 0


class ClientView(msgspec.Struct, kw_only=True):
    """A client and how fast it may send."""

    name: Annotated[str, Meta(description="the client's name, as its keys have it")]
    created_at: Annotated[datetime, Meta(description="when its first key was made")]
    disabled_at: Annotated[datetime | None, Meta(description="since when none of its keys works")]
    messages_per_s: Annotated[
        float | None, Meta(description="messages a second on average; 0: no limit; null: what the settings say")
    ]
    burst: Annotated[int, Meta(description="how many at once; 0: what a second gives")]
    keys: Annotated[int, Meta(description="how many of its keys work now")]


class ClientViews(msgspec.Struct):
    """Every client, by name."""

    clients: Annotated[Sequence[ClientView], Meta(description="every client that ever had a key")]
