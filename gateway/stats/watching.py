"""Reads what scorecards and incidents are made of. In: a span. Out: what scorecards.py and incidents.py make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.ledger.slices import DAY_MS, QUARTER_MS, STATES
from gateway.stats.definitions import TAKEN
from gateway.stats.incidents import Incident, Window, incidents
from gateway.stats.reading import Asked
from gateway.stats.scorecards import Scorecard, scorecards
from gateway.stats.slicing import slices, windows
from gateway.store.pool import Pool

EARLIER_DAYS: Final = 7
_PATIENCE_MS: Final = 2 * QUARTER_MS
"""Receipts are waited for so long before their absence means anything."""

_OF_CARRIERS: Final = (
    *STATES,
    *(f"{state}_parts" for state in TAKEN),
    *(f"{state}_cost_micro" for state in STATES),
    "delivery_latency",
)
_OF_CLIENTS: Final = (*STATES, *(f"{state}_parts" for state in STATES))
"""Columns that are judged."""


async def score(pool: Pool, since_ms: int, until_ms: int) -> list[Scorecard]:
    """Of all messages accepted in the span. Raises StoreAwayError."""
    found = await slices(pool, Asked(since_ms, until_ms, ("carrier", "operator", "reason")))
    return scorecards(found)


async def watch(
    pool: Pool,
    since_ms: int,
    until_ms: int,
    words: Callable[[str], str | None],
    earlier_days: int = EARLIER_DAYS,
) -> list[Incident]:
    """What is unusual in a span against the same hours of the days before. Raises StoreAwayError.

    Of a span that reaches to now, what may still be under way is left out where receipts count.
    """
    until = until_ms - until_ms % QUARTER_MS
    settled = max(since_ms + QUARTER_MS, until - min(_PATIENCE_MS, (until - since_ms) // 4))
    backs = [days * DAY_MS for days in range(earlier_days + 1)]
    spans = [(since_ms - back, settled - back) for back in backs], [(since_ms - back, until - back) for back in backs]
    carriers, clients = await asyncio.gather(
        windows(pool, spans[0], ("carrier", "operator", "reason"), _OF_CARRIERS),
        windows(pool, spans[1], ("client", "sender", "reason"), _OF_CLIENTS),
    )
    now, *earlier = map(Window, carriers, clients)
    known = [one for one in earlier if one.clients]
    return await asyncio.to_thread(incidents, now, known, words)
