"""The routers' view of carriers' chances: what Redis has, looked at every two seconds."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway import metrics
from gateway.router.world import World
from gateway.streams import chances
from gateway.streams.link import Redis, RedisAwayError

EVERY_S: Final = 2.0


async def watch_chances(redis: Redis, world: World) -> None:
    """Keep `world.chance` at what is known. Runs until cancelled. What is old is still the best that is known."""
    seen = 0
    while True:
        try:
            at_ms, known = await chances.load(redis)
        except RedisAwayError:
            await redis.link(None).up()
            continue
        if at_ms and at_ms != seen:
            seen, world.chance = at_ms, known.chance
        metrics.chances_age.set(max(redis.clock_ms() - seen, 0) / 1000 if seen else 0)
        await asyncio.sleep(EVERY_S)
