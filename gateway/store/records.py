"""The columns of the ledger's tables and a fold's results as records of them, in the same order. Pure."""

from __future__ import annotations

from typing import Any

from gateway.events import Came, Received, Submitted, Waiting
from gateway.ledger.rows import Matched, Note, Row
from gateway.store.recipients import recipient_hash

Record = tuple[Any, ...]

MESSAGE = (
    "id", "batch_id", "deadline", "send_at", "changed_at", "routed_at", "submitted_at", "final_at", "plan_version",
    "price_micro", "cost_micro", "accepted_mask", "delivered_mask", "undeliverable_mask", "unsure_mask", "rev", "seq",
    "concat_ref", "parts", "attempt", "units", "test", "recipient_hash", "earlier", "client", "class", "recipient",
    "sender", "text", "encoding", "state", "reason", "ref", "tag", "meta", "callback_url", "key_id", "traceparent",
    "carrier", "operator", "route", "currency",
)  # fmt: skip


def message(key: bytes, row: Row) -> Record:
    """A new message; `key` is that of `recipient_hash`."""
    m = row.message
    assert m is not None
    return (
        row.id, m.batch_id or None, row.deadline_ms, row.send_at_ms or None, row.changed_ms, row.routed_ms or None,
        row.submitted_ms or None, row.final_ms or None, row.plan_version, row.price_micro, row.cost_micro, row.accepted,
        row.delivered, row.undeliverable, row.unsure, 1, row.seq, m.concat_ref, row.parts, row.attempt, row.units,
        m.test, recipient_hash(key, m.to), row.earlier, m.client, m.klass, m.to, m.sender, m.text, m.encoding,
        row.state, row.reason, m.ref, m.tag, m.meta.decode(), m.callback_url, m.key_id, m.traceparent, row.carrier,
        row.operator, row.route, row.currency,
    )  # fmt: skip


RECEIVED = {
    "id": "uuid", "rev": "int", "state": "text", "reason": "text", "delivered_mask": "bigint",
    "undeliverable_mask": "bigint", "earlier": "bytea", "final_at": "timestamptz", "changed_at": "timestamptz",
    "seq": "int",
}  # fmt: skip
"""What a receipt or an end changes in a row that is in the store; `id` and `rev` find it."""


def received(row: Row) -> Record:
    """That, of one row."""
    return (
        row.id, row.rev, row.state, row.reason, row.delivered, row.undeliverable, row.earlier, row.final_ms or None,
        row.changed_ms, row.seq,
    )  # fmt: skip


MOVED = RECEIVED | {
    "attempt": "smallint", "parts": "smallint", "units": "smallint", "accepted_mask": "bigint",
    "unsure_mask": "bigint", "carrier": "text", "operator": "text", "route": "text", "plan_version": "bigint",
    "price_micro": "bigint", "currency": "text", "cost_micro": "bigint", "send_at": "timestamptz",
    "deadline": "timestamptz", "routed_at": "timestamptz", "submitted_at": "timestamptz",
}  # fmt: skip
"""What any other fact changes."""


def moved(row: Row) -> Record:
    """That, of one row."""
    return (
        row.id, row.rev, row.state, row.reason, row.delivered, row.undeliverable, row.earlier, row.final_ms or None,
        row.changed_ms, row.seq, row.attempt, row.parts, row.units, row.accepted, row.unsure, row.carrier, row.operator,
        row.route, row.plan_version, row.price_micro, row.currency, row.cost_micro, row.send_at_ms or None,
        row.deadline_ms, row.routed_ms or None, row.submitted_ms or None,
    )  # fmt: skip


SUBMISSION = {
    "message_id": "uuid", "sent_at": "timestamptz", "answered_at": "timestamptz", "routed_at": "timestamptz",
    "price_micro": "bigint", "plan_version": "bigint", "echo": "int", "attempt": "smallint", "part": "smallint",
    "parts": "smallint", "kind": "smallint", "late": "bool", "carrier": "text", "carrier_message_id": "text",
    "bind": "text", "reason": "text", "code": "text", "operator": "text", "currency": "text", "route": "text",
}  # fmt: skip


def sent_ms(fact: Submitted, at_ms: int) -> int:
    """The time that decides its partition."""
    return fact.sent_ms or fact.answered_ms or at_ms


def submission(answer: tuple[int, Submitted]) -> Record:
    """A carrier's answer, and when its entry was made."""
    at_ms, f = answer
    return (
        f.id, f.sent_ms or f.answered_ms or at_ms, f.answered_ms or at_ms, f.routed_ms or None, f.price_micro,
        f.plan_version, f.echo, f.attempt, f.part, f.parts, f.kind, f.late, f.carrier, f.carrier_message_id, f.bind,
        f.reason, f.code, f.operator, f.currency, f.route,
    )  # fmt: skip


RECEIPT = (
    "message_id", "at", "done_at", "echo", "attempt", "part", "carrier", "carrier_message_id", "bind", "state",
    "reason", "code", "recipient", "sender", "raw", "matched_by",
)  # fmt: skip


def receipt(matched: tuple[Received, Matched | None]) -> Record:
    """A receipt with its submission; None: an orphan."""
    fact, found = matched
    r = fact.receipt
    message_id, attempt, part, by = found or (None, 0, 0, "")
    return (
        message_id, fact.at_ms, r.done_ms or None, r.echo, attempt, part, fact.carrier, r.carrier_message_id, r.bind,
        r.state, r.reason, r.code, r.recipient, r.sender, r.raw, by,
    )  # fmt: skip


WAITING_RECEIPT = (
    "at", "done_at", "next_try_at", "echo", "carrier", "carrier_message_id", "bind", "state", "reason", "code",
    "recipient", "sender", "raw",
)  # fmt: skip


def waiting_receipt(next_try_ms: int, fact: Received) -> Record:
    """A receipt whose submission is not known yet."""
    r = fact.receipt
    return (
        fact.at_ms, r.done_ms or None, next_try_ms, r.echo, fact.carrier, r.carrier_message_id, r.bind, r.state,
        r.reason, r.code, r.recipient, r.sender, r.raw,
    )  # fmt: skip


INBOUND = (
    "at", "sender_hash", "carrier", "bind", "sender", "recipient", "text", "segment_ref", "segment_total",
    "segment_number", "raw",
)  # fmt: skip


def inbound(key: bytes, fact: Came) -> Record:
    """A message from a subscriber."""
    i = fact.inbound
    segment = i.segment or (None, None, None)
    sender_hash = recipient_hash(key, i.sender if i.sender.startswith("+") else "+" + i.sender)
    return (fact.at_ms, sender_hash, fact.carrier, i.bind, i.sender, i.recipient, i.text, *segment, i.raw)


NOTE = ("message_id", "at", "event", "attempt", "state", "reason", "by", "until")


def note(n: Note) -> Record:
    """A line for the timeline."""
    return (n.message_id, n.at_ms, n.event, n.attempt, n.state, n.reason, n.by, n.until_ms or None)


WAITING = ("at", "place", "class", "client", "carrier", "why", "first_id", "last_id", "count", "until")


def waiting(seen: tuple[int, Waiting]) -> Record:
    """What waited in one lane, and when it was looked at."""
    at_ms, f = seen
    return (at_ms, f.where, f.klass, f.client, f.carrier, f.why, f.first, f.last, f.count, f.until_ms or None)
