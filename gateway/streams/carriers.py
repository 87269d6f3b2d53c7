"""The carriers' live state, shared by every process: what connectors report, and what an operator ordered."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.streams.link import Redis

Mode = Literal["running", "paused", "draining"]


async def report(redis: Redis, carrier: str, status: dict[str, Any]) -> None:
    """Publish a connector's view of its carrier; `at_ms` tells how old it is."""
    await redis.link(None).call(b"HSET", "{g}:status", carrier, msgspec.json.encode(status))


async def statuses(redis: Redis) -> dict[str, dict[str, Any]]:
    """The last report of each carrier's connector, by carrier; its keys are those of `connector.status`."""
    flat = await redis.link(None).call(b"HGETALL", "{g}:status")
    return {name.decode(): msgspec.json.decode(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


async def modes(redis: Redis) -> dict[str, Mode]:
    """Carriers that an operator paused or drains; the others run."""
    flat = await redis.link(None).call(b"HGETALL", "{g}:modes")
    return {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}


async def set_mode(redis: Redis, carrier: str, mode: Mode) -> None:
    """running: sends; paused: keeps its binds, sends nothing; draining: takes nothing new, sends what it has."""
    link = redis.link(None)
    if mode == "running":
        await link.call(b"HDEL", "{g}:modes", carrier)
    else:
        await link.call(b"HSET", "{g}:modes", carrier, mode)
