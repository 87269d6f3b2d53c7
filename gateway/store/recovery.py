"""What PostgreSQL says about messages when Redis came back older: which are still to be sent, which are not.

For `sluice recover` only: it reads whole days.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import asyncpg

from gateway.message import Message, id_shard, id_time_ms, make_id
from gateway.store.days import DAY_MS

QUEUED = ("accepted", "scheduled", "routed")
"""States of messages that wait in our own queues."""

_PAGE = 5_000
_COLUMNS = """id, client, class, recipient, sender, text, encoding, parts, deadline,
    coalesce(send_at, 'epoch'::timestamptz) as send_at, ref, tag, meta, callback_url, batch_id, concat_ref, key_id,
    test, traceparent"""


async def still_queued(
    connection: asyncpg.Connection, shard: int, from_ms: int, now_ms: int
) -> AsyncIterator[list[tuple[bytes, Message]]]:
    """Messages of a shard that were accepted since `from_ms`, wait in our queues and are still worth sending."""
    after, end = make_id(from_ms, bytes(10)), make_id(now_ms + DAY_MS, bytes(10))
    while True:
        rows = await connection.fetch(
            f"select {_COLUMNS} from messages where id > $1 and id < $2 and state = any($3) and deadline > $4"
            " order by id limit $5",
            after, end, list(QUEUED), now_ms, _PAGE,
        )  # fmt: skip
        if not rows:
            return
        after = rows[-1]["id"]
        yield [_message(row) for row in rows if id_shard(row["id"]) == shard]


async def over(connection: asyncpg.Connection, ids: Collection[bytes]) -> set[bytes]:
    """Those that have nothing to do in a queue any more. One of which a carrier has only some parts still has."""
    rows = await connection.fetch(
        "select id from messages where id = any($1) and state <> all($2)"
        " and not (state = 'submitted' and units > 0 and accepted_mask | unsure_mask <> (1::bigint << units) - 1)",
        list(ids),
        list(QUEUED),
    )
    return {row["id"] for row in rows}


def _message(row: asyncpg.Record) -> tuple[bytes, Message]:
    begin_ms = max(id_time_ms(row["id"]), row["send_at"])
    return row["id"], Message(
        client=row["client"],
        klass=row["class"],
        to=row["recipient"],
        sender=row["sender"],
        text=row["text"],
        encoding=row["encoding"],
        parts=row["parts"],
        validity_s=(row["deadline"] - begin_ms) // 1000,
        send_at_ms=row["send_at"],
        ref=row["ref"],
        tag=row["tag"],
        meta=row["meta"].encode(),
        callback_url=row["callback_url"],
        batch_id=row["batch_id"] or b"",
        concat_ref=row["concat_ref"],
        key_id=row["key_id"],
        test=row["test"],
        traceparent=row["traceparent"],
    )
