"""Facts in, what to write out: one fold for one transaction. Pure: the rows it starts from are handed in.

Used by the recorder, which reads facts from Redis, and by the matcher of receipts, which makes them itself. Most
messages of a busy batch are accepted, submitted and delivered within it: they become one row to insert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter

from msgspec.structs import replace

from gateway import deliveries
from gateway.callbacks.audience import NOBODY, Audience
from gateway.callbacks.event import Event
from gateway.events import (
    AnyFact,
    Batched,
    Came,
    Ended,
    Held,
    Parked,
    Received,
    Rescheduled,
    Submitted,
    Waiting,
)
from gateway.ledger import judge
from gateway.ledger.judge import Entry, Meaning
from gateway.ledger.rows import EVERY_PART, CallbackDue, Changes, Matched, Note, Row, Stray, new_row
from gateway.message import FINAL, Message, State, id_shard
from gateway.provider import Kind

_NEW, _HEALED, _REPEATED, _KNOWN = Entry
_NOTED, _FINAL = Meaning.NOTED, Meaning.FINAL
_ACCEPTED = int(Kind.ACCEPTED)
_as_sent = attrgetter("submitted_ms", "klass", "carrier", "operator")
_as_decided = attrgetter("submitted_ms", "final_ms", "state", "klass", "carrier", "operator")
CarrierId = tuple[str, str]
"""A carrier, and its id of a message."""


class Fold:
    """Life: `accept` and `apply` in the order of the facts, then `finish` once.

    rows: what the store has of the messages that the facts name; the fold changes them and adds to them. known:
    submissions that the receipts name; those of the facts are added. audience: whom to tell of what becomes of them.
    number: another one than that of any fold that these rows went through.
    """

    def __init__(
        self,
        rows: dict[bytes, Row],
        known: dict[CarrierId, Matched],
        audience: Audience = NOBODY,
        number: int = 1,
    ) -> None:
        self.audience, self.number = audience, number
        self.rows, self.known = rows, known
        self.changes = Changes(number)
        self.ended: list[bytes] = []  # messages that came to their end or are there; some more than once
        self.spent: list[CarrierId] = []  # submissions that were received, or whose message is not open
        self._early: list[Received] = []
        self._sent: list[Row] = []  # to be counted as sent,
        self._decided: list[Row] = []  # and as delivered or failed, while it is the same attempt

    def accept(self, accepted: Iterable[tuple[bytes, Message]]) -> None:
        """Messages of the accept script."""
        rows, append, number, endpoints = self.rows, self.changes.fresh.append, self.number, self.audience.of
        for message_id, message in accepted:
            row = rows[message_id] = new_row(message_id, message, number)
            append(row)
            if message.callback_url or endpoints(message.client) is not None:
                row.ref, row.meta = message.ref, message.meta.decode()

    def apply(self, facts: Iterable[AnyFact], at_ms: int) -> None:
        """The other facts of one entry, and when it was made."""
        submitted, received = self._submitted, self._received
        for fact in facts:
            kind = type(fact)
            if kind is Submitted:
                submitted(fact, at_ms)  # type: ignore[arg-type]
            elif kind is Received:
                received(fact)  # type: ignore[arg-type]
            else:
                self._seldom(fact, at_ms)

    def _seldom(self, fact: AnyFact, at_ms: int) -> None:
        kind = type(fact)
        if kind is Came:
            self.changes.inbound.append(fact)  # type: ignore[arg-type]
        elif kind is Waiting:
            self.changes.waiting.append((at_ms, fact))  # type: ignore[arg-type]
        elif kind is Batched:
            self.changes.batches.append((at_ms, fact))  # type: ignore[arg-type]
        else:
            self._turned(fact, at_ms)  # type: ignore[arg-type]

    def finish(self) -> Changes:
        """Receipts that came before their submission in this batch find it now; the rest has to wait."""
        for fact in self._early:
            key = (fact.carrier, fact.receipt.carrier_message_id)
            found = self.known.get(key) if key[1] else None
            if found is None:
                self.changes.unmatched.append(fact)
            else:
                self.spent.append(key)
                self.match(fact, found)
        self._early = []
        self._count()
        return self.changes

    def match(self, fact: Received, found: Matched) -> None:
        """A receipt and the submission it reports on."""
        at_ms = fact.at_ms
        if found[2] == EVERY_PART:
            fact = replace(fact, receipt=replace(fact.receipt, whole=True))
            found = (*found[:2], 0, *found[3:])
        self.changes.receipts.append((fact, found))
        message_id, attempt, part, _, due_micro, currency = found
        row = self.rows.get(message_id)
        if row is None:
            return  # its submission is a stray: the receipt is kept beside it
        if due_micro:
            cost_micro = row.cost_micro
            meaning = judge.receive(row, attempt, part, fact.receipt, at_ms, due_micro, currency)
            if row.cost_micro != cost_micro:
                row.moved = self.number  # a cost is more than what a receipt changes in general
        else:
            meaning = judge.receive(row, attempt, part, fact.receipt, at_ms)
        if meaning is _FINAL:
            self._final(row, at_ms)
            if attempt == row.attempt and not row.test:
                self._decided.append(row)
        elif meaning is _NOTED:
            self._touch(row, at_ms)
        elif row.state in FINAL:
            self.ended.append(message_id)

    def _submitted(self, fact: Submitted, at_ms: int) -> None:
        message_id = fact.id
        row = self.rows.get(message_id)
        if fact.carrier_message_id:
            key = (fact.carrier, fact.carrier_message_id)
            due_micro = fact.due_micro if fact.billed_on_delivery else 0
            part = fact.part
            if fact.parts > 1 and (other := self.known.get(key)) and other[:2] == (message_id, fact.attempt):
                part = part if other[2] == part else EVERY_PART
            self.known[key] = (message_id, fact.attempt, part, "id", due_micro, fact.currency)
            if row is None or row.state in FINAL:
                self.spent.append(key)
        if row is None:
            self.changes.strays.append(Stray(at_ms, message_id, fact))
            self.changes.submissions.append((at_ms, fact))
            return
        before = row.state
        if row.attempt and fact.attempt > row.attempt:
            self._count()  # another carrier has it from now on
        entry = judge.submit(row, fact)
        if entry is _KNOWN:
            return
        if row.delivered and judge.complete(row, at_ms):
            self.changes.finals.append(row.state)
            if row.state == State.DELIVERED and not row.test:
                self._decided.append(row)
        if row.ref is not None and row.state != before:
            self._tell(row, at_ms)
        row.moved = self.number
        self._touch(row, at_ms)
        if fact.part <= 1:
            if fact.kind == _ACCEPTED and not row.test:
                self._sent.append(row)
            if fact.treatment and entry is not _HEALED:
                note = Note(message_id, fact.routed_ms or at_ms, "rewritten", fact.attempt, by=fact.treatment)
                self.changes.notes.append(note)
        if entry is _NEW:
            self.changes.submissions.append((at_ms, fact))
        elif entry is _HEALED:
            self.changes.healed.append(fact)
        else:
            self.changes.repeated.append((at_ms, fact))

    def _count(self) -> None:
        """Into the counts of the carriers that have them, at the time of sending. Thousands of rows are alike."""
        for (sent_ms, *what), number in Counter(map(_as_sent, self._sent)).items():
            self._add(self._sent[0], sent_ms, what, deliveries.SENT, number)
        for (sent_ms, final_ms, state, *what), number in Counter(map(_as_decided, self._decided)).items():
            delivered = state == State.DELIVERED
            place = deliveries.slot(max(final_ms - sent_ms, 0)) if delivered else deliveries.FAILED
            self._add(self._decided[0], sent_ms, what, place, number)
        self._sent.clear()
        self._decided.clear()

    def _add(self, one: Row, sent_ms: int, what: Sequence[str], place: int, number: int) -> None:
        """`one`: of those whose shard it counts in; `what`: class, carrier, operator."""
        if sent_ms:
            klass, carrier, operator = what
            counted = (deliveries.bucket_ms(klass, sent_ms), id_shard(one.id), klass, carrier, operator)
            self.changes.deliveries.setdefault(counted, [0] * deliveries.WIDTH)[place] += number

    def _received(self, fact: Received) -> None:
        key = (fact.carrier, fact.receipt.carrier_message_id)
        found = self.known.get(key) if key[1] else None
        if found is None:
            self._early.append(fact)
        else:
            self.spent.append(key)
            self.match(fact, found)

    def _turned(self, fact: Ended | Held | Rescheduled | Parked, at_ms: int) -> None:
        row, notes = self.rows.get(fact.id), self.changes.notes
        if row is None:
            self.changes.strays.append(Stray(at_ms, fact.id, fact))
        elif isinstance(fact, Parked):
            notes.append(Note(fact.id, at_ms, "parked", fact.attempt, "", fact.reason, "", fact.until_ms))
        elif isinstance(fact, Held):
            notes.append(Note(fact.id, at_ms, "held", fact.attempt, "", fact.reason))
            if judge.hold(row, fact):
                row.moved = self.number
                self._touch(row, at_ms)
                self._tell(row, at_ms)
        elif isinstance(fact, Rescheduled):
            notes.append(Note(fact.id, at_ms, "rescheduled", until_ms=fact.send_at_ms))
            if judge.reschedule(row, fact):
                self.changes.rescheduled.append(row)
                row.moved = self.number
                self._touch(row, at_ms)
        else:
            ended = judge.end(row, fact, at_ms)
            if ended:
                self._final(row, at_ms)
            if fact.by or not ended:
                notes.append(Note(fact.id, at_ms, "ended", fact.attempt, fact.state, fact.reason, fact.by))

    def _touch(self, row: Row, at_ms: int) -> None:
        if at_ms > row.changed_ms:
            row.changed_ms = at_ms
        if row.fold != self.number:
            row.fold = self.number
            self.changes.changed.append(row)
        elif not row.told:
            row.told = True
        if row.state in FINAL:
            self.ended.append(row.id)

    def _final(self, row: Row, at_ms: int) -> None:
        self.changes.finals.append(row.state)
        self._touch(row, at_ms)
        if row.ref is not None:
            self._tell(row, at_ms)

    def _tell(self, row: Row, at_ms: int) -> None:
        """Whoever wants to hear of the state that the message has now."""
        if row.ref is None or not (targets := self.audience.targets(row.client, row.callback_url, row.state)):
            return
        row.seq += 1
        url = row.callback_url
        event = Event(row.id, row.seq, at_ms, row.state, row.reason, row.ref, row.tag, row.meta, url, row.test)
        self.changes.callbacks += [CallbackDue(target, event) for target in targets]
