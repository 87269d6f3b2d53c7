"""Opening and closing a shard: moves are allowed only to the Redis run that was found in step with PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway import metrics
from gateway.streams.link import Link, Redis, RedisAwayError

_LOOK_S: Final = 0.25
_LOOK_CLOSED_S: Final = 0.05


async def open_shard(link: Link, shard: int, run_id: bytes) -> None:
    """Allow moves over connections to this run of the server."""
    await link.call(b"DEL", link.prefix + "closed")
    await link.call(b"SET", link.prefix + "open", run_id)


async def close_shard(link: Link, shard: int, reason: str) -> None:
    """Stop accepting and moving until `sluice recover`; `reason` is for the operator."""
    await link.call(b"SET", link.prefix + "closed", reason)
    await link.call(b"DEL", link.prefix + "open")


async def is_open(link: Link) -> bool:
    """Whether the server behind this link may move messages."""
    return bool(await link.call(b"GET", link.prefix + "open") == link.run_id)


class Openness:
    """Whether every shard is open, as of a quarter of a second ago. Life: `run()` as a task."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._closed = "not looked yet"

    def closed(self) -> str:
        """Why something is closed; empty when all shards are open."""
        return self._closed

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                self._closed = await self._look()
            except RedisAwayError:
                self._closed = "Redis is away"
                for shard in range(self._redis.shards):
                    metrics.shard_open.labels(str(shard)).set(0)
            await asyncio.sleep(_LOOK_CLOSED_S if self._closed else _LOOK_S)

    async def _look(self) -> str:
        closed = ""
        for shard in range(self._redis.shards):
            link = self._redis.link(shard)
            opened = await is_open(link)
            metrics.shard_open.labels(str(shard)).set(opened)
            if not opened and not closed:
                reason = await link.call(b"GET", link.prefix + "closed")
                closed = f"shard {shard}: {reason.decode() if reason else 'waits for the recorder to compare it'}"
        return closed
