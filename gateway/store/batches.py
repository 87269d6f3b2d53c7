"""Which messages of a batch are still open: what a cancel or a new time can be tried on.

In: a batch's id. Out: ids and classes. Never: a write.
"""

from __future__ import annotations

from gateway.message import FINAL, make_id
from gateway.store.pool import Pool

_NEAR_MS = 3_600_000
_FINAL = [str(state) for state in FINAL]


async def open_messages(pool: Pool, batch_id: bytes, at_ms: int) -> tuple[int, list[tuple[bytes, str, str]]]:
    """How many of the batch's messages are recorded by now, and (id, class, state) of those that have not ended."""
    near = (make_id(at_ms - _NEAR_MS, bytes(10)), make_id(at_ms + _NEAR_MS, bytes(10)))
    rows = await pool.fetch(
        "select id, class, state from messages where batch_id = $1 and id >= $2 and id < $3", batch_id, *near
    )
    return len(rows), [(r["id"], r["class"], r["state"]) for r in rows if r["state"] not in _FINAL]
