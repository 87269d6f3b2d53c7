"""For `sluice recover`: what a shard's queues hold, taking entries off them and putting messages back.

Used while the shard is closed, when nothing else moves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from gateway.message import Message, pack_message
from gateway.streams import packs
from gateway.streams.keys import lane
from gateway.streams.link import Link

LATER = ""
"""Stands for `later` where a stream is named."""

_PAGE = 1000


class Place(msgspec.Struct, frozen=True):
    """Where one queued message stands. `entry_id` is empty in `later`; `lane` is given in intake."""

    stream: str
    entry_id: bytes
    message_id: bytes
    lane: str = ""
    packed: bool = False


async def places(link: Link) -> AsyncIterator[list[Place]]:
    """Everything that waits in the shard, page by page."""
    for raw in await link.call(b"SMEMBERS", link.prefix + "lanes"):
        name = raw.decode()
        async for page in packs.pages(link, name):
            yield [
                Place(f"intake:{name}", entry.entry_id, waiting.message_id, name, bool(entry.packed))
                for entry in page
                for waiting in entry.messages
            ]
    for stream in await _streams(link):
        cursor = b"-"
        while entries := await link.call(b"XRANGE", link.prefix + stream, cursor, b"+", b"COUNT", _PAGE):
            yield [Place(stream, entry_id, fields[1][:16]) for entry_id, fields in entries]
            cursor = b"(" + entries[-1][0]
    start = 0
    while ids := await link.call(b"ZRANGE", link.prefix + "later", start, start + _PAGE - 1):
        yield [Place(LATER, b"", message_id) for message_id in ids]
        start += len(ids)


async def _streams(link: Link) -> list[str]:
    found: list[str] = []
    for raw in await link.call(b"SMEMBERS", link.prefix + "carriers"):
        carrier = raw.decode()
        for name in await link.call(b"SMEMBERS", link.prefix + "lanes:" + carrier):
            found += [f"outbox:{carrier}:{name.decode()}", f"again:{carrier}:{name.decode()}"]
    return found


async def drop(link: Link, gone: Sequence[Place]) -> None:
    """Take entries off their queues: they were sent or ended before."""
    for place in gone:
        if place.stream == LATER:
            link.send(b"HDEL", link.prefix + "later:body", place.message_id)
            await link.call(b"ZREM", link.prefix + "later", place.message_id)
        elif place.packed:
            link.send(b"HINCRBY", link.prefix + "depths", place.lane, -1)
            await link.call(b"SADD", f"{link.prefix}struck:{place.lane}", place.message_id)
        else:
            if place.lane:
                link.send(b"HINCRBY", link.prefix + "depths", place.lane, -1)
            await link.call(b"XDEL", link.prefix + place.stream, place.entry_id)
    await link.call(b"INCR", link.prefix + "epoch")


async def put_back(link: Link, messages: Sequence[tuple[bytes, Message]]) -> None:
    """Queue again what PostgreSQL has and Redis lost: (id, message). One with a later `send_at` waits for it."""
    now = link.clock_ms()
    for message_id, message in messages:
        name, value = lane(message.klass, message.client), message_id + pack_message(message)
        if message.send_at_ms > now:
            body = b"s" + name.encode() + b"\0" + len(value).to_bytes(4, "big") + value
            link.send(b"HSET", link.prefix + "later:body", message_id, body)
            await link.call(b"ZADD", link.prefix + "later", message.send_at_ms, message_id)
        else:
            link.send(b"SADD", link.prefix + "lanes", name)
            link.send(b"HINCRBY", link.prefix + "depths", name, 1)
            await link.call(b"XADD", link.prefix + f"intake:{name}", b"*", b"m", value)
