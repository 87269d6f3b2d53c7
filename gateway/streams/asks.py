"""Questions to a carrier from processes that have no link to it: what became of a message, and take it back.

In: asks, from any process. Out: each to the connector that has the carrier, at most once; its answer to who waits. What
nobody takes is forgotten after a minute.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from gateway.provider import Sent
from gateway.streams.link import Redis

KEPT_S: Final = 60
_LOOK_S: Final = 0.05


class Unit(msgspec.Struct, array_like=True, frozen=True):
    """One submission that the carrier took."""

    part: int
    sent: Sent


class Ask(msgspec.Struct, array_like=True, frozen=True):
    """About one attempt of one message. Fields grow only at the end, with defaults."""

    kind: Literal["cancel", "query"]
    message_id: bytes
    attempt: int
    units: Sequence[Unit]
    reply: str = ""
    """Where the answer goes; empty: nobody waits for it."""
    until_ms: int = 0


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """verdict: cancelled, refused (the carrier will not), partly, unknown (it did not say)."""

    verdict: str
    code: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode_ask = msgspec.msgpack.Decoder(Ask).decode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode


async def put(redis: Redis, carrier: str, asks: Sequence[Ask]) -> None:
    """Ask the carrier, without waiting."""
    if asks:
        link, key = redis.link(None), "{g}:asks:" + carrier
        await link.call(b"RPUSH", key, *map(_encode, asks))
        await link.call(b"EXPIRE", key, b"%d" % KEPT_S)


async def waiting(redis: Redis, carrier: str) -> int:
    """How many asks nobody has taken yet."""
    return int(await redis.link(None).call(b"LLEN", "{g}:asks:" + carrier))


async def take(redis: Redis, carrier: str, count: int) -> list[Ask]:
    """The oldest asks; those whose time is over are left out."""
    values = await redis.link(None).call(b"LPOP", "{g}:asks:" + carrier, b"%d" % count)
    now_ms = redis.clock_ms()
    return [ask for ask in map(_decode_ask, values or ()) if ask.until_ms > now_ms]


async def answer(redis: Redis, ask: Ask, reply: Reply) -> None:
    """Tell who waits."""
    if ask.reply:
        await redis.link(None).call(b"SET", "{g}:answer:" + ask.reply, _encode(reply), b"EX", b"%d" % KEPT_S)


async def wait(redis: Redis, carrier: str, ask: Ask, timeout_s: float) -> Reply | None:
    """Ask, and wait for the answer; None when there was none in time."""
    name = os.urandom(8).hex()
    until_ms = redis.clock_ms() + int(timeout_s * 1000)
    await put(redis, carrier, [msgspec.structs.replace(ask, reply=name, until_ms=until_ms)])
    link, loop = redis.link(None), asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while loop.time() < deadline:
        value = await link.call(b"GETDEL", "{g}:answer:" + name)
        if value is not None:
            return _decode_reply(value)
        await asyncio.sleep(_LOOK_S)
    return None
