"""Everything with one number: what was sent to it and what it wrote, in one list, newest first.

In: a client, a number, from where on. Out: rows of messages and of subscribers' messages, in the order of their ids,
which carry their times. Never: a write, another client's rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice

from gateway.message import id_time_ms
from gateway.store import inbound, search
from gateway.store.inbound import InboundRow
from gateway.store.messages import Found
from gateway.store.pool import Pool, StoreAwayError
from gateway.store.recipients import recipient_hash

Row = Found | InboundRow


async def of_number(
    pool: Pool, client: str, number: str, *, since_ms: int | None = None, cursor: bytes | None = None, limit: int = 50
) -> Sequence[Row]:
    """`number` is E.164; `cursor` is the id of the last one of the page before. Raises StoreAwayError."""
    before = (id_time_ms(cursor), cursor) if cursor is not None else None
    number_hash = recipient_hash(await pool.recipient_key(), number)
    try:
        async with asyncio.TaskGroup() as both_at_once:
            sent = both_at_once.create_task(
                search.find(pool, client, to=number, since_ms=since_ms, cursor=cursor, limit=limit),
                name="sent to a number",
            )
            heard = both_at_once.create_task(
                inbound.of_number(pool, client, number_hash, since_ms=since_ms or 0, before=before, limit=limit),
                name="heard from a number",
            )
    except ExceptionGroup as group:  # not except*: what it raises is a group or not, by the release of Python
        away, others = group.split(StoreAwayError)
        if away is None or others is not None:
            raise
        raise StoreAwayError(str(away.exceptions[0])) from away
    both: Iterator[Row] = merge(sent.result(), heard.result(), key=_id_of, reverse=True)
    return list(islice(both, limit))


def _id_of(row: Row) -> bytes:
    return row.id
