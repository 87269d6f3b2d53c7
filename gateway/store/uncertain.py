"""Uncertain submissions: nobody knows whether the carrier took them. A receipt without a submission may tell."""

from __future__ import annotations

import asyncpg
import msgspec

from gateway.events import Submitted
from gateway.store.days import DAY_MS, day_of, time_bounds

LIMIT = 20_000


class Uncertain(msgspec.Struct, frozen=True):
    """One, with what its message says. `fact` is as it was reported."""

    fact: Submitted
    recipient: str
    sender: str


async def of_carrier(connection: asyncpg.Connection, carrier: str, from_ms: int, to_ms: int) -> list[Uncertain]:
    """The newest that were sent in this time."""
    rows = await connection.fetch(
        "select message_id, attempt, part, parts, carrier, bind, kind, reason, code, carrier_message_id, operator,"
        " price_micro, currency, plan_version, route, coalesce(routed_at, 'epoch'::timestamptz), sent_at, answered_at,"
        " echo, late, '', billed_on_delivery from submissions"
        " where kind = 3 and carrier = $1 and sent_at >= $2 and sent_at <= $3 and "
        + time_bounds("sent_at", day_of(from_ms), day_of(to_ms + DAY_MS))
        + " order by sent_at desc limit $4",
        carrier, from_ms, to_ms, LIMIT,
    )  # fmt: skip
    facts = [Submitted(*row) for row in rows]
    found = await connection.fetch(
        "select id, recipient, sender from messages where id = any($1)", list({fact.id for fact in facts})
    )
    people = {message_id: (recipient, sender) for message_id, recipient, sender in found}
    return [Uncertain(fact, *people[fact.id]) for fact in facts if fact.id in people]
