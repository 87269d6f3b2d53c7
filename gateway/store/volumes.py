"""Parts that carriers were given in a span, from the hourly roll-ups. Never reads a message."""

from __future__ import annotations

from collections.abc import Collection

from gateway.store.pool import Pool

TAKEN = ("submitted", "unknown", "delivered", "undeliverable", "expired")
"""States of messages whose parts a carrier has, or had."""

Volumes = dict[tuple[str, str, str], int]
"""(carrier, operator, class) → parts."""


async def volumes(
    pool: Pool,
    since_ms: int,
    until_ms: int | None = None,
    carriers: Collection[str] | None = None,
    delivered_only: Collection[str] = (),
) -> Volumes:
    """Of messages accepted in the span, by whole hours. carriers: only these. delivered_only: carriers of which only
    what arrived counts. Raises StoreAwayError."""
    rows = await pool.fetch(
        "select carrier, operator, class, sum(parts)::bigint as parts from stats_hour"
        " where at >= date_trunc('hour', $1::timestamptz) and ($2::timestamptz is null or at < $2) and carrier <> ''"
        " and state = any($3) and ($4::text[] is null or carrier = any($4))"
        " and (state = 'delivered' or carrier <> all($5)) group by 1, 2, 3 having sum(parts) > 0",
        *(since_ms, until_ms, list(TAKEN), None if carriers is None else list(carriers), list(delivered_only)),
    )
    return {(row["carrier"], row["operator"], row["class"]): row["parts"] for row in rows}
