"""From rows and stored messages to the documents that clients see. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from gateway.api.documents import BatchView, Considered, Decision, MessageView, Moment, Price
from gateway.events import Batched
from gateway.message import FINAL, Message, id_text, id_time_ms
from gateway.plan import record
from gateway.provider import RULES, Kind, Reason
from gateway.store.messages import BatchFound, CallbackSeen, Found, Note, ReceiptSeen, Submission, Timeline, Wait

_OUTCOMES: Final[Mapping[int, Literal["accepted", "deferred", "refused", "uncertain"]]] = {
    Kind.ACCEPTED: "accepted",
    Kind.DEFERRED: "deferred",
    Kind.REFUSED: "refused",
    Kind.UNCERTAIN: "uncertain",
}
_FINAL: Final = frozenset(str(s) for s in FINAL)


def time_of(ms: int) -> datetime:
    """A time of the gateway as documents have it."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def found(row: Found, timeline: Timeline | None = None) -> MessageView:
    """A message that PostgreSQL has."""
    return MessageView(
        id=id_text(row.id),
        state=row.state,  # type: ignore[arg-type]
        reason=row.reason or None,
        reason_text=words(row.reason),
        to=row.recipient,
        sender=row.sender,
        klass=row.klass,  # type: ignore[arg-type]
        text=row.text,
        parts=row.parts,
        parts_delivered=row.parts_delivered,
        encoding=row.encoding,
        ref=row.ref or None,
        tag=row.tag or None,
        carrier=row.carrier or None,
        operator=row.operator or None,
        price=price(row.cost_micro, row.currency),
        accepted_at=time_of(row.accepted_ms),
        changed_at=time_of(row.changed_ms),
        validity_s=(row.deadline_ms - max(row.accepted_ms, row.send_at_ms)) // 1000,
        send_at=_time(row.send_at_ms),
        callback_url=row.callback_url or None,
        batch_id=id_text(row.batch_id) if row.batch_id else None,
        meta=msgspec.Raw(row.meta.encode()) if row.meta else None,
        test=row.test,
        timeline=None if timeline is None else _timeline(row, timeline),
        retry_of=id_text(timeline.retry_of) if timeline is not None and timeline.retry_of else None,
        retried_as=id_text(timeline.retried_as) if timeline is not None and timeline.retried_as else None,
    )


def just_accepted(message_id: bytes, message: Message, accepted_ms: int) -> MessageView:
    """A message that PostgreSQL does not have yet."""
    scheduled = message.send_at_ms > accepted_ms
    return MessageView(
        id=id_text(message_id),
        state="scheduled" if scheduled else "accepted",
        reason=None,
        to=message.to,
        sender=message.sender,
        klass=message.klass,  # type: ignore[arg-type]
        text=message.text,
        parts=message.parts,
        encoding=message.encoding,
        ref=message.ref or None,
        tag=message.tag or None,
        carrier=None,
        operator=None,
        price=None,
        accepted_at=time_of(accepted_ms),
        changed_at=time_of(accepted_ms),
        validity_s=message.validity_s,
        send_at=_time(message.send_at_ms),
        callback_url=message.callback_url or None,
        batch_id=id_text(message.batch_id) if message.batch_id else None,
        meta=msgspec.Raw(message.meta) if message.meta else None,
        test=message.test,
        timeline=_beginning(accepted_ms, message.send_at_ms),
    )


def batch(row: BatchFound) -> BatchView:
    """A batch that PostgreSQL has. Messages that it does not have yet count as accepted."""
    states = dict(row.states)
    if (behind := row.accepted - sum(states.values())) > 0:
        states["accepted"] = states.get("accepted", 0) + behind
    return BatchView(
        id=id_text(row.id),
        accepted_at=time_of(row.at_ms),
        accepted=row.accepted,
        duplicates=row.duplicates,
        rejected=row.rejected,
        open=sum(count for state, count in states.items() if state not in _FINAL),
        states=states,
    )


def just_batched(fact: Batched) -> BatchFound:
    """A batch that PostgreSQL does not have yet."""
    return BatchFound(fact.id, fact.client, id_time_ms(fact.id), fact.accepted, fact.duplicates, fact.rejected, {})


def price(micro: int, currency: str) -> Price | None:
    """Millionths as a decimal number with at least two digits after the point; None without a currency."""
    if not currency:
        return None
    whole, fraction = divmod(micro, 1_000_000)
    digits = f"{fraction:06d}".rstrip("0")
    return Price(f"{whole}.{digits:0<2}", currency)


def words(reason: str) -> str | None:
    """What a reason means, for people."""
    return RULES[Reason(reason)].words if reason in Reason.__members__.values() else None


def _timeline(row: Found, timeline: Timeline) -> list[Moment]:
    moved = any(n.event == "rescheduled" for n in timeline.notes)
    moments = _beginning(row.accepted_ms, row.send_at_ms, moved)
    moments += [_wait(w) for w in timeline.waits]
    moments += [_note(n) for n in timeline.notes if n.event == "rewritten"]  # before what it was sent as
    moments += [_submission(s) for s in timeline.submissions]
    moments += [_receipt(r) for r in timeline.receipts]
    moments += [_note(n) for n in timeline.notes if n.event != "rewritten"]
    moments += [_callback(c) for c in timeline.callbacks]
    return sorted(moments, key=lambda m: m.at)


def _beginning(accepted_ms: int, send_at_ms: int, moved: bool = False) -> list[Moment]:
    begun = [Moment(time_of(accepted_ms), "accepted")]
    if send_at_ms > accepted_ms or moved:
        begun.append(Moment(time_of(accepted_ms), "scheduled", until=None if moved else time_of(send_at_ms)))
    return begun


def _submission(s: Submission) -> Moment:
    return Moment(
        time_of(s.sent_ms),
        "submitted",
        attempt=s.attempt,
        part=s.part or None,
        parts=s.parts,
        carrier=s.carrier,
        bind=s.bind or None,
        operator=s.operator or None,
        route=s.route or None,
        plan_version=s.plan_version or None,
        routed_at=_time(s.routed_ms),
        answered_at=_time(s.answered_ms),
        outcome=_OUTCOMES[s.kind],
        late=s.late or None,
        carrier_message_id=s.carrier_message_id or None,
        price=price(s.price_micro, s.currency),
        sender=s.sender or None,
        decision=_decision(s),
        **_why(s.reason, s.code),
    )


def _decision(s: Submission) -> Decision | None:
    found = record.read(s.record)
    if found is None:
        return None
    candidates = [
        Considered(
            c.carrier,
            price(c.price_micro, c.currency or s.currency) if c.price_micro else None,
            c.probability / 1000 if c.probability >= 0 else None,
            f"{c.why}: {record.WHY[c.why]}" if c.why in record.WHY else c.why or None,
        )
        for c in found.candidates
    ]
    return Decision(found.strategy, found.source or None, found.explored or None, candidates)


def _receipt(r: ReceiptSeen) -> Moment:
    return Moment(
        time_of(r.at_ms),
        "receipt",
        attempt=r.attempt or None,
        part=r.part or None,
        carrier=r.carrier,
        bind=r.bind or None,
        state=r.state,
        done_at=_time(r.done_ms),
        matched_by=r.matched_by or None,
        **_why(r.reason, r.code),
    )


def _note(n: Note) -> Moment:
    return Moment(
        time_of(n.at_ms),
        n.event,  # type: ignore[arg-type]
        attempt=n.attempt or None,
        state=n.state or None,
        by=n.by or None,
        until=_time(n.until_ms),
        **_why(n.reason, ""),
    )


def _wait(w: Wait) -> Moment:
    return Moment(
        time_of(w.at_ms),
        "waiting",
        where=w.place,
        carrier=w.carrier or None,
        until=_time(w.until_ms),
        **_why(w.why, ""),
    )


def _callback(c: CallbackSeen) -> Moment:
    return Moment(
        time_of(c.at_ms),
        "callback",
        state=c.state,
        done_at=_time(c.done_ms),
        host=urlsplit(c.url).netloc or None,
        endpoint=c.endpoint or None,
        tries=c.tries or None,
        status=c.status or None,
        error=c.error or None,
        next_try_at=None if c.done_ms else _time(c.next_try_ms),
        **_why(c.reason, ""),
    )


def _why(reason: str, code: str) -> dict[str, Any]:
    return {"reason": reason or None, "code": code or None}


def _time(ms: int) -> datetime | None:
    return time_of(ms) if ms else None
