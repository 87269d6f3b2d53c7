"""What is known of carriers' chances of delivery, mirrored in Redis for every router and everybody who explains.

In: estimates and when they were made. Out: the same. They are an opinion: when Redis loses them, they are made again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.plan.chances import Cell, Chances
from gateway.plan.surroundings import Chance
from gateway.streams.link import Redis

KEY: Final = "{g}:chances"

_Row = tuple[str, str, str, float, float, int]


class _Value(msgspec.Struct, array_like=True, frozen=True):
    at_ms: int
    rows: list[_Row]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Value).decode


async def publish(redis: Redis, at_ms: int, known: dict[Cell, Chance]) -> None:
    """Replace what was known. `at_ms`: as of when. Raises RedisAwayError."""
    rows = [(*cell, round(c.delivered, 4), round(c.expected, 4), c.messages) for cell, c in sorted(known.items())]
    await redis.link(None).call(b"SET", KEY, _encode(_Value(at_ms, rows)))


async def load(redis: Redis) -> tuple[int, Chances]:
    """As of when (ms; 0: nothing is known), and what. Raises RedisAwayError."""
    value = await redis.link(None).call(b"GET", KEY)
    if value is None:
        return 0, Chances({})
    try:
        found = _decode(value)
    except msgspec.DecodeError:  # of a newer release: it is replaced within seconds by one that knows it
        return 0, Chances({})
    return found.at_ms, Chances({(k, c, o): Chance(low, mean, n) for k, c, o, low, mean, n in found.rows})
