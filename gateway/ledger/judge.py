"""The state machine of one message: each function applies one fact to its `Row`. Pure; states only move forward.

A message is delivered when all units of one attempt are, and undeliverable once a unit is and no other attempt is open.
Final states stay, but for an expiry for want of a receipt, which yields to a receipt that comes after all.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from gateway.events import BY_CARRIER, Ended, Held, Rescheduled, Submitted
from gateway.ledger.rows import Attempt, Row
from gateway.message import FINAL, State, id_time_ms
from gateway.provider import Kind, Reason, Receipt

_FAILED: Final = {
    "undeliverable": (State.UNDELIVERABLE, Reason.UNREACHABLE),
    "rejected": (State.REJECTED, Reason.BLOCKED),
    "expired": (State.EXPIRED, Reason.CARRIER_EXPIRED),
    "deleted": (State.UNDELIVERABLE, Reason.CARRIER_DELETED),
}
_QUEUED: Final = frozenset({State.ACCEPTED, State.SCHEDULED})
_WITH_CARRIER: Final = frozenset({State.SUBMITTED, State.UNKNOWN})

# Looked up once: members of an enum cost more than what is done with them.
_IS_ACCEPTED, _IS_UNCERTAIN = int(Kind.ACCEPTED), int(Kind.UNCERTAIN)
_ROUTED, _SUBMITTED, _UNKNOWN, _DELIVERED = State.ROUTED, State.SUBMITTED, State.UNKNOWN, State.DELIVERED

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Attempt]).decode


class Entry(IntEnum):
    """What a submission's fact means for the ledger of submissions."""

    NEW = 0  # a row to insert
    HEALED = 1  # the answer to an uncertain row that is there
    REPEATED = 2  # a row to insert unless it is there
    KNOWN = 3  # nothing new


_NEW, _HEALED, _REPEATED, _KNOWN = Entry


class Meaning(IntEnum):
    """What a receipt means for its message."""

    NOTHING = 0  # on its way, doubled or contradicting: kept as a receipt
    NOTED = 1  # one more unit is decided
    FINAL = 2  # and the message with it


_NOTHING, _NOTED, _FINAL = Meaning


def is_open(row: Row) -> bool:
    """Whether a receipt may still decide the message."""
    return row.state not in FINAL or (row.state == State.EXPIRED and row.reason == Reason.NO_RECEIPT)


def attempts(row: Row) -> list[Row | Attempt]:
    """The units of every attempt, the current one first."""
    return [row, *_unpack(row.earlier)] if row.earlier else [row]


def submit(row: Row, fact: Submitted) -> Entry:
    """A carrier's answer, or its absence."""
    if not row.attempt and fact.attempt and fact.kind == _IS_ACCEPTED and row.state in _QUEUED:
        return _submit_first(row, fact)
    return _submit(row, fact)


def _submit(row: Row, fact: Submitted) -> Entry:
    if fact.attempt < row.attempt:
        return _submit_earlier(row, fact)
    newer = fact.attempt > row.attempt
    if newer:
        _advance(row, fact.attempt)
    _adopt(row, fact)
    entry = _count(row, row, fact)
    if row.state not in FINAL:
        if fact.kind == _IS_ACCEPTED:
            if row.state != _UNKNOWN or newer or row.accepted == _full(row):
                row.state, row.reason = _SUBMITTED, ""
        elif row.state in _QUEUED or (newer and row.state == _UNKNOWN):
            row.state, row.reason = _ROUTED, ""
    return entry


def _submit_first(row: Row, fact: Submitted) -> Entry:
    """What becomes of almost every message: the first carrier takes the first unit. As `submit`, in fewer steps."""
    row.attempt, cost_micro = fact.attempt, fact.price_micro
    if fact.part:
        row.units = fact.parts
        row.accepted = 1 << fact.part - 1
    else:
        row.units = row.accepted = 1
        cost_micro *= fact.parts
    if row.unsure or row.delivered or row.undeliverable:
        row.unsure = row.delivered = row.undeliverable = 0
    _adopt(row, fact)
    if not fact.billed_on_delivery:
        row.cost_micro += cost_micro
    sent_ms = fact.sent_ms or fact.answered_ms
    if not row.submitted_ms or sent_ms < row.submitted_ms:
        row.submitted_ms = sent_ms
    row.state = _SUBMITTED
    if row.reason:
        row.reason = ""
    return _NEW


def _submit_earlier(row: Row, fact: Submitted) -> Entry:
    earlier = _unpack(row.earlier) if row.earlier else []
    attempt = _find(earlier, fact.attempt)
    entry = _count(row, attempt, fact)
    row.earlier = _pack(earlier)
    if fact.kind == _IS_ACCEPTED and row.state not in FINAL and row.state != _UNKNOWN:
        row.state, row.reason = _SUBMITTED, ""
    return entry


def _count(row: Row, attempt: Row | Attempt, fact: Submitted) -> Entry:
    bit = 1 << fact.part - 1 if fact.part else 1
    attempt.units = fact.parts if fact.part else 1
    if fact.kind == _IS_ACCEPTED:
        if attempt.accepted & bit:
            return _KNOWN
        attempt.accepted |= bit
        if not fact.billed_on_delivery:
            _book(row, attempt, fact.price_micro * (1 if fact.part else fact.parts), fact.currency)
        sent_ms = fact.sent_ms or fact.answered_ms
        if not row.submitted_ms or sent_ms < row.submitted_ms:
            row.submitted_ms = sent_ms
    elif fact.kind == _IS_UNCERTAIN:
        if (attempt.accepted | attempt.unsure) & bit:
            return _KNOWN
        attempt.unsure |= bit
        return _NEW
    if attempt.unsure & bit:
        attempt.unsure &= ~bit
        return _HEALED
    return _NEW if fact.kind == _IS_ACCEPTED else _REPEATED


def _book(row: Row, attempt: Row | Attempt, cost_micro: int, currency: str) -> None:
    if cost_micro and isinstance(attempt, Attempt):
        attempt.cost_micro += cost_micro
        attempt.currency = currency
    if currency == row.currency:
        row.cost_micro += cost_micro


def _spent_before(row: Row, currency: str) -> int:
    """What the attempts before the current one cost in this currency."""
    earlier = _unpack(row.earlier) if row.earlier else []
    return sum(attempt.cost_micro for attempt in earlier if attempt.currency == currency)


def _advance(row: Row, number: int) -> None:
    if row.attempt:
        cost_micro = row.cost_micro - _spent_before(row, row.currency)
        earlier = _unpack(row.earlier) if row.earlier else []
        earlier.append(
            Attempt(
                row.attempt,
                row.units,
                row.accepted,
                row.unsure,
                row.delivered,
                row.undeliverable,
                cost_micro,
                row.currency if cost_micro else "",
            )
        )
        row.earlier = _pack(earlier)
    row.attempt = number
    row.units = row.accepted = row.unsure = row.delivered = row.undeliverable = 0


def _find(earlier: list[Attempt], number: int) -> Attempt:
    for attempt in earlier:
        if attempt.number == number:
            return attempt
    earlier.append(Attempt(number))
    earlier.sort(key=lambda a: a.number)
    return earlier[[a.number for a in earlier].index(number)]


def _adopt(row: Row, fact: Submitted) -> None:
    row.carrier = fact.carrier
    row.operator = fact.operator
    row.route = fact.route
    row.plan_version = fact.plan_version
    row.price_micro = fact.price_micro
    if fact.currency != row.currency:
        # The sum is in one currency, the last attempt's; what others cost stands with their submissions.
        row.currency = fact.currency
        row.cost_micro = _spent_before(row, fact.currency) if row.earlier else 0
    row.routed_ms = fact.routed_ms
    if fact.parts and fact.parts != row.parts:
        row.parts = fact.parts


def _full(attempt: Row | Attempt) -> int:
    return (1 << attempt.units) - 1 if attempt.units else -1


def receive(
    row: Row, number: int, part: int, receipt: Receipt, at_ms: int, due_micro: int = 0, currency: str = ""
) -> Meaning:
    """A receipt for one unit of one attempt; `due_micro` is booked when it says delivered."""
    is_delivered = receipt.state == "delivered"
    if not is_delivered and receipt.state not in _FAILED:
        return _NOTHING
    bit = 1 << part - 1 if part else 1
    earlier: list[Attempt] = []
    attempt: Row | Attempt = row
    if number != row.attempt:
        earlier = _unpack(row.earlier) if row.earlier else []
        attempt = _find(earlier, number)
    if receipt.whole and attempt.units:
        bit = _full(attempt)
    delivered = attempt.delivered
    if (delivered | attempt.undeliverable) & bit:
        return _NOTHING
    if is_delivered:
        attempt.delivered = delivered = delivered | bit
        if due_micro:
            _book(row, attempt, due_micro * bit.bit_count(), currency)
    else:
        attempt.undeliverable |= bit
    if attempt is not row:
        row.earlier = _pack(earlier)
    if row.state in FINAL and not is_open(row):
        return _NOTED
    if not is_delivered:
        return _fail(row, receipt, at_ms)
    if not attempt.units or delivered != (1 << attempt.units) - 1:
        return _NOTED
    if receipt.whole and attempt.accepted != _full(attempt):
        return _NOTED  # it spoke for parts that are not with the carrier yet
    row.state, row.reason, row.final_ms = _DELIVERED, "", at_ms
    return _FINAL


def complete(row: Row, at_ms: int) -> bool:
    """Whether the unit that was taken just now was the last of a message whose one receipt came before."""
    if row.delivered != _full(row) or row.accepted != row.delivered or row.state in FINAL:
        return False
    row.state, row.reason, row.final_ms = _DELIVERED, "", at_ms
    return True


def _fail(row: Row, receipt: Receipt, at_ms: int) -> Meaning:
    if any(_is_running(a) for a in attempts(row)):
        return _NOTED
    state, reason = _FAILED[receipt.state]
    _finish(row, state, receipt.reason or reason, at_ms)
    return _FINAL


def _is_running(attempt: Row | Attempt) -> bool:
    return bool(attempt.accepted) and not attempt.undeliverable


def end(row: Row, fact: Ended, at_ms: int) -> bool:
    """We ended it. Whether it did: not when it is final, nor while a whole attempt is with a carrier, unless that has
    taken the message back."""
    if row.state in FINAL:
        return False
    if fact.reason == Reason.NO_RECEIPT:
        if row.state not in _WITH_CARRIER:
            return False
    elif fact.by == BY_CARRIER:
        if row.state not in _WITH_CARRIER or fact.attempt != row.attempt:
            return False
    elif any(a.accepted == _full(a) and not a.undeliverable for a in attempts(row)):
        return False
    _finish(row, fact.state, fact.reason, at_ms)
    return True


def hold(row: Row, fact: Held) -> bool:
    """It is not known what the carrier did. Whether the message is `unknown` by it."""
    if row.state in FINAL or fact.attempt < row.attempt:
        return False
    if fact.attempt > row.attempt:
        _advance(row, fact.attempt)
    if row.accepted == _full(row):
        return False
    row.state, row.reason = _UNKNOWN, fact.reason
    return True


def reschedule(row: Row, fact: Rescheduled) -> bool:
    """Another time for a message that nobody tried yet. Its validity begins anew."""
    if row.state not in _QUEUED or row.attempt:
        return False
    accepted_ms = id_time_ms(row.id)
    validity_ms = row.deadline_ms - max(accepted_ms, row.send_at_ms)
    row.send_at_ms = fact.send_at_ms
    row.deadline_ms = max(accepted_ms, fact.send_at_ms) + validity_ms
    row.state = State.SCHEDULED if fact.send_at_ms > accepted_ms else State.ACCEPTED
    return True


def _finish(row: Row, state: str, reason: str, at_ms: int) -> None:
    row.state, row.reason, row.final_ms = state, reason, at_ms
