"""The JSON documents of endpoints and callbacks, requests and answers, as types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

EventType = Literal[
    "message.submitted",
    "message.unknown",
    "message.delivered",
    "message.undeliverable",
    "message.rejected",
    "message.failed",
    "message.expired",
    "message.cancelled",
    "message.inbound",
]
MAX_OVERLAP_S = 30 * 86_400

EndpointId = Annotated[str, Meta(description="the endpoint", examples=["ep_4f0c1a2b3c4d5e6f"])]
EventId = Annotated[
    str,
    Meta(
        description="also in webhook-id and in the body: the same over all tries",
        examples=["evt_0199c1a27a3e7c118f005a1d2e3f4a5b_1"],
    ),
]
TypeName = Annotated[EventType, Meta(description="what happened to the message")]
Url = Annotated[
    str, Meta(max_length=2048, description="https:// or http://, any port", examples=["https://example.com/sms"])
]
Events = Annotated[
    Sequence[EventType],
    Meta(min_length=1, max_length=20, description="types of events; every final state when not given"),
]
Bundle = Annotated[bool, Meta(description="up to 500 events in one request, as an array")]
Description = Annotated[str, Meta(max_length=200, description="a note for people")]
Overlap = Annotated[
    int,
    Meta(ge=0, le=MAX_OVERLAP_S, description="how long the secret before signs as well, in seconds", examples=[86_400]),
]
Secret = Annotated[
    str, Meta(description="signs every request; `whsec_` and base64", examples=["whsec_c2VjcmV0IG9mIGFuIGVuZHBvaW50"])
]


class NewEndpoint(msgspec.Struct, forbid_unknown_fields=True):
    """An endpoint to register."""

    url: Url
    events: Events | None = None
    bundle: Bundle = False
    description: Description = ""
    expires_in_s: (
        Annotated[
            int,
            Meta(ge=10, le=86_400, description="temporary: it goes away unless this is given again", examples=[60]),
        ]
        | None
    ) = None


class EndpointChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change; the rest stays."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    bundle: Bundle | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: Annotated[bool, Meta(description="false: nothing is sent; true: also after a 410")] | UnsetType = UNSET
    expires_in_s: (
        Annotated[int, Meta(ge=10, le=86_400, description="of a temporary endpoint: from now", examples=[60])]
        | UnsetType
    ) = UNSET


class EndpointView(msgspec.Struct, kw_only=True):
    """An endpoint as it stands."""

    id: EndpointId
    url: Url
    events: Annotated[Sequence[EventType], Meta(description="the types of events that it gets")]
    bundle: Bundle
    description: Description
    enabled: Annotated[bool, Meta(description="whether anything is sent to it")]
    disabled_at: Annotated[datetime | None, Meta(description="since when nothing is sent")]
    disabled_why: Annotated[str | None, Meta(description="null unless we disabled it, as after 410 Gone")]
    failing_since: Annotated[datetime | None, Meta(description="it rests between tries since then")]
    last_error: Annotated[str | None, Meta(description="how it failed last")]
    created_at: Annotated[datetime, Meta(description="when it was registered")]
    changed_at: Annotated[datetime, Meta(description="when it was changed last")]
    expires_at: Annotated[datetime | None, Meta(description="a temporary endpoint goes away then")]


class EndpointViews(msgspec.Struct):
    """A client's endpoints, oldest first."""

    endpoints: Annotated[Sequence[EndpointView], Meta(description="those of the key's client")]


class EndpointMade(msgspec.Struct):
    """A new endpoint. Its secret cannot be read again, only rotated."""

    endpoint: Annotated[EndpointView, Meta(description="as it stands now")]
    secret: Secret


class Rotate(msgspec.Struct, forbid_unknown_fields=True):
    """How long the secret before goes on signing beside the new one."""

    overlap_s: Overlap = 86_400


class SecretMade(msgspec.Struct):
    """The secret that signs, and until when the one before signs as well."""

    secret: Secret
    former_until: Annotated[datetime | None, Meta(description="until then the secret before signs as well")]


class EndpointRemoved(msgspec.Struct):
    """It gets nothing any more."""

    id: EndpointId
    removed: Annotated[Literal[True], Meta(description="always true")] = True


class Sample(msgspec.Struct, forbid_unknown_fields=True):
    """Which event to send as a sample."""

    type: TypeName = "message.delivered"


class SampleTo(msgspec.Struct, forbid_unknown_fields=True):
    """Which event to send as a sample, and where to."""

    url: Url
    type: TypeName = "message.delivered"


class SampleSent(msgspec.Struct):
    """The sample is on its way; `GET /v1/callbacks?event_id=…` tells what became of it."""

    event_id: EventId


class CallbackView(msgspec.Struct, kw_only=True):
    """An event at one of its targets, once it was tried."""

    event_id: EventId
    type: TypeName
    seq: Annotated[int, Meta(description="counts the events of the message, from 1")]
    message_id: Annotated[str, Meta(description="the message", examples=["0199c1a2-7a3e-7c11-8f00-5a1d2e3f4a5b"])]
    endpoint: Annotated[str | None, Meta(description="null: it went to the message's callback_url")]
    client: Annotated[str, Meta(description="whose message it is")]
    host: Annotated[str, Meta(description="where it went to; the whole URL is the endpoint's")]
    state: Annotated[Literal["waiting", "delivered", "failed"], Meta(description="failed: given up after three days")]
    tries: Annotated[int, Meta(description="how often it was tried")]
    status: Annotated[int | None, Meta(description="of the last answer; null: there was none")]
    error: Annotated[str | None, Meta(description="why it was not taken")]
    at: Annotated[datetime, Meta(description="when it happened")]
    next_try_at: Annotated[datetime | None, Meta(description="when it is tried again")]
    done_at: Annotated[datetime | None, Meta(description="when it was taken, or given up")]


class CallbackPage(msgspec.Struct):
    """Callbacks that were tried, those of the newest messages first."""

    callbacks: Annotated[Sequence[CallbackView], Meta(description="all of one message stay together")]
    untried: Annotated[int, Meta(description="events of the client that wait for their first try")]
    next: Annotated[str | None, Meta(description="the path of the next page")]


class Retry(msgspec.Struct, forbid_unknown_fields=True):
    """What to send again: one event, those of one message, or all that failed at an endpoint or since a time."""

    event_id: Annotated[str, Meta(max_length=64, description="this event")] | None = None
    message_id: Annotated[str, Meta(max_length=64, description="the events of this message")] | None = None
    endpoint: Annotated[str, Meta(max_length=64, description="what failed at this endpoint")] | None = None
    since: Annotated[datetime, Meta(tz=True, description="what failed since then")] | None = None


class Retried(msgspec.Struct):
    """How many are sent again, at once."""

    retried: Annotated[int, Meta(description="events, each at each of its endpoints")]
