"""Reservations of Idempotency-Keys: a whole request runs once; its repeat gets the first answer."""

from __future__ import annotations

import hashlib
import zlib
from typing import Literal

import msgspec

from gateway.streams.accept import ShardClosedError, closed_reason
from gateway.streams.link import Link, Redis

_BUSY_MS = 30_000
_TTL_MS = 72 * 3_600_000


class Reservation(msgspec.Struct, frozen=True):
    """fresh: run it as of `first_ms`; running: another does; mismatch: the key has another body; done: `response`."""

    kind: Literal["fresh", "running", "mismatch", "done"]
    first_ms: int
    response: bytes


def _place(redis: Redis, client: str, key: str) -> tuple[Link, bytes]:
    digest = hashlib.blake2b(f"{client}\0{key}".encode(), digest_size=16).digest()
    return redis.link(zlib.crc32(digest) % redis.shards), digest


async def reserve(redis: Redis, client: str, key: str, body_hash: bytes, ttl_ms: int = _TTL_MS) -> Reservation:
    """Reserve. An unfinished reservation may be taken up again after 30 s: its request died on the way."""
    link, name = _place(redis, client, key)
    reply = await link.script("reserve", (), (link.run_id, name, body_hash, ttl_ms, _BUSY_MS))
    if reply == b"closed":
        raise ShardClosedError(await closed_reason(link))
    kind, first_ms, response = reply
    return Reservation(kind.decode(), int(first_ms), zlib.decompress(response) if response else b"")


async def finish(redis: Redis, client: str, key: str, response: bytes) -> None:
    """Remember the answer for repeats."""
    link, name = _place(redis, client, key)
    await link.call(b"HSET", link.prefix.encode() + b"k:" + name, b"response", zlib.compress(response, 1))


async def release(redis: Redis, client: str, key: str) -> None:
    """Give the key back: the request was refused before anything was accepted, so a corrected one may use it."""
    link, name = _place(redis, client, key)
    await link.call(b"DEL", link.prefix.encode() + b"k:" + name)


async def reopen(redis: Redis, client: str, key: str) -> None:
    """Let a repeat run at once: this request ended without knowing what became of it. The same body gets it settled."""
    link, name = _place(redis, client, key)
    place = link.prefix.encode() + b"k:" + name
    if await link.call(b"HEXISTS", place, b"body"):
        await link.call(b"HSET", place, b"busy", 0)
