"""What is on the wire, and what its outcomes mean. Pure.

In: an entry that was marked, and the outcomes of its parts. Out: facts for the recorder and operations for `settle`.
Policy of retry, reroute, resend and hold lives here.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import msgspec

from gateway.events import AnyFact, Ended, Held, Submitted
from gateway.message import RESEND_CLASSES, Journey, Message, State, Try, pack_journey
from gateway.provider import RULES, Kind, Outcome, Reason, Submission, uncertain
from gateway.streams.keys import lane
from gateway.streams.reader import Queued
from gateway.text.treatment import treat

_NOTHING: Mapping[int, Told] = {}
MAX_THROTTLED = 30
"""Times that an attempt may come back unsent from one carrier before it is routed again."""


class Mark(msgspec.Struct, gc=False, eq=False):
    """A range of a stream noted as on the wire; `open` entries of it have no outcome yet.

    `ids`: every entry of it, where no other mark overlaps it; `before`: the mark before it in its stream.
    """

    shard: int
    stream: str
    first: bytes
    last: bytes
    open: int
    ids: Sequence[bytes] = ()
    before: Mark | None = None
    _settled: set[bytes] = msgspec.field(default_factory=set)
    _head: int = 0  # entries at the front that are settled

    @property
    def field(self) -> bytes:
        """How `{s}:marks:<carrier>` names it."""
        return b"%s|%s|%s" % (self.stream.encode(), self.first, self.last)

    @property
    def leads(self) -> bool:
        """Whether nothing before it in its stream is still on the wire."""
        while self.before is not None and self.before.open == 0:
            self.before = self.before.before
        return self.before is None

    def advance(self, settled: Sequence[bytes]) -> Sequence[bytes]:
        """Take entries as settled; those at the front that are settled now and were not all before."""
        head, ids, known = self._head, self.ids, self._settled
        if not ids:
            return ()
        known.update(settled)
        while head < len(ids) and ids[head] in known:
            head += 1
        front, self._head = ids[self._head : head], head
        if head == len(ids):
            self.ids, self._settled = (), set()
        return front


class Flight(msgspec.Struct, gc=False, eq=False):
    """One entry on the wire with the outcomes of its parts so far."""

    entry: Queued
    mark: Mark
    message: Message
    journey: Journey
    waiting: int  # parts without an outcome
    answers: list[tuple[Submission, Outcome]]
    settled: bool = False
    treatment: str = ""  # what was done to the text: the message is as it is sent

    def answer(self, submission: Submission, outcome: Outcome) -> None:
        """Take a part's outcome; a second one for the same part heals the first."""
        if self.answers:
            for at, (earlier, _) in enumerate(self.answers):
                if earlier.part == submission.part:
                    self.answers[at] = (submission, outcome)
                    return
        self.answers.append((submission, outcome))
        self.waiting -= 1


def apply_treatment(flight: Flight) -> None:
    """Make the message what its route has sent: text, alphabet, parts. Other attempts begin from what was accepted."""
    m = flight.message
    sent = treat(m.text, flight.journey.treatment)
    if sent.done:
        flight.treatment = sent.done.value
        flight.message = msgspec.structs.replace(m, text=sent.text, encoding=sent.encoding, parts=sent.parts)


def echo(message_id: bytes, attempt: int, part: int) -> int:
    """16 bits from message id, attempt and part, sent as user_message_reference (SMPP 3.4, 5.3.2.17)."""
    return zlib.crc32(message_id + bytes((attempt & 255, part))) & 0xFFFF


def submissions(flight: Flight, texts: Sequence[str], whole: bool) -> list[Submission]:
    """One submission for each part that the entry still owes, or one with part 0 for a provider that takes it whole.

    None at all when it owes parts that this provider's way of splitting does not have.
    """
    message_id = flight.entry.message_id
    deadline = flight.message.deadline_ms(message_id)
    if whole:
        made = [_submission(flight, message_id, deadline, 0, len(texts), flight.message.text)]
    else:
        total = len(texts)
        owed = flight.journey.owed or range(1, total + 1)
        made = [_submission(flight, message_id, deadline, n, total, texts[n - 1]) for n in owed if n <= total]
    flight.waiting = len(made)
    return made


def _submission(flight: Flight, message_id: bytes, deadline_ms: int, part: int, parts: int, text: str) -> Submission:
    m, attempt = flight.message, flight.journey.attempt
    return Submission(
        message_id,
        attempt,
        part,
        parts,
        m.to,
        flight.journey.sender or m.sender,
        text,
        m.encoding,
        m.concat_ref,
        deadline_ms,
        m.klass,
        echo(message_id, attempt, part),
        0,
        "",
        flight,
    )


def submitted(flight: Flight, s: Submission, o: Outcome, now_ms: int, late: bool = False) -> Submitted:
    """The ledger row of one answer."""
    j = flight.journey
    return Submitted(
        s.message_id,
        s.attempt,
        s.part,
        s.parts,
        j.carrier,
        s.bind,
        o.kind,
        o.reason or "",
        o.code,
        o.carrier_message_id,
        j.operator,
        j.price_micro,
        j.currency,
        j.plan_version,
        j.route,
        j.routed_ms,
        s.sent_ms,
        max(now_ms, s.sent_ms),
        s.echo,
        late,
        flight.treatment,
        j.billed_on_delivery,
        j.sender,
        j.record if s.part <= 1 else "",
    )


class Verdict(msgspec.Struct, gc=False):
    """What a finished flight asks of `settle`: facts, and at most one operation (op, where, journey)."""

    facts: list[AnyFact]
    op: str = ""
    where: str = ""
    journey: bytes = b""


def judge(flight: Flight, now_ms: int) -> Verdict:
    """Decide when every part has its outcome."""
    answers = flight.answers
    if not answers:
        return Verdict([_end(flight, State.FAILED, Reason.UNSUPPORTED)])
    if len(answers) == 1 and answers[0][1].kind == Kind.ACCEPTED:
        return Verdict([submitted(flight, answers[0][0], answers[0][1], now_ms)])
    unsent = [s.part for s, o in answers if o.kind == Kind.DEFERRED and _slows(o)]
    facts: list[AnyFact] = [
        submitted(flight, s, o, now_ms) for s, o in answers if not (o.kind == Kind.DEFERRED and _slows(o))
    ]
    taken = any(o.kind == Kind.ACCEPTED for _, o in answers) or flight.journey.pinned
    verdict = Verdict(facts)
    worst = max(answers, key=lambda a: (a[1].kind, not _slows(a[1])))[1]
    if worst.kind == Kind.ACCEPTED:
        return verdict
    if worst.kind == Kind.UNCERTAIN:
        _uncertain(flight, worst, taken, verdict)
    elif worst.kind == Kind.REFUSED:
        _refused(flight, worst, taken, verdict)
    elif unsent and len(unsent) == sum(o.kind == Kind.DEFERRED for _, o in answers):
        _unsent(flight, worst, tuple(unsent), taken, verdict)
    else:
        _deferred(flight, worst, taken, now_ms, verdict)
    return verdict


def unsent(flight: Flight) -> int:
    """How many parts the carrier certainly did not take."""
    return sum(s.parts if s.part == 0 else 1 for s, o in flight.answers if o.kind == Kind.DEFERRED)


def _slows(outcome: Outcome) -> bool:
    return outcome.reason in (Reason.THROTTLED, Reason.QUEUE_FULL, Reason.NOT_BOUND)


def _lane(flight: Flight) -> str:
    return lane(flight.message.klass, flight.message.client)


def _again(flight: Flight, journey: Journey, verdict: Verdict) -> None:
    verdict.op, verdict.where, verdict.journey = "a", _lane(flight), pack_journey(journey)


def _reroute(flight: Flight, reason: str, verdict: Verdict) -> None:
    j = flight.journey
    tried = (*j.tried, Try(j.carrier, reason))
    journey = msgspec.structs.replace(j, tried=tried, throttled=0)
    verdict.op, verdict.where, verdict.journey = "i", _lane(flight), pack_journey(journey)


def _unsent(flight: Flight, o: Outcome, parts: tuple[int, ...], taken: bool, verdict: Verdict) -> None:
    # Certainly not taken: the same attempt goes on, behind `again`, with what it still owes.
    j = flight.journey
    owed = parts if taken or len(parts) < len(flight.answers) else j.owed
    if not taken and j.throttled >= MAX_THROTTLED and o.reason != Reason.NOT_BOUND:
        _reroute(flight, o.reason or Reason.THROTTLED, verdict)
        return
    grown = j.throttled + (o.reason != Reason.NOT_BOUND)
    _again(flight, msgspec.structs.replace(j, owed=owed, throttled=grown, pinned=taken), verdict)


def _deferred(flight: Flight, o: Outcome, taken: bool, now_ms: int, verdict: Verdict) -> None:
    j = flight.journey
    if not taken:
        _reroute(flight, o.reason or Reason.TEMPORARY, verdict)
        return
    # Parts that the carrier has bind the rest to it: the others are tried again there, as a new attempt of those parts.
    owed = tuple(s.part for s, out in flight.answers if out.kind == Kind.DEFERRED)
    journey = msgspec.structs.replace(j, owed=owed, throttled=j.throttled + 1, pinned=True)
    if j.throttled >= MAX_THROTTLED:
        verdict.facts.append(_end(flight, State.FAILED, o.reason or Reason.TEMPORARY))
        return
    due = now_ms + max(int(o.after_s * 1000), 5_000)
    verdict.op, verdict.where, verdict.journey = "l", f"{due}|{_lane(flight)}", pack_journey(journey)


def _refused(flight: Flight, o: Outcome, taken: bool, verdict: Verdict) -> None:
    reason = o.reason or Reason.CARRIER_ERROR
    if RULES[reason].reroute and not taken:
        _reroute(flight, reason, verdict)
    else:
        verdict.facts.append(_end(flight, State.REJECTED, reason))


def _uncertain(flight: Flight, o: Outcome, taken: bool, verdict: Verdict) -> None:
    reason = o.reason or Reason.NO_ANSWER
    if flight.message.klass in RESEND_CLASSES and not taken:
        _reroute(flight, Reason.UNCERTAIN, verdict)
    else:
        verdict.facts.append(Held(flight.entry.message_id, flight.journey.attempt, reason))


def _end(flight: Flight, state: State, reason: str) -> Ended:
    return Ended(flight.entry.message_id, state, reason, flight.journey.attempt)


def expired(flight: Flight) -> Verdict:
    """The message's validity ended before it was sent."""
    return Verdict([_end(flight, State.EXPIRED, Reason.VALIDITY)])


def astray(flight: Flight) -> Verdict:
    """A test message came to a carrier that is no sandbox, or is none any more: nothing of it is sent there."""
    verdict = Verdict([])
    if flight.journey.pinned:
        verdict.facts.append(_end(flight, State.FAILED, Reason.NO_ROUTE))
    else:
        # A plan that was just changed is not known everywhere at the same moment: worth another round.
        _reroute(flight, Reason.NOT_BOUND, verdict)
    return verdict


class Told(msgspec.Struct, frozen=True):
    """What a carrier answered to a predecessor, by its journal. `runs`: of each shard's Redis then."""

    outcome: Outcome
    bind: str
    sent_ms: int
    answered_ms: int
    runs: tuple[bytes, ...]


def abandoned(
    flight: Flight, texts: Sequence[str], whole: bool, now_ms: int, told: Mapping[int, Told] = _NOTHING
) -> Verdict:
    """A marked entry whose connector died: every part that it owed is uncertain, but those of which it `told`."""
    for s in submissions(flight, texts, whole):
        known = told.get(s.part)
        if known is not None:
            s.bind, s.sent_ms = known.bind, known.sent_ms
        flight.answers.append((s, known.outcome if known is not None else uncertain(Reason.UNCERTAIN)))
    flight.waiting = 0
    verdict = judge(flight, now_ms)
    if told:
        _as_told(flight, told, verdict)
    return verdict


def _as_told(flight: Flight, told: Mapping[int, Told], verdict: Verdict) -> None:
    verdict.facts = [
        msgspec.structs.replace(fact, answered_ms=max(told[fact.part].answered_ms, fact.sent_ms))
        if isinstance(fact, Submitted) and fact.part in told
        else fact
        for fact in verdict.facts
    ]
    open_parts = tuple(s.part for s, o in flight.answers if o.kind == Kind.UNCERTAIN)
    taken = len(open_parts) + sum(o.kind == Kind.ACCEPTED for _, o in flight.answers) == len(flight.answers)
    if open_parts and taken and flight.message.klass in RESEND_CLASSES and not verdict.op:
        # The carrier has the other parts, so it gets these again: the phone joins them, and takes none twice.
        verdict.facts = [fact for fact in verdict.facts if not isinstance(fact, Held)]
        _again(flight, msgspec.structs.replace(flight.journey, owed=open_parts, pinned=True), verdict)
