"""What was learnt about carriers beside their settings: how they write ids, and which receipts they still owe.

In: hits of the matcher, counts of PostgreSQL. Out: the same in every process. All of it can be learnt again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.streams.link import Redis


class Awaited(msgspec.Struct, frozen=True):
    """Messages that a carrier has and of which no receipt decided yet, and when the oldest was accepted (ms)."""

    messages: int
    oldest_ms: int


RECEIVED: Final = ""
"""Stands in place of a form for all receipts that came, whatever became of them."""


async def add_forms(redis: Redis, hits: Mapping[tuple[str, str], int]) -> None:
    """Receipts that found their submission: (carrier, form of its ids) → how many."""
    for (carrier, form), number in hits.items():
        if not number:
            continue
        await redis.link(None).call(b"HINCRBY", "{g}:ids", f"{carrier}|{form}", b"%d" % number)


async def forms(redis: Redis) -> dict[str, dict[str, int]]:
    """Carrier → form → hits."""
    flat = await redis.link(None).call(b"HGETALL", "{g}:ids")
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for name, number in zip(flat[::2], flat[1::2], strict=True):
        carrier, _, form = name.decode().rpartition("|")
        found[carrier][form] = int(number)
    return dict(found)


async def forget_forms(redis: Redis, carrier: str) -> None:
    """Learn a carrier's ids anew."""
    names = [f"{carrier}|{form}" for form in (await forms(redis)).get(carrier, {})]
    if names:
        await redis.link(None).call(b"HDEL", "{g}:ids", *names)


async def put_awaited(redis: Redis, awaited: Mapping[str, Awaited]) -> None:
    """What carriers owe, all of them at once."""
    await redis.link(None).call(b"SET", "{g}:awaited", msgspec.json.encode(awaited))


async def awaited(redis: Redis) -> dict[str, Awaited]:
    """Carrier → what it owes, as last counted."""
    value = await redis.link(None).call(b"GET", "{g}:awaited")
    return msgspec.json.decode(value, type=dict[str, Awaited]) if value else {}
