"""The message: what an application asked for, as it travels through Redis and comes to rest in PostgreSQL.

In: validated fields from the API. Out: `Message` (the request) and `Journey` (what routing added), each as bytes that
start with a version byte. Never: I/O, clocks, validation of what a user typed.
"""

from __future__ import annotations

import os
import uuid
from enum import StrEnum
from typing import Final

import msgspec

CLASSES: Final = ("otp", "alert", "transactional", "marketing")
"""Message classes from the most to the least urgent."""

RESEND_CLASSES: Final = frozenset({"otp", "alert"})
"""Classes whose uncertain submissions are sent again; the others are held as `unknown`."""

MAX_SHARDS: Final = 1024
VERSION: Final = b"\x01"


class State(StrEnum):
    """Where a message stands. A message ends in exactly one of `FINAL`."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    ROUTED = "routed"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


FINAL: Final = frozenset(
    {State.DELIVERED, State.UNDELIVERABLE, State.REJECTED, State.FAILED, State.EXPIRED, State.CANCELLED}
)


class Treatment(StrEnum):
    """What may be done to a text on its way to a carrier; each includes those before it. See text/treatment.py."""

    NONE = ""
    TYPOGRAPHY = "typography"
    TRANSLITERATION = "transliteration"


class Message(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One SMS as accepted. Fields grow only at the end, with defaults: stored values of older releases stay decodable.

    Times are milliseconds since the epoch by the clock of Redis. The accept time is not here: it is in the id.
    """

    client: str
    klass: str
    to: str  # E.164 with the leading +
    sender: str
    text: str
    encoding: str  # "gsm7" or "ucs2"
    parts: int
    validity_s: int
    send_at_ms: int = 0  # 0: at once
    ref: str = ""
    tag: str = ""
    meta: bytes = b""  # JSON, at most 1 KB, only echoed
    callback_url: str = ""
    batch_id: bytes = b""  # 16 bytes, or empty
    concat_ref: int = 0  # 16 bits, fixed at accept; 8-bit headers use the low byte
    key_id: str = ""
    test: bool = False
    traceparent: str = ""

    def deadline_ms(self, message_id: bytes) -> int:
        """When the message is worth nothing any more: validity counted from `send_at`, else from accept."""
        return max(id_time_ms(message_id), self.send_at_ms) + self.validity_s * 1000


class Try(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One attempt that is over: which carrier, and why it did not work (a `Reason` value)."""

    carrier: str
    reason: str


class Journey(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What routing decided for the attempt under way, and what was tried before. Travels beside the message."""

    attempt: int  # 1 for the first
    carrier: str
    operator: str
    price_micro: int  # one part, millionths of `currency`
    currency: str
    plan_version: int
    route: str
    routed_ms: int
    owed: tuple[int, ...] = ()  # parts still to submit, from 1; empty: all of them
    tried: tuple[Try, ...] = ()  # oldest first
    throttled: int = 0  # times this attempt came back unsent from this carrier
    pinned: bool = False  # a part was accepted: the rest stay with this carrier
    treatment: str = ""  # a Treatment, as the route has it: owed parts are numbers of the treated text
    place: int = 0  # of the limit in whose queue it has its place (plan.limits.Count.mark); 0: none
    billed_on_delivery: bool = False  # the carrier asks money for what arrives, not for what it takes
    sender: str = ""  # replaces the message's own, where the route says so
    record: str = ""  # why this carrier, see plan/record.py


_encode = msgspec.msgpack.Encoder().encode
_message = msgspec.msgpack.Decoder(Message).decode
_journey = msgspec.msgpack.Decoder(Journey).decode


class UnknownVersionError(ValueError):
    """A stored value has a version byte that this release does not know."""


class NotTextError(msgspec.DecodeError):
    """A stored text is not UTF-8; msgspec itself raises UnicodeDecodeError, which is no DecodeError."""


def pack_message(message: Message) -> bytes:
    """Version byte and msgpack array."""
    return VERSION + _encode(message)


def unpack_message(data: bytes, at: int = 0) -> Message:
    """Inverse of `pack_message`, from place `at` on. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[at : at + 1] != VERSION:
        raise UnknownVersionError(f"message value has version {data[at : at + 1]!r}, this release reads {VERSION!r}")
    try:
        return _message(data[at + 1 :])  # for so few bytes a copy is cheaper than a view
    except UnicodeDecodeError as e:
        raise NotTextError(str(e)) from e


def pack_journey(journey: Journey) -> bytes:
    """Version byte and msgpack array."""
    return VERSION + _encode(journey)


def unpack_journey(data: bytes) -> Journey:
    """Inverse of `pack_journey`. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"journey value has version {data[:1]!r}, this release reads {VERSION!r}")
    try:
        return _journey(data[1:])
    except UnicodeDecodeError as e:
        raise NotTextError(str(e)) from e


# An id is a UUIDv7 (RFC 9562, section 5.7):  | unix ms: 48 | 7: 4 | shard: 10, random: 2 | 10: 2, random: 62 |
# The 48 bits of time come from Redis inside the accept script; `id_tail` makes the other ten bytes.


def id_tail(shard: int, random: bytes | None = None) -> bytes:
    """The ten bytes of an id after its time, from 9 random bytes (64 bits of them are used)."""
    r = random or os.urandom(9)
    return _SHARD_BYTES[shard << 2 | r[8] & 3] + _VARIANT_BYTES[r[0]] + r[1:8]


_SHARD_BYTES: Final = tuple((0x7000 | n).to_bytes(2, "big") for n in range(MAX_SHARDS * 4))
_VARIANT_BYTES: Final = tuple(bytes((0x80 | n & 0x3F,)) for n in range(256))


def make_id(time_ms: int, tail: bytes) -> bytes:
    """A whole id of 16 bytes."""
    return time_ms.to_bytes(6, "big") + tail


def id_time_ms(message_id: bytes) -> int:
    """When the message was accepted: ms since the epoch."""
    return int.from_bytes(message_id[:6], "big")


def id_shard(message_id: bytes) -> int:
    """The shard that holds the message's keys, 0 to 1023."""
    return (message_id[6] << 8 | message_id[7]) >> 2 & 0x3FF


def id_text(message_id: bytes) -> str:
    """The id as applications see it: 36 characters, lower case."""
    h = message_id.hex("-", 2)  # seven dashes; three of them are too many
    return f"{h[:4]}{h[5:29]}{h[30:34]}{h[35:]}"


def id_bytes(text: str) -> bytes:
    """Inverse of `id_text`. Raises ValueError for anything but a UUID."""
    return uuid.UUID(text).bytes
