"""Read your own write: find what was just accepted in the events stream, before PostgreSQL has it.

The accept script takes the id's time and the entry's id from one clock reading, so a message's entry stands at the
stream id of the message id's own millisecond: a look costs one small XRANGE and the hot path nothing.
"""

from __future__ import annotations

import msgspec

from gateway.events import Batched
from gateway.message import Message, id_shard, id_time_ms, unpack_message
from gateway.streams import facts
from gateway.streams.link import Redis

_PAGE = 50


async def find(redis: Redis, message_id: bytes) -> tuple[Message, int] | None:
    """The message and the ms of its acceptance; None: the recorder took it off (PostgreSQL has it), or it never was."""
    if id_shard(message_id) >= redis.shards:
        return None
    link, ms = redis.link(id_shard(message_id)), id_time_ms(message_id)
    first = b"%d-0" % ms
    while entries := await facts.between(link, first, b"+", _PAGE):
        for entry in entries:
            for found, value in entry.accepted:
                if found == message_id:
                    return unpack_message(value), ms
            # After its clock stepped back, Redis numbers entries later than their time until the clock has caught up.
            if entry.at_ms > ms and entry.accepted and id_time_ms(entry.accepted[0][0]) == entry.at_ms:
                return None
        first = facts.next_id(entries[-1].id)
    return None


async def record_batch(redis: Redis, fact: Batched, ttl_s: int = 86_400) -> None:
    """Keep a batch's facts at hand until PostgreSQL has them."""
    link = redis.link(id_shard(fact.id))
    await link.call(b"SET", link.prefix.encode() + b"b:" + fact.id, msgspec.msgpack.encode(fact), b"EX", ttl_s)


async def find_batch(redis: Redis, batch_id: bytes) -> Batched | None:
    """A batch of the last day."""
    if id_shard(batch_id) >= redis.shards:
        return None
    link = redis.link(id_shard(batch_id))
    value = await link.call(b"GET", link.prefix.encode() + b"b:" + batch_id)
    return None if value is None else msgspec.msgpack.decode(value, type=Batched)
