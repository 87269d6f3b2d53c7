"""What the messages of a span cost, from the roll-ups, by client and tag. Never reads a message."""

from __future__ import annotations

from typing import NamedTuple

from gateway.store.pool import Pool

OPEN = ("accepted", "scheduled", "routed")
"""States of messages that no carrier has yet, so that they cost nothing so far."""


class Spent(NamedTuple):
    """Of one client, tag and currency. `messages` and those of them that are `open`."""

    client: str
    tag: str
    currency: str
    cost_micro: int
    messages: int
    open: int


async def spending(pool: Pool, since_ms: int, until_ms: int, *, by_hour: bool) -> list[Spent]:
    """Of messages accepted in the span, by whole minutes, or hours where those are enough. Raises StoreAwayError."""
    table = "stats_hour" if by_hour else "stats_minute"
    rows = await pool.fetch(
        "select client, tag, currency, sum(cost_micro)::bigint, sum(messages)::bigint,"
        f" coalesce(sum(messages) filter (where state = any($3)), 0)::bigint from {table}"
        " where at >= $1 and at < $2 group by 1, 2, 3",
        *(since_ms, until_ms, list(OPEN)),
    )
    return [Spent(*row) for row in rows]
