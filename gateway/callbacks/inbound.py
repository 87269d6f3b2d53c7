"""What an application is told of a subscriber's message: the `data` of the event `message.inbound`. Pure.

In: the message and what it replies to. Out: JSON text that stays the same over every try.
"""

from __future__ import annotations

import msgspec

from gateway.callbacks.event import INBOUND, event_id, timestamp
from gateway.message import id_text


class ReplyTo(msgspec.Struct, frozen=True):
    """The last message that the client sent to this subscriber."""

    id: str
    ref: str | None
    tag: str | None


class _Data(msgspec.Struct, rename={"from_": "from"}):
    event_id: str
    seq: int
    id: str
    ref: None
    state: str
    reason: None
    tag: None
    meta: None  # up to here as in every event
    from_: str
    to: str
    text: str
    carrier: str
    received_at: str
    parts: int
    missing: int
    reply_to: ReplyTo | None
    test: bool | msgspec.UnsetType = msgspec.UNSET  # only where it is true


def data(
    inbound_id: bytes,
    at_ms: int,
    carrier: str,
    addresses: tuple[str, str],
    text: str,
    parts: int = 1,
    missing: int = 0,
    reply_to: ReplyTo | None = None,
    test: bool = False,
) -> str:
    """`addresses`: the subscriber's and ours."""
    sender, recipient = addresses
    made = _Data(
        event_id(inbound_id, 1),
        1,
        id_text(inbound_id),
        None,
        INBOUND,
        None,
        None,
        None,
        sender,
        recipient,
        text,
        carrier,
        timestamp(at_ms),
        parts,
        missing,
        reply_to,
        test or msgspec.UNSET,
    )
    return msgspec.json.encode(made).decode()
