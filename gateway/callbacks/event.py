"""What an application is told of a message: the event's id, its type, its JSON, and events as the outbox keeps them.

In: a change of a message's state. Out: bytes that stay the same over every try. Pure.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.message import FINAL, VERSION, State, UnknownVersionError, id_text

MAX_BUNDLE: Final = 500
"""Events in one request to an endpoint that asks for bundles."""

INBOUND: Final = "inbound"
"""The state of a subscriber's message: its event's `meta` is the whole of its data."""

TYPES: Final = (
    *(f"message.{state}" for state in State if state in FINAL or state in ("submitted", "unknown")),
    f"message.{INBOUND}",
)
"""Every type of event, in the order of a message's life."""

DEFAULT_TYPES: Final = tuple(f"message.{state}" for state in State if state in FINAL)
"""What an endpoint gets when it does not choose, and what a `callback_url` gets."""


class Event(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One change of one message's state. Fields grow only at the end, with defaults.

    `seq` counts a message's events; `url` is the message's own callback URL, empty for an endpoint. `test`: sent with a
    test key.
    """

    id: bytes
    seq: int
    at_ms: int
    state: str
    reason: str = ""
    ref: str = ""
    tag: str = ""
    meta: str = ""
    url: str = ""
    test: bool = False


class _Data(msgspec.Struct, gc=False):
    event_id: str
    seq: int
    id: str
    ref: str | None
    state: str
    reason: str | None
    tag: str | None
    meta: msgspec.Raw | None
    test: bool | msgspec.UnsetType = msgspec.UNSET  # only where it is true


class _Body(msgspec.Struct, gc=False):
    type: str
    timestamp: str
    data: _Data


class _InboundBody(msgspec.Struct, gc=False):
    type: str
    timestamp: str
    data: msgspec.Raw


_json = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Event]).decode


def event_id(message_id: bytes, seq: int) -> str:
    """The id of an event, the same over all tries and endpoints: what applications tell repeats by."""
    return f"evt_{message_id.hex()}_{seq}"


def parse_event_id(text: str) -> tuple[bytes, int] | None:
    """Inverse of `event_id`; None for anything else."""
    prefix, _, rest = text.partition("_")
    digits, _, seq = rest.partition("_")
    if prefix != "evt" or len(digits) != 32 or not (seq.isascii() and seq.isdigit() and len(seq) < 10):
        return None
    try:
        return bytes.fromhex(digits), int(seq)
    except ValueError:
        return None


def document(event: Event) -> bytes:
    """The event as JSON: a whole body, or an element of a bundle."""
    if event.state == INBOUND:
        kind, at = "message." + INBOUND, timestamp(event.at_ms)
        return _json(_InboundBody(kind, at, msgspec.Raw(event.meta.encode())))
    message_id = id_text(event.id)
    data = _Data(
        event_id(event.id, event.seq),
        event.seq,
        message_id,
        event.ref or None,
        event.state,
        event.reason or None,
        event.tag or None,
        msgspec.Raw(event.meta.encode()) if event.meta else None,
        event.test or msgspec.UNSET,
    )
    return _json(_Body("message." + event.state, timestamp(event.at_ms), data))


def bundle(events: Sequence[Event]) -> tuple[str, bytes]:
    """The id and the body of several events in one request; the id follows from the events alone, in any order."""
    keys = sorted([b"%b%d;" % (event.id, event.seq) for event in events])
    digest = hashlib.sha256(b"".join(keys)).hexdigest()
    return f"bdl_{digest[:32]}", b"[" + b",".join(map(document, events)) + b"]"


_second = (0, "")


def timestamp(at_ms: int) -> str:
    """ms since the epoch as RFC 3339 in UTC."""
    global _second
    second, ms = divmod(at_ms, 1000)
    known, text = _second  # most events of a batch share their second
    if second != known:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _second = (second, text)
    return f"{text}.{ms:03d}Z"


def pack(events: Sequence[Event]) -> bytes:
    """Version byte and a msgpack list."""
    return VERSION + _pack(events)


def unpack(data: bytes) -> list[Event]:
    """Inverse of `pack`. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"events have version {data[:1]!r}, this release reads {VERSION!r}")
    return _unpack(memoryview(data)[1:])
