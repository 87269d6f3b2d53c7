"""Where messages are whose receipt is overdue: spans of ids by due time and accepting hour, booked when accepted.

So that no index has to stand on a column that changes, and each message is looked at about once after its time.
"""

from __future__ import annotations

from typing import NamedTuple

import asyncpg

from gateway.store.ledger import DUE_MS

_WITH_CARRIER = ("submitted", "unknown")
_QUEUED = ("accepted", "scheduled", "routed")


class Span(NamedTuple):
    """Messages whose deadline lies in the ten minutes up to `due_ms`, with their first and last id."""

    due_ms: int
    accepted_ms: int
    shard: int
    first: bytes
    last: bytes


async def due(connection: asyncpg.Connection, before_ms: int, limit: int, *, begun: bool = False) -> list[Span]:
    """Spans to look at, oldest first; locked until the transaction ends. `begun`: also those that have only begun."""
    rows = await connection.fetch(
        "select due, accepted, shard, first_id, last_id from deadlines"
        " where due <= $1 and (look_at <= $2 or look_at = due) order by due limit $3 for update skip locked",
        before_ms + (DUE_MS if begun else 0),
        before_ms,
        limit,
    )
    return [Span(*row) for row in rows]


async def overdue(connection: asyncpg.Connection, span: Span, limit: int, before_ms: int = 0) -> list[bytes]:
    """At most `limit` of the span's messages that are with a carrier; not 0: with a deadline before that."""
    first, last, after_ms, until_ms = _within(span)
    until_ms = min(until_ms, before_ms or until_ms)
    found = await connection.fetch(_IN_STATES, first, last, after_ms, until_ms, list(_WITH_CARRIER), limit)
    return [row["id"] for row in found]


async def with_carrier(
    connection: asyncpg.Connection, span: Span, carrier: str, after: bytes, limit: int
) -> list[bytes]:
    """At most `limit` of the span's messages that this carrier has, by their ids, from the one after `after` on."""
    found = await connection.fetch(
        "select id from messages where id >= $1 and id <= $2 and id > $3 and deadline > $4 and deadline <= $5"
        " and state = any($6) and carrier = $7 order by id limit $8",
        span.first, span.last, after or bytes(16), *_within(span)[2:], list(_WITH_CARRIER), carrier, limit,
    )  # fmt: skip
    return [row["id"] for row in found]


async def queued(connection: asyncpg.Connection, span: Span) -> bool:
    """Whether a message of the span is still in our own queues."""
    return bool(await connection.fetch(_IN_STATES, *_within(span), list(_QUEUED), 1))


_IN_STATES = """select id from messages where id >= $1 and id <= $2 and deadline > $3 and deadline <= $4
    and state = any($5) order by id limit $6"""


def _within(span: Span) -> tuple[bytes, bytes, int, int]:
    return span.first, span.last, span.due_ms - DUE_MS, span.due_ms


async def done(connection: asyncpg.Connection, span: Span) -> None:
    """None of its messages is open."""
    await connection.execute(
        "delete from deadlines where due = $1 and accepted = $2 and shard = $3",
        span.due_ms,
        span.accepted_ms,
        span.shard,
    )


async def look_again(connection: asyncpg.Connection, span: Span, at_ms: int) -> None:
    """Some are open: those whose time has not come, or in our own queues, where they end or reach a carrier."""
    await connection.execute(
        "update deadlines set look_at = $4 where due = $1 and accepted = $2 and shard = $3",
        span.due_ms, span.accepted_ms, span.shard, at_ms,
    )  # fmt: skip


async def between(connection: asyncpg.Connection, from_ms: int, to_ms: int, limit: int) -> list[Span]:
    """Spans whose time came in between, oldest first; only to look at."""
    rows = await connection.fetch(
        "select due, accepted, shard, first_id, last_id from deadlines where due > $1 and due <= $2"
        " order by due limit $3",
        from_ms, to_ms, limit,
    )  # fmt: skip
    return [Span(*row) for row in rows]
