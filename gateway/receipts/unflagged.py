"""Receipts that came without their flag, as if subscribers had written them.

In: whole messages of subscribers. Out: those that are receipts, for the submissions that they name. Never: a guess; a
text is a receipt only when it names, by the carrier's own id, a message to the very number that it seems to come from.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from msgspec.structs import replace

from gateway.events import Received
from gateway.ledger.fold import CarrierId
from gateway.plan.inbound import number_of
from gateway.receipts.assembly import Whole
from gateway.smpp.ids import spellings
from gateway.smpp.pdu import ShortMessage
from gateway.smpp.receipt import ReceiptReader, looks_like_one
from gateway.store import lookups, records
from gateway.store.recipients import recipient_hash


async def among(
    connection: asyncpg.Connection, wholes: Sequence[Whole], key: bytes, now_ms: int
) -> dict[bytes, Received]:
    """By the id of the piece."""
    read = {whole.head.id: (whole, fact) for whole in wholes if (fact := _read(whole)) is not None}
    if not read:
        return {}
    await lookups.use_indexes(connection)
    ways = {one: _ways(fact) for one, (_, fact) in read.items()}
    named = {way for tried in ways.values() for way in tried}
    known = await lookups.submissions(connection, named, now_ms, lookups.FAR_DAYS)
    found = {one: known[way] for one, tried in ways.items() if (way := next((w for w in tried if w in known), None))}
    ids = [match[0] for match in found.values()]
    rows = await connection.fetch("select id, recipient_hash from messages where id = any($1::uuid[])", ids)
    recipients = dict(map(tuple, rows))
    return {one: read[one][1] for one, match in found.items() if recipients.get(match[0]) in _hashes(read[one][0], key)}


async def keep(connection: asyncpg.Connection, receipts: Sequence[Received], now_ms: int) -> None:
    """They are tried at once with those that wait for their submission."""
    if receipts:
        made = [records.waiting_receipt(now_ms, fact) for fact in receipts]
        await connection.copy_records_to_table("receipts_waiting", columns=records.WAITING_RECEIPT, records=made)


def _read(whole: Whole) -> Received | None:
    """The receipt that the text would be, without its date: whose zone is not known here."""
    head = whole.head
    text = whole.text.encode("latin-1", "replace")
    if head.total or not looks_like_one(text):
        return None
    m = ShortMessage(source=head.sender.encode("latin-1", "replace"), dest=head.recipient.encode(), message=text)
    receipt = ReceiptReader(unflagged=True).read(m)
    return Received(head.carrier, head.at_ms, replace(receipt, done_ms=0)) if receipt is not None else None


def _ways(fact: Received) -> list[CarrierId]:
    name = fact.receipt.carrier_message_id
    return [(fact.carrier, name), *((fact.carrier, other) for other in spellings(name))]


def _hashes(whole: Whole, key: bytes) -> set[int]:
    """Of the number that it seems to come from, or, with addresses as in the submit, to go to."""
    return {
        recipient_hash(key, "+" + number_of(a).removeprefix("+")) for a in (whole.head.sender, whole.head.recipient)
    }
