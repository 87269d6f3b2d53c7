"""Facts that the recorder writes down, and how they are packed into entries of `{s}:events`.

One script makes one entry, however many facts. Entry fields, in order:
    r <run id>                         the Redis server that took the entry
    P <pack>                           messages accepted (streams/packs.py); any number of times
    A "" <id 16 B> <message value> …   messages accepted for later (the values of `message.pack_message`)
    F <blob>                           other facts: version byte and a msgpack list of `Fact`
The time of the facts is the entry's own id (ms of Redis' clock) unless a fact carries its own. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.message import VERSION, NotTextError, UnknownVersionError
from gateway.provider import Inbound, Receipt

RUN: Final = b"r"
PACK: Final = b"P"
ACCEPTED: Final = b"A"
FACTS: Final = b"F"


class Fact(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A fact; the tag is the first element of its array."""


class Submitted(Fact, frozen=True, gc=False, tag="s"):
    """A carrier's answer to one submission: the ledger row (message, attempt, part). `kind` is a provider.Kind.

    An `uncertain` (3) one may be followed by another with the same key and `late` set, which heals it.
    Several parts of one message are several facts.
    """

    id: bytes
    attempt: int
    part: int
    parts: int
    carrier: str
    bind: str
    kind: int
    reason: str
    code: str
    carrier_message_id: str
    operator: str
    price_micro: int
    currency: str
    plan_version: int
    route: str
    routed_ms: int
    sent_ms: int
    answered_ms: int
    echo: int
    late: bool = False
    treatment: str = ""  # what was done to the text, a message.Treatment
    billed_on_delivery: bool = False  # what it costs is booked when a receipt says delivered
    sender: str = ""  # what the message's own was replaced by
    record: str = ""  # why this carrier, see plan/record.py; with the first part only

    @property
    def due_micro(self) -> int:
        """What is to be booked when it is delivered."""
        return self.price_micro * (1 if self.part else self.parts) if self.billed_on_delivery else 0


class Ended(Fact, frozen=True, gc=False, tag="e"):
    """We ended the message: `state` is failed, rejected, expired or cancelled; `attempt` 0 when none was made."""

    id: bytes
    state: str
    reason: str
    attempt: int = 0
    by: str = ""


BY_CARRIER: Final = "carrier"
"""`Ended.by` of a message that its carrier has taken back."""


class Held(Fact, frozen=True, gc=False, tag="h"):
    """An uncertain message of a `hold` class: state `unknown`, not sent again. `reason` says what was lost."""

    id: bytes
    attempt: int
    reason: str


class Received(Fact, frozen=True, gc=False, tag="r"):
    """A receipt from a carrier, kept even when nothing matches."""

    carrier: str
    at_ms: int  # when it reached us
    receipt: Receipt


class Came(Fact, frozen=True, gc=False, tag="i"):
    """An inbound message from a subscriber."""

    carrier: str
    at_ms: int
    inbound: Inbound


class Waiting(Fact, frozen=True, gc=False, tag="w"):
    """What waited over 5 s in one lane when looked at: open messages with ids from `first` to `last`.

    where: intake, outbox or later; why: a Reason value or paused, rate, window, no_bind; until_ms 0: not known.
    """

    where: str
    klass: str
    client: str
    carrier: str
    why: str
    first: bytes
    last: bytes
    count: int
    until_ms: int = 0


class Batched(Fact, frozen=True, gc=False, tag="b"):
    """A batch was accepted; its messages name it."""

    id: bytes
    client: str
    accepted: int
    duplicates: int
    rejected: int


class Rescheduled(Fact, frozen=True, gc=False, tag="t"):
    """A scheduled message got another time."""

    id: bytes
    send_at_ms: int


class Parked(Fact, frozen=True, gc=False, tag="p"):
    """A message went to `later` after an attempt: tried again at `until_ms`."""

    id: bytes
    attempt: int
    reason: str
    until_ms: int


AnyFact = Submitted | Ended | Held | Received | Came | Waiting | Batched | Rescheduled | Parked

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[AnyFact]).decode


def pack_facts(facts: Sequence[AnyFact]) -> bytes:
    """The blob of an entry's F field."""
    return VERSION + _encode(facts)


def unpack_facts(data: bytes) -> list[AnyFact]:
    """Inverse of `pack_facts`. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"event value has version {data[:1]!r}, this release reads {VERSION!r}")
    try:
        return _decode(memoryview(data)[1:])
    except UnicodeDecodeError as e:
        raise NotTextError(str(e)) from e
