"""Facts in, what to write out: one fold for one transaction. Pure: the rows it starts from are handed in.

Used by the recorder, which reads facts from Redis, and by the matcher of receipts, which makes them itself. Most
messages of a busy batch are accepted, submitted and delivered within it: they become one row to insert.
"""

from __future__ import annotations

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
from gateway.ledger.judge import Entry
from gateway.ledger.rows import CallbackDue, Changes, Matched, Note, Row, Stray, new_row
from gateway.message import Message

_NEW, _HEALED, _REPEATED, _KNOWN = Entry
CarrierId = tuple[str, str]
"""A carrier, and its id of a message."""


class Fold:
    """Life: `accept` and `apply` in the order of the facts, then `finish` once.

    rows: what the store has of the messages that the facts name; the fold changes them and adds to them. known:
    submissions that the receipts name. audience: whom to tell of what becomes of them.
    """

    def __init__(self, rows: dict[bytes, Row], known: dict[CarrierId, Matched], audience: Audience = NOBODY) -> None:
        self.audience = audience
        self.rows, self.known = rows, known
        self.fresh: dict[CarrierId, Matched] = {}
        self.changes = Changes()
        self._early: list[Received] = []

    def accept(self, message_id: bytes, message: Message) -> None:
        """A message of the accept script."""
        row = self.rows[message_id] = new_row(message_id, message)
        row.touched = True
        self.changes.rows.append(row)
        if message.callback_url or self.audience.of(message.client) is not None:
            row.ref, row.meta = message.ref, message.meta.decode()

    def apply(self, fact: AnyFact, at_ms: int) -> None:
        """Any other fact, and when its entry was made."""
        kind = type(fact)
        if kind is Submitted:
            self._submitted(fact, at_ms)  # type: ignore[arg-type]
        elif kind is Received:
            self._received(fact)  # type: ignore[arg-type]
        elif kind is Came:
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
            found = self.fresh.get((fact.carrier, fact.receipt.carrier_message_id))
            if found is None:
                self.changes.unmatched.append(fact)
            else:
                self.match(fact, found)
        self._early = []
        return self.changes

    def match(self, fact: Received, found: Matched) -> None:
        """A receipt and the submission it reports on."""
        self.changes.receipts.append((fact, found))
        message_id, attempt, part, _ = found
        row = self.rows.get(message_id)
        if row is None:
            return  # its submission is a stray: the receipt is kept beside it
        before = (row.delivered, row.undeliverable, row.earlier)
        if judge.receive(row, attempt, part, fact.receipt, fact.at_ms):
            self._final(row, fact.at_ms)
        elif (row.delivered, row.undeliverable, row.earlier) != before:
            self._touch(row, fact.at_ms)

    def _submitted(self, fact: Submitted, at_ms: int) -> None:
        if fact.carrier_message_id:
            self.fresh[fact.carrier, fact.carrier_message_id] = (fact.id, fact.attempt, fact.part, "id")
        row = self.rows.get(fact.id)
        if row is None:
            self.changes.strays.append(Stray(at_ms, fact.id, fact))
            self.changes.submissions.append((at_ms, fact))
            return
        before = row.state
        entry = judge.submit(row, fact, at_ms)
        if entry == _KNOWN:
            return
        if row.state != before and row.ref is not None:
            self._tell(row, at_ms)
        row.moved = True
        self._touch(row, at_ms)
        if entry == _NEW:
            self.changes.submissions.append((at_ms, fact))
        elif entry == _HEALED:
            self.changes.healed.append(fact)
        else:
            self.changes.repeated.append((at_ms, fact))

    def _received(self, fact: Received) -> None:
        key = (fact.carrier, fact.receipt.carrier_message_id)
        found = (self.fresh.get(key) or self.known.get(key)) if key[1] else None
        if found is None:
            self._early.append(fact)
        else:
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
                row.moved = True
                self._touch(row, at_ms)
                self._tell(row, at_ms)
        elif isinstance(fact, Rescheduled):
            notes.append(Note(fact.id, at_ms, "rescheduled", until_ms=fact.send_at_ms))
            if judge.reschedule(row, fact):
                self.changes.rescheduled.append(row)
                row.moved = True
                self._touch(row, at_ms)
        else:
            ended = judge.end(row, fact, at_ms)
            if ended:
                self._final(row, at_ms)
            if fact.by or not ended:
                notes.append(Note(fact.id, at_ms, "ended", fact.attempt, fact.state, fact.reason, fact.by))

    def _touch(self, row: Row, at_ms: int) -> None:
        row.told = True
        if at_ms > row.changed_ms:
            row.changed_ms = at_ms
        if not row.touched:
            row.touched = True
            self.changes.rows.append(row)

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
        event = Event(row.id, row.seq, at_ms, row.state, row.reason, row.ref, row.tag, row.meta, url)
        self.changes.callbacks += [CallbackDue(target, event) for target in targets]
