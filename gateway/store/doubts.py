"""What nobody can place: receipts without a submission, and submissions without an answer.

In: a carrier (None: any) and a time since. Out: rows, newest first. Never: a write.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.store.pool import Pool


class Orphan(msgspec.Struct, frozen=True):
    """A receipt that no submission was found for."""

    at_ms: int
    carrier: str
    carrier_message_id: str
    state: str
    reason: str
    code: str
    recipient: str
    sender: str
    waiting: bool
    """It is still being tried; afterwards it stays as it came."""


class Doubtful(msgspec.Struct, frozen=True):
    """A submission that the carrier may have taken or not, and where its message stands."""

    message_id: bytes
    sent_ms: int
    attempt: int
    part: int
    carrier: str
    reason: str
    client: str
    klass: str
    state: str


async def orphans(pool: Pool, carrier: str | None, since_ms: int, limit: int) -> list[Orphan]:
    """Those that wait, and those that were given up. Raises StoreAwayError."""
    names = "at, carrier, carrier_message_id, state, reason, code, recipient, sender"
    which = "at >= $1 and ($2::text is null or carrier = $2)"
    rows = await pool.fetch(
        f"select * from (select {names}, false as waiting from receipts where message_id is null and {which}"
        f" union all select {names}, true from receipts_waiting where {which}) o order by at desc limit $3",
        *(since_ms, carrier, limit),
    )
    return [Orphan(*row) for row in rows]


async def doubtful(
    pool: Pool, carrier: str | None, since_ms: int, limit: int, *, open_only: bool = False
) -> list[Doubtful]:
    """Those that no late answer and no receipt has settled yet; `open_only`: nor the end of their message. Raises
    StoreAwayError."""
    found: list[Any] = await pool.fetch(
        "select s.message_id, s.sent_at, s.attempt, s.part, s.carrier, s.reason, m.client, m.class, m.state"
        " from submissions s join messages m on m.id = s.message_id"
        " where s.kind = 3 and s.sent_at >= $1 and ($2::text is null or s.carrier = $2) and not m.test"
        " and not ($4 and m.final_at is not null) order by s.sent_at desc limit $3",
        *(since_ms, carrier, limit, open_only),
    )
    return [Doubtful(*row) for row in found]
