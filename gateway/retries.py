"""Failed messages sent again: each once, as a new message that is linked to the first.

In: which failed. Out: pairs of the first message and the new one. Accepting is keyed by the first message's id, so that
who died in between leaves nothing that would be sent twice.
"""

from __future__ import annotations

import os
from collections import defaultdict
from hashlib import blake2b
from typing import Final

from gateway.config import Settings
from gateway.message import Message, id_tail, pack_message
from gateway.store import retries
from gateway.store.pool import Pool
from gateway.store.retries import Failed
from gateway.streams.accept import Acceptor, Ask
from gateway.streams.link import Redis

MOST: Final = 500
"""Messages at once."""

STATES: Final = ("failed", "rejected", "undeliverable", "expired")
"""In which a message can be sent again."""

_SAME: Final = b"retried."  # what two accepts of one retry have in common: all of it


def repeat_hours(settings: Settings) -> int:
    """So long accepting the same again gives the same message, with an hour to spare."""
    return settings.ref_hours - 1


async def retry_failed(
    settings: Settings, redis: Redis, pool: Pool, acceptor: Acceptor, failed: Failed, limit: int, who: str
) -> list[tuple[bytes, bytes]]:
    """Send the oldest of them again; (first, new) ids. Raises StoreAwayError, RedisAwayError, ShardClosedError,
    BoundReachedError; then some may have been sent, and asking again goes on with the rest."""
    by_shard: dict[int, list[tuple[bytes, Message]]] = defaultdict(list)
    for first, message in await retries.claim(pool, failed, repeat_hours(settings), limit, who):
        by_shard[redis.shard_of(message.to)].append((first, message))
    done: list[tuple[bytes, bytes]] = []
    for shard, found in by_shard.items():
        verdicts = await acceptor.accept(shard, [_ask(shard, first, message) for first, message in found])
        pairs = [(first, verdict.id) for (first, _), verdict in zip(found, verdicts, strict=True)]
        await retries.finish(pool, pairs)
        done += pairs
    return sorted(done)


def _ask(shard: int, first: bytes, message: Message) -> Ask:
    tail = id_tail(shard, os.urandom(9))
    key = blake2b(b"retry\0" + first, digest_size=16).digest()
    return Ask(tail, pack_message(message), message.klass, message.client, 0, key, _SAME)
