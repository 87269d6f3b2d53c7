"""Opening and closing a shard: moves are allowed only to the Redis run that was found in step with PostgreSQL."""

from __future__ import annotations

from gateway.streams.link import Link


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
