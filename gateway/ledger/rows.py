"""A message's row as the fold sees it, and everything that one fold wants written.

`Row` holds what changes and what roll-ups and callbacks need of the rest; the text stays out of it once it is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from gateway.callbacks.audience import Target
from gateway.callbacks.event import Event
from gateway.countries import country_of
from gateway.deliveries import Delta
from gateway.events import AnyFact, Batched, Came, Received, Submitted, Waiting
from gateway.latencies import Slots
from gateway.message import Message, State, id_shard, id_time_ms

MINUTE_MS = 60_000
_ACCEPTED, _SCHEDULED, _DELIVERED = State.ACCEPTED, State.SCHEDULED, State.DELIVERED
_slots = Slots()


class Attempt(msgspec.Struct, array_like=True, gc=False):
    """One attempt's units as bit masks; bit 0 is part 1, or the whole. `units` 0: not known yet."""

    number: int
    units: int = 0
    accepted: int = 0
    unsure: int = 0
    delivered: int = 0
    undeliverable: int = 0
    cost_micro: int = 0
    currency: str = ""


Bucket = tuple[int, int, str, str, str, str, str, str, str]
"""Where a message counts: minute (ms), shard, client, class, carrier, operator, state, tag, currency."""

Cell = tuple[int, int, str, str, str, str, str, str, str, str, str | None, str]
"""The same with sender, country (None: a release that knew none accepted it, see Row.country) and reason."""


class Row(msgspec.Struct, gc=False):
    """One message. With a `message` PostgreSQL has no row yet, and that is what to insert."""

    id: bytes
    rev: int
    client: str
    klass: str
    tag: str
    callback_url: str
    test: bool
    parts: int
    send_at_ms: int
    deadline_ms: int
    sender: str
    country: str | None
    """Of the number; None: an older release accepted it, and the slices of statistics do not have it."""
    state: str
    reason: str = ""
    attempt: int = 0
    carrier: str = ""
    operator: str = ""
    route: str = ""
    plan_version: int = 0
    price_micro: int = 0
    currency: str = ""
    cost_micro: int = 0
    units: int = 0
    accepted: int = 0
    unsure: int = 0
    delivered: int = 0
    undeliverable: int = 0
    earlier: bytes = b""  # attempts before the current one, see judge.attempts
    routed_ms: int = 0
    submitted_ms: int = 0
    final_ms: int = 0
    changed_ms: int = 0
    seq: int = 0
    ref: str | None = None  # with `meta`, what its events echo; None: nobody was to be told when it was accepted
    meta: str = ""
    bucket: Cell | None = None  # where the roll-ups have it, with parts, cost and latencies; None: nowhere
    booked_parts: int = 0
    booked_cost: int = 0
    booked_took: int = 0
    message: Message | None = None
    fold: int = 0  # the number of the last one that changed it, see Recent
    moved: int = 0  # of the last one that changed more than what a receipt changes
    told: bool = False  # when it was inserted, more was known of it than its acceptance


def cell_of(row: Row) -> Cell:
    """Where it counts now."""
    minute_ms = id_time_ms(row.id) // MINUTE_MS * MINUTE_MS
    shard = id_shard(row.id)
    return (
        minute_ms, shard, row.client, row.klass, row.carrier, row.operator, row.state, row.tag, row.currency,
        row.sender, row.country, row.reason,
    )  # fmt: skip


def bucket_of(row: Row) -> Bucket:
    """The same for the roll-ups by minute and hour."""
    return cell_of(row)[:9]


def took(row: Row) -> int:
    """In which buckets of latencies it counts: 128 times that from accept, or send_at, to submit, plus that from submit
    to delivery; each plus 1, and 0 for none."""
    sent_ms = row.submitted_ms
    if not sent_ms:
        return 0
    begin_ms = int.from_bytes(row.id[:6], "big")
    if row.send_at_ms > begin_ms:
        begin_ms = row.send_at_ms
    if row.state == _DELIVERED:
        return (_slots[sent_ms - begin_ms] + 1 << 7) + _slots[row.final_ms - sent_ms] + 1
    return _slots[sent_ms - begin_ms] + 1 << 7


class Places(dict[bytes, int]):
    """`places[id[:8]]`: the minute and the shard of an id as one number, see `place`. Messages of a batch share few."""

    def __missing__(self, head: bytes) -> int:
        found = self[head] = id_time_ms(head) // MINUTE_MS << 10 | id_shard(head)
        return found


def place(number: int) -> tuple[int, int]:
    """Minute (ms) and shard."""
    return (number >> 10) * MINUTE_MS, number & 0x3FF


def new_row(message_id: bytes, message: Message, fold: int = 1) -> Row:
    """The row of a message that was just accepted."""
    accepted_ms = begin_ms = int.from_bytes(message_id[:6], "big")
    if message.send_at_ms > accepted_ms:
        begin_ms = message.send_at_ms
    return Row(
        message_id,
        1,
        message.client,
        message.klass,
        message.tag,
        message.callback_url,
        message.test,
        message.parts,
        message.send_at_ms,
        begin_ms + message.validity_s * 1000,
        message.sender,
        country_of(message.to),
        _SCHEDULED if begin_ms > accepted_ms else _ACCEPTED,
        changed_ms=accepted_ms,
        message=message,
        fold=fold,
    )


Matched = tuple[bytes, int, int, str, int, str]
"""The submission that a receipt found: message id, attempt, part, how it was found, and what is to be booked when it is
delivered: millionths (0 where the carrier bills what it takes) and their currency."""

EVERY_PART: Final = -1
"""As the part of a `Matched`: the carrier gave all parts of the message one id, so that a receipt speaks for all."""


class Note(NamedTuple):
    """A line for the timeline that is no submission and no receipt."""

    message_id: bytes
    at_ms: int
    event: str
    attempt: int = 0
    state: str = ""
    reason: str = ""
    by: str = ""
    until_ms: int = 0


class CallbackDue(NamedTuple):
    """An application is to hear of a change, at one of its targets."""

    target: Target
    event: Event


class Stray(NamedTuple):
    """A fact about a message that nobody knows."""

    at_ms: int
    message_id: bytes
    fact: AnyFact


@dataclass
class Changes:
    """What one fold wants written, in one transaction."""

    fold: int = 1  # its number
    fresh: list[Row] = field(default_factory=list)  # to insert
    changed: list[Row] = field(default_factory=list)  # in the store as `rev`, each once
    submissions: list[tuple[int, Submitted]] = field(default_factory=list)
    repeated: list[tuple[int, Submitted]] = field(default_factory=list)  # insert unless the row is there
    healed: list[Submitted] = field(default_factory=list)  # the uncertain rows they heal are in the store
    receipts: list[tuple[Received, Matched | None]] = field(default_factory=list)
    unmatched: list[Received] = field(default_factory=list)
    inbound: list[Came] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    waiting: list[tuple[int, Waiting]] = field(default_factory=list)
    batches: list[tuple[int, Batched]] = field(default_factory=list)
    rescheduled: list[Row] = field(default_factory=list)
    callbacks: list[CallbackDue] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)
    deliveries: Delta = field(default_factory=dict)  # counts that grow
    finals: list[str] = field(default_factory=list)  # final states that messages came into, to be counted
