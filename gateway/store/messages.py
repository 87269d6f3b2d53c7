"""What PostgreSQL knows about messages: one with its timeline, a batch's counts.

In: ids as 16 bytes, a client (None: any). Out: rows with times in ms since the epoch (0: not yet). Never: a write.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from gateway.message import id_time_ms, make_id
from gateway.store.days import DAY_MS
from gateway.store.pool import Pool

_SKEW_MS = 3_600_000  # carriers' connectors stamp submissions by their own clocks
_RECEIPT_DAYS = 36  # older submissions are not matched any more


class Found(msgspec.Struct, frozen=True):
    """A message's row. Field names are column names, but for `klass` and times in ms."""

    id: bytes
    client: str
    klass: str
    recipient: str
    sender: str
    text: str
    encoding: str
    parts: int
    state: str
    reason: str
    ref: str
    tag: str
    meta: str  # JSON text, or empty
    callback_url: str
    batch_id: bytes
    send_at_ms: int
    deadline_ms: int
    attempt: int
    carrier: str
    operator: str
    route: str
    plan_version: int
    price_micro: int
    cost_micro: int
    currency: str
    routed_ms: int
    submitted_ms: int
    final_ms: int
    changed_ms: int
    seq: int
    key_id: str
    test: bool
    traceparent: str
    parts_delivered: int = 0  # of the attempt under way, or of the last one

    @property
    def accepted_ms(self) -> int:
        """When it was accepted."""
        return id_time_ms(self.id)


class Submission(msgspec.Struct, frozen=True):
    """One attempt to hand one part (0: the whole) to one carrier. `kind` is a provider.Kind."""

    attempt: int
    part: int
    parts: int
    kind: int
    late: bool
    carrier: str
    bind: str
    reason: str
    code: str
    carrier_message_id: str
    operator: str
    route: str
    plan_version: int
    price_micro: int
    currency: str
    routed_ms: int
    sent_ms: int
    answered_ms: int
    sender: str = ""
    record: str = ""


class ReceiptSeen(msgspec.Struct, frozen=True):
    """One receipt as it came; `matched_by`: how it found its submission."""

    at_ms: int
    attempt: int
    part: int
    carrier: str
    bind: str
    state: str
    reason: str
    code: str
    done_ms: int
    raw: str
    matched_by: str
    carrier_message_id: str = ""


class Note(msgspec.Struct, frozen=True):
    """event: parked, held, rescheduled, rewritten or ended."""

    at_ms: int
    event: str
    attempt: int
    state: str
    reason: str
    by: str
    until_ms: int


class Wait(msgspec.Struct, frozen=True):
    """It waited over 5 s. place: intake, outbox or later."""

    at_ms: int
    place: str
    carrier: str
    why: str
    until_ms: int


class CallbackSeen(msgspec.Struct, frozen=True):
    """An event for the application that was tried; done_ms 0: to be tried again; outcome: delivered or failed."""

    seq: int
    at_ms: int
    state: str
    reason: str
    url: str
    tries: int
    done_ms: int
    error: str
    status: int
    outcome: str
    next_try_ms: int
    endpoint: str
    failures: str = ""
    """Attempts that did not succeed, a line each: [ms, status, error]."""


class Timeline(msgspec.Struct, frozen=True):
    """Everything that happened to one message, each list oldest first."""

    submissions: list[Submission]
    receipts: list[ReceiptSeen]
    notes: list[Note]
    waits: list[Wait]
    callbacks: list[CallbackSeen]
    retry_of: bytes = b""
    """The failed message that this one was made of."""
    retried_as: bytes = b""
    """The message that was made of this one."""
    key_name: str = ""
    """Of the key that it was accepted with."""


class BatchFound(msgspec.Struct, frozen=True):
    """A batch and how its messages stand now."""

    id: bytes
    client: str
    at_ms: int
    accepted: int
    duplicates: int
    rejected: int
    states: dict[str, int]


T = TypeVar("T", bound=msgspec.Struct)

COLUMNS = """id, client, class, recipient, sender, text, encoding, parts, state, reason, ref, tag, meta, callback_url,
    batch_id, send_at, deadline, attempt, carrier, operator, route, plan_version, price_micro, cost_micro, currency,
    routed_at, submitted_at, final_at, changed_at, seq, key_id, test, traceparent,
    case when units = 1 and delivered_mask <> 0 then parts else bit_count(delivered_mask::bit(64)) end"""


def _rows(kind: type[T], records: Sequence[Sequence[Any]]) -> list[T]:
    return [kind(*(0 if value is None else value for value in record)) for record in records]


def found_of(record: Any) -> Found:
    """A message from a row of COLUMNS."""
    found = _rows(Found, [record])[0]
    return found if found.batch_id else msgspec.structs.replace(found, batch_id=b"")


async def get(pool: Pool, message_id: bytes, client: str | None) -> Found | None:
    """The message, when it is this client's."""
    row = await pool.fetchrow(f"select {COLUMNS} from messages where id = $1", message_id)
    return None if row is None or (client is not None and row["client"] != client) else found_of(row)


async def timeline(pool: Pool, found: Found) -> Timeline:
    """What happened to it. The accept, `submitted_ms` and `final_ms` are in the row itself."""
    now_ms, changed_ms = int(time.time() * 1000), max(found.accepted_ms, found.changed_ms)
    since = found.accepted_ms - _SKEW_MS
    changed = (found.id, since, changed_ms + _SKEW_MS)  # every submission changes the row
    open_ = (found.id, since, (changed_ms if found.final_ms else max(now_ms, changed_ms)) + _SKEW_MS)
    later = max(changed_ms, min(now_ms, changed_ms + _RECEIPT_DAYS * DAY_MS))  # a receipt may come after the end
    async with pool.connection() as connection:
        submissions = await connection.fetch(_SUBMISSIONS, *changed)
        receipts = await connection.fetch(_RECEIPTS, found.id, since, later + _SKEW_MS)
        notes = await connection.fetch(_NOTES, *open_)
        waits = await connection.fetch(_WAITS, *open_, found.client, found.klass, found.final_ms or open_[2])
        callbacks = await connection.fetch(_CALLBACKS, found.id)
        first, again, key_name = await connection.fetchrow(_KIN, found.id, found.key_id)
    return Timeline(
        _rows(Submission, submissions),
        _rows(ReceiptSeen, receipts),
        _rows(Note, notes),
        _rows(Wait, waits),
        _rows(CallbackSeen, callbacks),
        first or b"",
        again or b"",
        key_name or "",
    )


_SUBMISSIONS = """select attempt, part, parts, kind, late, carrier, bind, reason, code, carrier_message_id, operator,
    route, plan_version, price_micro, currency, routed_at, sent_at, answered_at, sender, record
    from submissions where message_id = $1 and sent_at >= $2 and sent_at < $3 order by sent_at, attempt, part"""
_KIN = """select (select first_id from retries where id = $1), (select id from retries where first_id = $1),
    (select name from keys where id = $2)"""
_RECEIPTS = """select at, attempt, part, carrier, bind, state, reason, code, done_at, raw, matched_by,
    carrier_message_id from receipts where message_id = $1 and at >= $2 and at < $3 order by at"""
_NOTES = """select at, event, attempt, state, reason, by, until
    from notes where message_id = $1 and at >= $2 and at < $3 order by at"""
_WAITS = """select at, place, carrier, why, until
    from waiting where client = $4 and class = $5 and last_id >= $1 and first_id <= $1 and at >= $2 and at < $3
    and at <= $6 order by at"""
_CALLBACKS = (
    "select seq, at, state, reason, url, tries, done_at, error, status, outcome, next_try_at, endpoint, failures"
    " from callbacks where message_id = $1 order by seq, endpoint"
)


async def batch(pool: Pool, batch_id: bytes, client: str | None) -> BatchFound | None:
    """The batch with the number of its messages in each state."""
    row = await pool.fetchrow(
        "select id, client, at, accepted, duplicates, rejected from batches where id = $1", batch_id
    )
    if row is None or (client is not None and row["client"] != client):
        return None
    near = (make_id(row["at"] - _SKEW_MS, bytes(10)), make_id(row["at"] + _SKEW_MS, bytes(10)))
    states = await pool.fetch(
        "select state, count(*) from messages where batch_id = $1 and id >= $2 and id < $3 group by state",
        batch_id,
        *near,
    )
    counts = {found["state"]: found["count"] for found in states}
    return BatchFound(row["id"], row["client"], row["at"], row["accepted"], row["duplicates"], row["rejected"], counts)
