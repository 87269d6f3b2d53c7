"""Messages, journeys, queued entries and asks for tests of the core, with defaults that no test depends on."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from gateway.connector.flight import Flight, Mark, submissions
from gateway.message import Journey, Message, id_tail, make_id, pack_journey, pack_message
from gateway.provider import Outcome, Submission
from gateway.streams.accept import Ask
from gateway.streams.keys import lane
from gateway.streams.reader import Queued

NOW_MS = 1_763_770_000_000
_numbers = itertools.count(1)


def message(**fields: Any) -> Message:
    """A marketing message of one part that is valid for an hour."""
    given: dict[str, Any] = {
        "client": "shop",
        "klass": "marketing",
        "to": "+79161234567",
        "sender": "Shop",
        "text": "Hello",
        "encoding": "gsm7",
        "parts": 1,
        "validity_s": 3600,
    }
    return Message(**given | fields)


def journey(**fields: Any) -> Journey:
    """The first attempt, at carrier `north`."""
    given: dict[str, Any] = {
        "attempt": 1,
        "carrier": "north",
        "operator": "mts",
        "price_micro": 2_150_000,
        "currency": "RUB",
        "plan_version": 7,
        "route": "default",
        "routed_ms": NOW_MS,
    }
    return Journey(**given | fields)


def message_id(time_ms: int = NOW_MS, shard: int = 0) -> bytes:
    """A fresh id."""
    return make_id(time_ms, id_tail(shard))


def queued(m: Message | None = None, j: Journey | None = None, *, id: bytes = b"") -> Queued:
    """An entry as a reader reads it."""
    value = (id or message_id()) + pack_message(m or message())
    return Queued(b"%d-%d" % (NOW_MS, next(_numbers)), value, pack_journey(j) if j else b"")


def flight(m: Message | None = None, j: Journey | None = None) -> Flight:
    """An entry that is marked, without an answer yet."""
    m, j = m or message(), j or journey()
    entry = queued(m, j)
    mark = Mark(0, f"outbox:{j.carrier}:{lane(m.klass, m.client)}", entry.entry_id, entry.entry_id, 1)
    return Flight(entry, mark, m, j, 0, [])


def answered(f: Flight, *outcomes: Outcome) -> Flight:
    """The flight with an outcome for each part that it owes."""
    made = submissions(f, ("Hello",) * f.message.parts, whole=False)
    assert len(made) == len(outcomes)
    f.answers = list(zip(made, outcomes, strict=True))
    f.waiting = 0
    return f


def parts_of(answers: list[tuple[Submission, Outcome]]) -> list[int]:
    """The numbers of the parts."""
    return [s.part for s, _ in answers]


def ask(n: int = 0, *, ref: bytes = b"", body: bytes = b"", shard: int = 0, due_ms: int = 0, **fields: Any) -> Ask:
    """What the API hands to accept."""
    m = message(**{"to": f"+7916{n:07d}"} | fields)
    return Ask(id_tail(shard), pack_message(m), m.klass, m.client, due_ms, ref, body or b"body-%03d" % (n % 1000))


def replaced(j: Journey, **fields: Any) -> Journey:
    """A journey with other fields."""
    return msgspec.structs.replace(j, **fields)
