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
]
MAX_OVERLAP_S = 30 * 86_400

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
            int, Meta(ge=10, le=86_400, description="a temporary endpoint: it goes away unless this is given again")
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
        Annotated[int, Meta(ge=10, le=86_400, description="of a temporary endpoint: from now")] | UnsetType
    ) = UNSET


class EndpointView(msgspec.Struct, kw_only=True):
    """An endpoint as it stands."""

    id: str
    url: str
    events: Sequence[EventType]
    bundle: bool
    description: str
    enabled: bool
    disabled_at: datetime | None
    disabled_why: Annotated[str | None, Meta(description="empty unless we disabled it, as after 410 Gone")]
    failing_since: Annotated[datetime | None, Meta(description="it rests between tries since then")]
    last_error: str | None
    created_at: datetime
    changed_at: datetime
    expires_at: datetime | None


class EndpointViews(msgspec.Struct):
    """A client's endpoints, oldest first."""

    endpoints: Sequence[EndpointView]


class EndpointMade(msgspec.Struct):
    """A new endpoint. Its secret cannot be read again, only rotated."""

    endpoint: EndpointView
    secret: Secret


class Rotate(msgspec.Struct, forbid_unknown_fields=True):
    """How long the secret before goes on signing beside the new one."""

    overlap_s: Overlap = 86_400


class SecretMade(msgspec.Struct):
    """The secret that signs, and until when the one before signs as well."""

    secret: Secret
    former_until: datetime | None


class EndpointRemoved(msgspec.Struct):
    """It gets nothing any more."""

    id: str
    removed: Literal[True] = True


class Sample(msgspec.Struct, forbid_unknown_fields=True):
    """Which event to send as a sample."""

    type: EventType = "message.delivered"


class SampleTo(msgspec.Struct, forbid_unknown_fields=True):
    """Which event to send as a sample, and where to."""

    url: Url
    type: EventType = "message.delivered"


class SampleSent(msgspec.Struct):
    """The sample is on its way; `GET /v1/callbacks?event_id=…` tells what became of it."""

    event_id: str


class CallbackView(msgspec.Struct, kw_only=True):
    """An event at one of its targets, once it was tried."""

    event_id: Annotated[str, Meta(description="also in webhook-id and in the body: the same over all tries")]
    type: EventType
    seq: int
    message_id: str
    endpoint: Annotated[str | None, Meta(description="null: it went to the message's callback_url")]
    client: str
    host: Annotated[str, Meta(description="where it went to; the whole URL is the endpoint's")]
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    status: Annotated[int | None, Meta(description="of the last answer; null: there was none")]
    error: str | None
    at: datetime
    next_try_at: datetime | None
    done_at: datetime | None


class CallbackPage(msgspec.Struct):
    """Callbacks that were tried, those of the newest messages first; `untried` counts what waits for its first try."""

    callbacks: Sequence[CallbackView]
    untried: int
    next: str | None


class Retry(msgspec.Struct, forbid_unknown_fields=True):
    """What to send again: one event, those of one message, or all that failed at an endpoint or since a time."""

    event_id: Annotated[str, Meta(max_length=64)] | None = None
    message_id: Annotated[str, Meta(max_length=64)] | None = None
    endpoint: Annotated[str, Meta(max_length=64, description="what failed there")] | None = None
    since: Annotated[datetime, Meta(tz=True, description="what failed since then")] | None = None


class Retried(msgspec.Struct):
    """How many are sent again, at once."""

    retried: int
