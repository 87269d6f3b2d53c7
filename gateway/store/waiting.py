"""Receipts that wait for their submission: which are due, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from gateway.events import Received
from gateway.provider import Receipt


class WaitingReceipt(NamedTuple):
    """A row of receipts_waiting."""

    id: int
    tries: int
    fact: Received


async def due(connection: asyncpg.Connection, now_ms: int, limit: int) -> list[WaitingReceipt]:
    """The oldest that are to be tried now; locked until the transaction ends."""
    rows = await connection.fetch(
        "select id, tries, carrier, at, carrier_message_id, state, code, reason,"
        " coalesce(done_at, 'epoch'::timestamptz), recipient, sender, echo, raw, bind, whole from receipts_waiting"
        " where next_try_at <= $1 order by next_try_at limit $2 for update skip locked",
        now_ms,
        limit,
    )
    return [
        WaitingReceipt(number, tries, Received(carrier, at_ms, Receipt(*receipt)))
        for number, tries, carrier, at_ms, *receipt in rows
    ]


async def remove(connection: asyncpg.Connection, numbers: Sequence[int]) -> None:
    """They have their place in `receipts` now."""
    if numbers:
        await connection.execute("delete from receipts_waiting where id = any($1::bigint[])", numbers)


async def put_off(connection: asyncpg.Connection, until: Sequence[tuple[int, int]]) -> None:
    """Try again later: (id, when)."""
    if until:
        await connection.execute(
            "update receipts_waiting w set tries = w.tries + 1, next_try_at = u.at"
            " from unnest($1::bigint[], $2::timestamptz[]) as u(id, at) where w.id = u.id",
            [number for number, _ in until],
            [at_ms for _, at_ms in until],
        )


async def count(connection: asyncpg.Connection) -> tuple[int, int]:
    """How many wait, and since when the oldest does (ms since the epoch)."""
    number, since_ms = await connection.fetchrow(
        "select count(*), coalesce(min(at), 'epoch'::timestamptz) from receipts_waiting"
    )
    return number, since_ms
