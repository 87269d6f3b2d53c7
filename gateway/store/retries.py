"""Failed messages that are to be sent again, each once: claimed, and linked to the message that was made of it.

In: what failed, when and why. Out: what is needed to send it again. A claim that was never finished is taken up by the
next who asks, as long as accepting it again gives the same message. Never: a message that was itself such a one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.message import Message, id_time_ms, make_id
from gateway.store import audit
from gateway.store.pool import Pool


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages are meant."""

    reason: str
    since_ms: int
    until_ms: int
    states: Sequence[str]
    client: str | None = None
    klass: str | None = None


_CANDIDATES = """from messages m left join retries r on r.first_id = m.id
    where m.id >= $1 and m.id < $2 and m.reason = $3 and m.state = any($4) and not m.test
    and ($5::text is null or m.client = $5) and ($6::text is null or m.class = $6)
    and (r.first_id is null or r.id is null and r.at > now() - make_interval(hours => $7))
    and not exists (select from retries x where x.id = m.id)"""


async def count(pool: Pool, failed: Failed, repeat_hours: int) -> int:
    """How many there are. Raises StoreAwayError."""
    return int(await pool.fetchval(f"select count(*) {_CANDIDATES}", *_values(failed, repeat_hours)))


async def claim(pool: Pool, failed: Failed, repeat_hours: int, limit: int, who: str) -> list[tuple[bytes, Message]]:
    """The oldest of them, claimed. Raises StoreAwayError."""
    async with pool.transaction() as connection:
        rows = await connection.fetch(
            f"select m.id {_CANDIDATES} order by m.id limit $8", *_values(failed, repeat_hours), limit
        )
        ids = [row["id"] for row in rows]
        if not ids:
            return []
        made = await connection.fetch(
            "insert into retries (first_id, by, reason) select id, $2, $3 from unnest($1::uuid[]) as u(id)"
            " on conflict do nothing returning first_id",
            *(ids, who, failed.reason),
        )
        if made:
            details = {"reason": failed.reason, "client": failed.client or "", "messages": len(made)}
            await audit.note(connection, who, "messages.retry", "", details)
        return [_message(row) for row in await connection.fetch(_MESSAGES, ids)]


async def finish(pool: Pool, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    """Link first messages to those that were made of them. Raises StoreAwayError."""
    await pool.fetch(
        "update retries r set id = u.id from unnest($1::uuid[], $2::uuid[]) as u(first_id, id)"
        " where r.first_id = u.first_id and r.id is null",
        *map(list, zip(*pairs, strict=True)),
    )


_MESSAGES = """select id, client, class, recipient, sender, text, encoding, parts, send_at, deadline, ref, tag, meta,
    callback_url, concat_ref, key_id, traceparent from messages where id = any($1) order by id"""


def _message(row: Any) -> tuple[bytes, Message]:
    """With the whole of its validity before it again, and no longer part of its batch."""
    begin_ms = max(id_time_ms(row["id"]), row["send_at"] or 0)
    return row["id"], Message(
        client=row["client"],
        klass=row["class"],
        to=row["recipient"],
        sender=row["sender"],
        text=row["text"],
        encoding=row["encoding"],
        parts=row["parts"],
        validity_s=max((row["deadline"] - begin_ms) // 1000, 1),
        ref=row["ref"],
        tag=row["tag"],
        meta=row["meta"].encode(),
        callback_url=row["callback_url"],
        concat_ref=row["concat_ref"],
        key_id=row["key_id"],
        traceparent=row["traceparent"],
    )


def _values(failed: Failed, repeat_hours: int) -> tuple[Any, ...]:
    span = make_id(failed.since_ms, bytes(10)), make_id(failed.until_ms, bytes(10))
    return (*span, failed.reason, list(failed.states), failed.client, failed.klass, repeat_hours)
