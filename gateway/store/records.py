"""The columns of the ledger's tables and a fold's results as rows of them, in the same order. Pure."""

from __future__ import annotations

from typing import Any

from gateway.events import Batched, Came, Received, Submitted, Waiting
from gateway.ledger.rows import Matched, Note, Row
from gateway.message import id_tail, make_id
from gateway.store.copy_format import alike, packs, times, times_or_null
from gateway.store.recipients import recipient_digest, recipient_hash

Record = tuple[Any, ...]

# Where thousands of rows are written, a row is made of bytes at once. Its columns stand in two groups: first those that
# most rows have alike, encoded once for all of them, then each row's own. Before each column stands its length; times
# bring theirs with them.

_MESSAGE_ALIKE = {
    "batch_id": "uuid", "parts": "smallint", "test": "bool", "client": "text", "class": "text", "sender": "text",
    "encoding": "text", "state": "text", "tag": "text", "callback_url": "text", "key_id": "text",
    "country": "text",
}  # fmt: skip
_MESSAGE_OWN = (
    "id", "deadline", "send_at", "changed_at", "concat_ref", "recipient_hash", "recipient", "text", "ref", "meta",
    "traceparent",
)  # fmt: skip
ACCEPTED = (*_MESSAGE_ALIKE, *_MESSAGE_OWN)
"""Columns of a message of which nothing but its acceptance is known; the others have their defaults."""

_TOLD_ALIKE = {
    "reason": "text", "attempt": "smallint", "units": "smallint", "seq": "int", "carrier": "text", "operator": "text",
    "route": "text", "plan_version": "bigint", "price_micro": "bigint", "currency": "text", "cost_micro": "bigint",
    "accepted_mask": "bigint", "delivered_mask": "bigint", "undeliverable_mask": "bigint", "unsure_mask": "bigint",
    "earlier": "bytea",
}  # fmt: skip
MESSAGE = (*_MESSAGE_ALIKE, *_TOLD_ALIKE, *_MESSAGE_OWN, "routed_at", "submitted_at", "final_at")
"""Columns of any message."""

_accepted_alike = alike(tuple(_MESSAGE_ALIKE.values()), len(ACCEPTED))
_OWN = "{}s i{}s 12s {}s 12s ii i8s i{}s i{}s i{}s i{}s i{}s"
_accepted_packs = packs(_OWN)
_message_packs = packs(_OWN + "{}s {}s {}s")
_message_alike = alike(tuple((_MESSAGE_ALIKE | _TOLD_ALIKE).values()), len(MESSAGE))


def accepted(key: bytes, row: Row) -> bytes:
    """A new message by ACCEPTED; `key` is that of `recipient_hash`."""
    m = row.message
    assert m is not None
    same = _accepted_alike[
        m.batch_id or None, row.parts, m.test, m.client, m.klass, m.sender, m.encoding, row.state, m.tag,
        m.callback_url, m.key_id, row.country,
    ]  # fmt: skip
    to, text, ref, trace = m.to.encode(), m.text.encode(), m.ref.encode(), m.traceparent.encode()
    meta, send_at = m.meta, times_or_null[row.send_at_ms]
    id_, to_, text_, ref_, meta_, trace_ = len(row.id), len(to), len(text), len(ref), len(meta), len(trace)
    return _accepted_packs[len(same), id_, len(send_at), to_, text_, ref_, meta_, trace_](
        same, id_, row.id, times[row.deadline_ms], send_at, times[row.changed_ms], 4, m.concat_ref, 8,
        recipient_digest(key, to), to_, to, text_, text, ref_, ref, meta_, meta, trace_, trace,
    )  # fmt: skip


def message(key: bytes, row: Row) -> bytes:
    """A new message by MESSAGE."""
    m = row.message
    assert m is not None
    same = _message_alike[
        m.batch_id or None, row.parts, m.test, m.client, m.klass, m.sender, m.encoding, row.state, m.tag,
        m.callback_url, m.key_id, row.country, row.reason, row.attempt, row.units, row.seq, row.carrier, row.operator,
        row.route, row.plan_version, row.price_micro, row.currency, row.cost_micro, row.accepted, row.delivered,
        row.undeliverable, row.unsure, row.earlier,
    ]  # fmt: skip
    to, text, ref, trace = m.to.encode(), m.text.encode(), m.ref.encode(), m.traceparent.encode()
    meta, send_at = m.meta, times_or_null[row.send_at_ms]
    id_, to_, text_, ref_, meta_, trace_ = len(row.id), len(to), len(text), len(ref), len(meta), len(trace)
    routed, submitted, final = (
        times_or_null[row.routed_ms], times_or_null[row.submitted_ms], times_or_null[row.final_ms],
    )  # fmt: skip
    lengths = (len(same), id_, len(send_at), to_, text_, ref_, meta_, trace_, len(routed), len(submitted), len(final))
    return _message_packs[lengths](
        same, id_, row.id, times[row.deadline_ms], send_at, times[row.changed_ms], 4, m.concat_ref, 8,
        recipient_digest(key, to), to_, to, text_, text, ref_, ref, meta_, meta, trace_, trace,
        routed, submitted, final,
    )  # fmt: skip


_RECEIVED_ALIKE = {
    "state": "text", "reason": "text", "delivered_mask": "bigint", "undeliverable_mask": "bigint", "earlier": "bytea",
    "seq": "int", "rev": "int",
}  # fmt: skip
RECEIVED = _RECEIVED_ALIKE | {"id": "uuid", "final_at": "timestamptz", "changed_at": "timestamptz"}
"""What a receipt or an end changes in a row that is in the store; `id` and `rev` find it."""

_received_alike = alike(tuple(_RECEIVED_ALIKE.values()), len(RECEIVED))
_received_packs = packs("{}s i{}s {}s 12s")


def received(row: Row) -> bytes:
    """That, of one row."""
    same = _received_alike[
        row.state, row.reason, row.delivered, row.undeliverable, row.earlier, row.seq, row.rev
    ]  # fmt: skip
    one, final = row.id, times_or_null[row.final_ms]
    return _received_packs[len(same), len(one), len(final)](same, len(one), one, final, times[row.changed_ms])


_MOVED_ALIKE = _RECEIVED_ALIKE | {
    "attempt": "smallint", "parts": "smallint", "units": "smallint", "accepted_mask": "bigint",
    "unsure_mask": "bigint", "carrier": "text", "operator": "text", "route": "text", "plan_version": "bigint",
    "price_micro": "bigint", "currency": "text", "cost_micro": "bigint",
}  # fmt: skip
_MOVED_TIMES = ("final_at", "changed_at", "routed_at", "submitted_at")
MOVED = _MOVED_ALIKE | {"id": "uuid"} | dict.fromkeys(_MOVED_TIMES, "timestamptz")
"""What any other fact changes, but for `rescheduled`."""

_moved_alike = alike(tuple(_MOVED_ALIKE.values()), len(MOVED))
_moved_packs = packs("{}s i{}s {}s 12s {}s {}s")


def moved(row: Row) -> bytes:
    """That, of one row."""
    same = _moved_alike[
        row.state, row.reason, row.delivered, row.undeliverable, row.earlier, row.seq, row.rev, row.attempt, row.parts,
        row.units, row.accepted, row.unsure, row.carrier, row.operator, row.route, row.plan_version, row.price_micro,
        row.currency, row.cost_micro,
    ]  # fmt: skip
    one, final = row.id, times_or_null[row.final_ms]
    routed, submitted = times_or_null[row.routed_ms], times_or_null[row.submitted_ms]
    return _moved_packs[len(same), len(one), len(final), len(routed), len(submitted)](
        same, len(one), one, final, times[row.changed_ms], routed, submitted
    )


def rescheduled(row: Row) -> Record:
    """Id, send_at and deadline of a message that got another time."""
    return (row.id, row.send_at_ms or None, row.deadline_ms)


_SUBMISSION_ALIKE = {
    "price_micro": "bigint", "plan_version": "bigint", "attempt": "smallint", "part": "smallint", "parts": "smallint",
    "kind": "smallint", "late": "bool", "carrier": "text", "bind": "text", "reason": "text", "code": "text",
    "operator": "text", "currency": "text", "route": "text", "billed_on_delivery": "bool",
    "sender": "text", "record": "text",
}  # fmt: skip
SUBMISSION = _SUBMISSION_ALIKE | {
    "message_id": "uuid", "sent_at": "timestamptz", "answered_at": "timestamptz", "routed_at": "timestamptz",
    "echo": "int", "carrier_message_id": "text",
}  # fmt: skip

_submission_alike = alike(tuple(_SUBMISSION_ALIKE.values()), len(SUBMISSION))
_submission_packs = packs("{}s i{}s 12s 12s {}s ii i{}s")


def sent_ms(fact: Submitted, at_ms: int) -> int:
    """The time that decides its partition."""
    return fact.sent_ms or fact.answered_ms or at_ms


def submission(answer: tuple[int, Submitted]) -> bytes:
    """A carrier's answer, and when its entry was made."""
    at_ms, f = answer
    name = f.carrier_message_id.encode()
    same = _submission_alike[
        f.price_micro, f.plan_version, f.attempt, f.part, f.parts, f.kind, f.late, f.carrier, f.bind, f.reason, f.code,
        f.operator, f.currency, f.route, f.billed_on_delivery, f.sender, f.record,
    ]  # fmt: skip
    one, routed = f.id, times_or_null[f.routed_ms]
    return _submission_packs[len(same), len(one), len(routed), len(name)](
        same, len(one), one, times[f.sent_ms or f.answered_ms or at_ms], times[f.answered_ms or at_ms], routed, 4,
        f.echo, len(name), name,
    )  # fmt: skip


def repeated(answer: tuple[int, Submitted]) -> Record:
    """The same as values, for a statement that inserts it unless it is there."""
    at_ms, f = answer
    return (
        f.price_micro, f.plan_version, f.attempt, f.part, f.parts, f.kind, f.late, f.carrier, f.bind, f.reason, f.code,
        f.operator, f.currency, f.route, f.billed_on_delivery, f.sender, f.record, f.id, sent_ms(f, at_ms),
        f.answered_ms or at_ms, f.routed_ms or None, f.echo, f.carrier_message_id,
    )  # fmt: skip


_RECEIPT_ALIKE = {
    "attempt": "smallint", "part": "smallint", "carrier": "text", "bind": "text", "state": "text", "reason": "text",
    "code": "text", "sender": "text", "matched_by": "text",
}  # fmt: skip
RECEIPT = (*_RECEIPT_ALIKE, "message_id", "at", "done_at", "echo", "carrier_message_id", "recipient", "raw")

_receipt_alike = alike(tuple(_RECEIPT_ALIKE.values()), len(RECEIPT))
_receipt_packs = packs("{}s i{}s 12s {}s ii i{}s i{}s i{}s")
_FOUND_NOTHING: Matched = (b"", 0, 0, "", 0, "")


def receipt(matched: tuple[Received, Matched | None]) -> bytes:
    """A receipt with its submission; None: an orphan."""
    fact, found = matched
    r = fact.receipt
    message_id, attempt, part, by, _, _ = found or _FOUND_NOTHING
    name, recipient, raw = r.carrier_message_id.encode(), r.recipient.encode(), r.raw.encode()
    same = _receipt_alike[attempt, part, fact.carrier, r.bind, r.state, r.reason, r.code, r.sender, by]
    done = times_or_null[r.done_ms]
    return _receipt_packs[len(same), len(message_id), len(done), len(name), len(recipient), len(raw)](
        same, len(message_id) if found else -1, message_id, times[fact.at_ms], done, 4, r.echo, len(name), name,
        len(recipient), recipient, len(raw), raw,
    )  # fmt: skip


# The rest is seldom, and asyncpg encodes it.

WAITING_RECEIPT = (
    "at", "done_at", "next_try_at", "echo", "carrier", "carrier_message_id", "bind", "state", "reason", "code",
    "recipient", "sender", "raw", "whole",
)  # fmt: skip


def waiting_receipt(next_try_ms: int, fact: Received) -> Record:
    """A receipt whose submission is not known yet."""
    r = fact.receipt
    return (
        fact.at_ms, r.done_ms or None, next_try_ms, r.echo, fact.carrier, r.carrier_message_id, r.bind, r.state,
        r.reason, r.code, r.recipient, r.sender, r.raw, r.whole,
    )  # fmt: skip


INBOUND = (
    "id", "at", "sender_hash", "carrier", "bind", "sender", "recipient", "text", "segment_ref", "segment_total",
    "segment_number", "raw",
)  # fmt: skip


def inbound(key: bytes, fact: Came) -> Record:
    """A message from a subscriber."""
    i = fact.inbound
    segment = i.segment or (None, None, None)
    sender_hash = recipient_hash(key, i.sender if i.sender.startswith("+") else "+" + i.sender)
    row = (fact.at_ms, sender_hash, fact.carrier, i.bind, i.sender, i.recipient, i.text, *segment, i.raw)
    return (make_id(fact.at_ms, id_tail(0)), *row)


NOTE = ("message_id", "at", "event", "attempt", "state", "reason", "by", "until")


def note(n: Note) -> Record:
    """A line for the timeline."""
    return (n.message_id, n.at_ms, n.event, n.attempt, n.state, n.reason, n.by, n.until_ms or None)


WAITING = ("at", "place", "class", "client", "carrier", "why", "first_id", "last_id", "count", "until")


def waiting(seen: tuple[int, Waiting]) -> Record:
    """What waited in one lane, and when it was looked at."""
    at_ms, f = seen
    return (at_ms, f.where, f.klass, f.client, f.carrier, f.why, f.first, f.last, f.count, f.until_ms or None)


def batch(made: tuple[int, Batched]) -> Record:
    """A batch, and when it was accepted."""
    at_ms, b = made
    return (b.id, at_ms, b.client, b.accepted, b.duplicates, b.rejected)
