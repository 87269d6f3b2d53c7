"""A message's timeline as clients see it: from rows to moments in their order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from gateway.api.documents import Considered, Decision, Moment, Price
from gateway.message import FINAL
from gateway.plan import record
from gateway.provider import RULES, Kind, Reason
from gateway.smpp.status import words as smpp_words
from gateway.store.messages import CallbackSeen, Found, Note, ReceiptSeen, Submission, Timeline, Wait

_OUTCOMES: Final[Mapping[int, Literal["accepted", "deferred", "refused", "uncertain"]]] = {
    Kind.ACCEPTED: "accepted",
    Kind.DEFERRED: "deferred",
    Kind.REFUSED: "refused",
    Kind.UNCERTAIN: "uncertain",
}
_ANSWERS: Final[Mapping[int, str]] = {
    Kind.ACCEPTED: "the carrier took it",
    Kind.DEFERRED: "the carrier does not take it now",
    Kind.REFUSED: "the carrier refused it",
    Kind.UNCERTAIN: "no answer came, and the carrier may have it",
}
_FINAL: Final = frozenset(str(s) for s in FINAL)
_ORDER: Final = {
    event: place
    for place, event in enumerate(
        ("accepted", "scheduled", "rescheduled", "routed", "rewritten", "submitted", "held", "receipt", "ended")
    )
}
"""Of what happened in the same millisecond; the others come last."""

_failures = msgspec.json.Decoder(tuple[int, int, str])


def time_of(ms: int) -> datetime:
    """A time of the gateway as documents have it."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def time_or_none(ms: int) -> datetime | None:
    """The same; 0: not yet."""
    return time_of(ms) if ms else None


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


class By(msgspec.Struct, frozen=True):
    """Who sent a message."""

    client: str
    key_id: str
    key_name: str = ""


def timeline(row: Found, seen: Timeline) -> list[Moment]:
    """All of it, in order."""
    moved = any(n.event == "rescheduled" for n in seen.notes)
    moments = beginning(By(row.client, row.key_id, seen.key_name), row.accepted_ms, row.send_at_ms, moved)
    moments += [_wait(w) for w in seen.waits]
    moments += _routed(row, seen.submissions)
    moments += [_submission(s) for s in seen.submissions]
    moments += [_receipt(r) for r in seen.receipts]
    moments += [_note(n) for n in seen.notes]
    moments += _end(row, seen.notes)
    moments += [moment for c in seen.callbacks for moment in _callback(c)]
    return sorted(moments, key=lambda m: (m.at, _ORDER.get(m.event, len(_ORDER))))


def beginning(by: By, accepted_ms: int, send_at_ms: int, moved: bool = False) -> list[Moment]:
    """How it came to us."""
    at = time_of(accepted_ms)
    begun = [Moment(at, "accepted", client=by.client, key=by.key_id or None, key_name=by.key_name or None)]
    if send_at_ms > accepted_ms or moved:
        begun.append(Moment(at, "scheduled", until=None if moved else time_of(send_at_ms)))
    return begun


def _routed(row: Found, submissions: Sequence[Submission]) -> list[Moment]:
    """Once an attempt: what the plan decided, and why."""
    firsts: dict[int, Submission] = {}
    for s in submissions:
        if s.routed_ms:
            firsts.setdefault(s.attempt, s)
    moments = [
        _decided(s.routed_ms, attempt, s.carrier, s.operator, s.route, s.plan_version, _decision(s))
        for attempt, s in firsts.items()
    ]
    if row.routed_ms and row.attempt not in firsts:
        moments.append(
            _decided(row.routed_ms, row.attempt, row.carrier, row.operator, row.route, row.plan_version, None)
        )
    return moments


def _decided(
    at_ms: int, attempt: int, carrier: str, operator: str, route: str, plan_version: int, decision: Decision | None
) -> Moment:
    return Moment(
        time_of(at_ms),
        "routed",
        attempt=attempt or None,
        carrier=carrier or None,
        operator=operator or None,
        route=route or None,
        plan_version=plan_version or None,
        decision=decision,
        words=_why_routed(route, carrier, decision),
    )


def _why_routed(route: str, carrier: str, decision: Decision | None) -> str | None:
    if not (route and carrier):
        return None
    if decision is None:
        return f"the first rule that takes it is {route}, and {carrier} the first carrier of it that can send now"
    if decision.explored:
        return f"by {decision.strategy} of rule {route}, which tries {carrier} now and then to learn how it does"
    over = [f"{c.carrier}, {c.why_not}" for c in decision.candidates if c.why_not]
    passed = f"; passed over: {'; '.join(over)}" if over else ""
    return f"by {decision.strategy} of rule {route}, which puts {carrier} first{passed}"


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
        routed_at=time_or_none(s.routed_ms),
        answered_at=time_or_none(s.answered_ms),
        latency_ms=max(s.answered_ms - s.sent_ms, 0) if s.answered_ms else None,
        outcome=_OUTCOMES[s.kind],
        late=s.late or None,
        carrier_message_id=s.carrier_message_id or None,
        price=price(s.price_micro, s.currency),
        sender=s.sender or None,
        decision=_decision(s),
        words=_answer(s),
        **_why(s.reason, s.code),
    )


def _answer(s: Submission) -> str:
    """The carrier's answer for people; a code of SMPP with its name."""
    said = _ANSWERS[s.kind]
    if s.kind != Kind.UNCERTAIN and (why := words(s.reason)):
        said = f"{said}: {why}"
    code = code_in_words(s.code)
    return f"{said} ({code})" if code and s.kind != Kind.ACCEPTED else said


def code_in_words(code: str) -> str:
    """A carrier's code: SMPP's with its name, others as they are."""
    try:
        return smpp_words(int(code, 16)) if code[:2] == "0x" else code
    except ValueError:
        return code


def _decision(s: Submission) -> Decision | None:
    """Why a carrier was chosen, from the record that the router left."""
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
        carrier_message_id=r.carrier_message_id or None,
        state=r.state,
        done_at=time_or_none(r.done_ms),
        matched_by=r.matched_by or None,
        words=words(r.reason),
        raw=r.raw or None,
        **_why(r.reason, r.code),
    )


def _note(n: Note) -> Moment:
    return Moment(
        time_of(n.at_ms),
        n.event,  # type: ignore[arg-type]
        attempt=n.attempt or None,
        state=n.state or None,
        by=n.by or None,
        until=time_or_none(n.until_ms),
        words=words(n.reason),
        **_why(n.reason, ""),
    )


def _end(row: Found, notes: Sequence[Note]) -> list[Moment]:
    """The final state, unless a note tells of it: a receipt brought it."""
    told = any(n.event == "ended" and n.state == row.state for n in notes)
    if row.state not in _FINAL or not row.final_ms or told:
        return []
    why = _why(row.reason, "")
    return [Moment(time_of(row.final_ms), "ended", state=row.state, words=words(row.reason), **why)]


def _wait(w: Wait) -> Moment:
    return Moment(
        time_of(w.at_ms),
        "waiting",
        where=w.place,
        carrier=w.carrier or None,
        until=time_or_none(w.until_ms),
        **_why(w.why, ""),
    )


def _callback(c: CallbackSeen) -> list[Moment]:
    """One moment for each attempt to tell the application."""
    same: dict[str, Any] = {
        "state": c.state,
        "host": urlsplit(c.url).netloc or None,
        "endpoint": c.endpoint or None,
        **_why(c.reason, ""),
    }
    failed = [_failures.decode(line) for line in c.failures.splitlines()]
    moments = [
        Moment(time_of(at_ms), "callback", tries=n, status=status or None, error=error or None, **same)
        for n, (at_ms, status, error) in enumerate(failed, 1)
    ]
    if moments and c.outcome != "delivered" and c.error == failed[-1][2]:  # the last attempt is where it stands
        moments[-1].next_try_at = None if c.done_ms else time_or_none(c.next_try_ms)
        moments[-1].done_at = time_or_none(c.done_ms)
        return moments
    last = Moment(
        time_of(c.done_ms or c.at_ms),
        "callback",
        done_at=time_or_none(c.done_ms),
        tries=c.tries or None,
        status=c.status or None,
        error=c.error or None,
        next_try_at=None if c.done_ms else time_or_none(c.next_try_ms),
        **same,
    )
    return [*moments, last]


def _why(reason: str, code: str) -> dict[str, Any]:
    return {"reason": reason or None, "code": code or None}
