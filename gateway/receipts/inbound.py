"""Subscribers' messages: put together, given to their client, told to its endpoints; each exactly once.

In: pieces that the recorder wrote down, the plan's rules. Out: rows of whole messages and events in the outbox, in one
transaction. Never: a piece thrown away; what cannot be read is kept in quarantine as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from gateway import logs, metrics
from gateway.callbacks import inbound as document
from gateway.callbacks.audience import NOBODY, Audience
from gateway.callbacks.event import INBOUND, Event
from gateway.ledger.rows import CallbackDue
from gateway.message import id_text
from gateway.plan.document import InboundRule, StopWords
from gateway.plan.inbound import client_of, number_of
from gateway.receipts import unflagged
from gateway.receipts.assembly import PARTS_MS, SAME_MS, Assembled, Piece, Whole, assemble
from gateway.receipts.stop_requests import StopRequests
from gateway.store import callbacks, inbound, quarantine
from gateway.store.inbound import Last, Place
from gateway.store.pool import Pool
from gateway.store.quarantine import Refused
from gateway.store.recipients import recipient_hash

log = logs.stage("receipts")

TURN = 200


async def hear(
    pool: Pool,
    rules: Sequence[InboundRule],
    now_ms: int,
    audience: Audience = NOBODY,
    requests: StopRequests | None = None,
) -> int:
    """One turn; how many pieces found their place. `requests`: new ones, that heed STOP and START.

    Raises StoreAwayError.
    """
    key, requests = await pool.recipient_key(), requests or StopRequests(StopWords())
    async with pool.transaction() as connection:
        rows = await inbound.take(connection, now_ms, TURN, PARTS_MS + SAME_MS)
        if not rows:
            return 0
        found = assemble([Piece(*row[:-1], row.head if row.settled else b"") for row in rows], now_ms)
        receipts = await unflagged.among(connection, found.wholes, key, now_ms)
        found.wholes = [whole for whole in found.wholes if whole.head.id not in receipts]
        places = [Place(one, fact.at_ms, "receipt") for one, fact in receipts.items()]
        await unflagged.keep(connection, list(receipts.values()), now_ms)
        dues: list[CallbackDue] = []
        asked: list[tuple[Whole, str]] = []
        for whole in found.wholes:
            client, last = await _whose(connection, rules, whole, key, now_ms)
            asked.append((whole, client))
            places += _places(whole, client, last)
            dues += _told(whole, client, last, now_ms, audience)
        # Who writes STOP, START, STOP within a minute is not a carrier that repeats itself: each STOP counts.
        for whole in (Whole(p, (p,), p.text) for p, _ in found.repeats if not p.total and requests.stops(p.text)):
            asked.append((whole, (await _whose(connection, rules, whole, key, now_ms))[0]))
        for whole, client in sorted(asked, key=lambda one: (one[0].head.at_ms, one[0].head.id)):
            head = whole.head
            await requests.heed(connection, key, number_of(head.sender), client, head.carrier, whole.text)
        places += [Place(piece.id, piece.at_ms, "repeat", head) for piece, head in found.repeats]
        places += [Place(piece.id, piece.at_ms, "damaged") for piece in found.damaged]
        await inbound.settle(connection, places, now_ms)
        await inbound.put_off(connection, [(piece.id, piece.at_ms, until) for piece, until in found.waiting])
        await quarantine.keep(connection, 0, [_refused(piece) for piece in found.damaged])
        await callbacks.add(connection, dues)
    requests.committed()
    _count(found, len(dues))
    if receipts:
        metrics.inbound_heard.labels("receipt").inc(len(receipts))
        carriers = sorted({fact.carrier for fact in receipts.values()})
        log.info("unflagged_receipts", carriers=carriers, receipts=len(receipts))
    return len(places)


async def _whose(
    connection: asyncpg.Connection, rules: Sequence[InboundRule], whole: Whole, key: bytes, now_ms: int
) -> tuple[str, Last | None]:
    """The client by the rules, else by the last message that went to the subscriber; and that message, if it is the
    client's own."""
    head = whole.head
    client = client_of(rules, head.recipient, whole.text)
    number = recipient_hash(key, number_of(head.sender) if head.sender[:1] != "+" else head.sender)
    last = await inbound.last_sent(connection, number, head.recipient, client, now_ms)
    return client or (last.client if last is not None else ""), last


def _places(whole: Whole, client: str, last: Last | None) -> list[Place]:
    head = whole.head
    several = whole.text if head.total else None
    reply_to, test = (last.id, last.test) if last is not None else (None, False)
    first = Place(head.id, head.at_ms, "message", None, several, whole.missing, client, reply_to, test)
    return [first] + [Place(p.id, p.at_ms, "part", head.id) for p in whole.pieces if p.id != head.id]


def _told(whole: Whole, client: str, last: Last | None, now_ms: int, audience: Audience) -> list[CallbackDue]:
    targets = audience.targets(client, "", INBOUND) if client else ()
    if not targets:
        return []
    head = whole.head
    reply_to = document.ReplyTo(id_text(last.id), last.ref or None, last.tag or None) if last is not None else None
    test = last is not None and last.test
    data = document.data(
        head.id,
        head.at_ms,
        head.carrier,
        (number_of(head.sender), head.recipient),
        whole.text,
        len(whole.pieces),
        whole.missing,
        reply_to,
        test,
    )
    event = Event(head.id, 1, now_ms, INBOUND, meta=data, test=test)
    return [CallbackDue(target, event) for target in targets]


def _refused(piece: Piece) -> Refused:
    return Refused("", "inbound", None, f"a delivery of carrier {piece.carrier} cannot be read", piece.raw)


def _count(found: Assembled, told: int) -> None:
    metrics.inbound_heard.labels("whole").inc(sum(not w.missing for w in found.wholes))
    metrics.inbound_heard.labels("incomplete").inc(sum(w.missing > 0 for w in found.wholes))
    metrics.inbound_heard.labels("repeat").inc(len(found.repeats))
    metrics.inbound_heard.labels("damaged").inc(len(found.damaged))
    if found.wholes or found.damaged:
        log.info("inbound", messages=len(found.wholes), told=told, repeats=len(found.repeats))
