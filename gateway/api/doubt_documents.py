"""The JSON documents of what failed and of what nobody can place, requests and answers, as types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.api.documents import ClassName, StateName
from gateway.retries import MOST, STATES

MessageId = Annotated[str, Meta(description="the message's id", examples=["0199c1a2-7a3e-7c11-8f00-5a1d2e3f4a5b"])]
_Carrier = Annotated[str, Meta(description="the carrier", examples=["north"])]


class RetryFailed(msgspec.Struct, forbid_unknown_fields=True, rename={"klass": "class"}):
    """Which failed messages are to be sent again. Test messages never are."""

    reason: Annotated[str, Meta(min_length=1, max_length=60, description="why they failed", examples=["no_carrier"])]
    since: Annotated[datetime, Meta(tz=True, description="accepted then or later", examples=["2030-01-31T06:00:00Z"])]
    until: Annotated[datetime | None, Meta(description="accepted before; null: now")] = None
    states: Annotated[
        Sequence[Literal["failed", "rejected", "undeliverable", "expired"]],
        Meta(description="where they stand"),
    ] = STATES
    client: Annotated[str | None, Meta(description="only this client's; null: everybody's")] = None
    klass: Annotated[ClassName | None, Meta(description="only this class; null: every class")] = None
    limit: Annotated[int, Meta(ge=1, le=MOST, description="at most so many, the oldest first")] = MOST
    dry_run: Annotated[bool, Meta(description="true: only count them")] = False


class Retried(msgspec.Struct):
    """A message that was sent again."""

    first: MessageId
    id: Annotated[str, Meta(description="the new message", examples=["0199c1a2-9b00-7c11-8f00-5a1d2e3f4a5b"])]


class RetriedPage(msgspec.Struct):
    """What was sent again."""

    found: Annotated[int, Meta(description="how many of this request there are, or were")]
    retried: Annotated[Sequence[Retried], Meta(description="oldest first; empty for a dry run")]
    more: Annotated[bool, Meta(description="true: there may be more; repeat the request")]


class OrphanView(msgspec.Struct):
    """A receipt that no submission was found for."""

    at: Annotated[datetime, Meta(description="when it came")]
    carrier: _Carrier
    carrier_message_id: Annotated[str, Meta(description="the carrier's id, as it came", examples=["812FC747"])]
    state: Annotated[str, Meta(description="what it says", examples=["delivered"])]
    reason: Annotated[str, Meta(description="why, as a stable word")]
    code: Annotated[str, Meta(description="the carrier's code", examples=["000"])]
    to: Annotated[str, Meta(description="the recipient as it came; its middle is hidden without the scope `privacy`")]
    sender: Annotated[str, Meta(description="the sender as it came")] = msgspec.field(name="from")
    waiting: Annotated[bool, Meta(description="true: it is still being tried; false: given up after three days")]


class Orphans(msgspec.Struct):
    """Receipts that no submission was found for."""

    orphans: Annotated[Sequence[OrphanView], Meta(description="newest first")]


class UncertainView(msgspec.Struct, rename={"klass": "class"}):
    """A submission of which nobody knows whether the carrier took it."""

    id: MessageId
    attempt: Annotated[int, Meta(description="which attempt of the message", examples=[1])]
    part: Annotated[int, Meta(description="which part; 0: the whole", examples=[1])]
    sent_at: Annotated[datetime, Meta(description="when it went out")]
    carrier: _Carrier
    reason: Annotated[str, Meta(description="what was lost", examples=["no_answer"])]
    client: Annotated[str, Meta(description="whose message it is", examples=["shop"])]
    klass: ClassName
    state: Annotated[StateName, Meta(description="where the message stands")]


class UncertainOnes(msgspec.Struct):
    """Submissions of which nobody knows whether the carrier took them."""

    uncertain: Annotated[Sequence[UncertainView], Meta(description="newest first")]
