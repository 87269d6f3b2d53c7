"""Which version of a dataset each process uses now: one that was made active has to be fetched and compiled first.

In: what processes say of themselves, every few seconds. Out: how many there are, and how many use a version.
"""

from __future__ import annotations

from typing import Final

from gateway.streams.link import Redis

EVERY_S: Final = 3.0
_FRESH_MS: Final = 15_000


async def report(redis: Redis, kind: str, process: str, version: int) -> None:
    """A process uses this version; 0: none. Raises RedisAwayError."""
    link = redis.link(None)
    await link.call(b"HSET", f"{link.prefix}using:{kind}", process, f"{version}|{redis.clock_ms()}")


async def forget(redis: Redis, kind: str, process: str) -> None:
    """A process ends. Raises RedisAwayError."""
    link = redis.link(None)
    await link.call(b"HDEL", f"{link.prefix}using:{kind}", process)


async def versions(redis: Redis, kind: str) -> list[int]:
    """The version of every process that runs; who was silent for long is forgotten. Raises RedisAwayError."""
    link, now_ms = redis.link(None), redis.clock_ms()
    found: list[int] = []
    reply = await link.call(b"HGETALL", f"{link.prefix}using:{kind}")
    for process, said in zip(reply[::2], reply[1::2], strict=True):
        version, _, at_ms = said.decode().partition("|")
        if now_ms - int(at_ms) < _FRESH_MS:
            found.append(int(version))
        else:
            await link.call(b"HDEL", f"{link.prefix}using:{kind}", process)
    return found
