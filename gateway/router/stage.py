"""The router stage: for every shard a leased router with its loops (route, release what is due, recall, waiting)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from gateway.config import Settings
from gateway.plan.admission import Which, nobody
from gateway.plan.choice import Compiled
from gateway.router.chances import watch_chances
from gateway.router.fullness import Fullness
from gateway.router.liveness import Liveness
from gateway.router.lookup import Lookups
from gateway.router.pausing import PauseWatch
from gateway.router.recall import Recall
from gateway.router.route import FencedError, Intake
from gateway.router.waiting import WaitingWatch
from gateway.router.waits import Waits
from gateway.router.world import World
from gateway.streams.allowances import Allowances
from gateway.streams.lease import Lease
from gateway.streams.link import Link, Redis, RedisAwayError
from gateway.streams.pauses import Pauses
from gateway.streams.purses import Purses
from gateway.streams.wakes import Wakes

log = logging.getLogger("router")

_RELEASE = 250
_TICK_S = 0.2


async def run(
    settings: Settings,
    redis: Redis,
    owner: str,
    plan: Callable[[], Compiled | None],
    used: Callable[[str, str, str], int] | None = None,
    which: Which = nobody,
    stops_any: Callable[[], bool] = lambda: True,
) -> None:
    """Route on every shard whose lease is ours, until cancelled. `used`: as in Surroundings; `which`: stop lists;
    `stops_any`: whether anything is on them."""
    liveness, lookups = Liveness(redis), Lookups(redis, plan)
    world = World(liveness, which, stops_any, lookups.plan)
    world.used = used
    pauses, fullness = Pauses(redis), Fullness(redis, plan)
    allowances = Allowances(redis)
    world.waits = Waits(pauses, Purses(allowances, plan, redis.clock_ms, refuses=False))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(lookups.run(), name="lookups")
        tasks.create_task(liveness.run(), name="liveness")
        tasks.create_task(pauses.run(), name="pauses")
        tasks.create_task(fullness.run(world), name="limits")
        tasks.create_task(allowances.run(), name="budgets")
        tasks.create_task(watch_chances(redis, world), name="chances")
        for shard in range(redis.shards):
            tasks.create_task(_shard(settings, redis, owner, lookups, world, shard), name=f"router {shard}")


async def _shard(settings: Settings, redis: Redis, owner: str, lookups: Lookups, world: World, shard: int) -> None:
    link = redis.new_link(shard)
    lease = Lease(link, "lease:router", owner, settings.lease_s)
    try:
        while True:
            await lease.acquire()
            try:
                await _own(redis, lease, lookups, world, shard, link)
            except* RedisAwayError:
                await link.up()
            except* FencedError:
                log.warning("fenced", extra={"shard": shard})
            finally:
                await lease.release()
    finally:
        await link.close()


async def _own(
    redis: Redis,
    lease: Lease,
    lookups: Lookups,
    world: World,
    shard: int,
    link: Link,
) -> None:
    assert world.waits is not None
    liveness, pauses = world.liveness, world.waits.pauses
    plan = lookups.plan
    intake = Intake(link, lease.token, plan, world.around, pauses, lookups)
    deaf = pauses.on_change(lambda: intake.tell(""))
    wakes = Wakes(redis, shard, "wake:intake", intake.tell)
    try:
        await liveness.look()
        await pauses.look()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_hold(lease), name=f"lease router {shard}")
            tasks.create_task(intake.run(), name=f"route {shard}")
            tasks.create_task(_release(link, lease.token), name=f"release {shard}")
            tasks.create_task(Recall(link, lease.token, plan, liveness).run(), name=f"recall {shard}")
            tasks.create_task(WaitingWatch(link, shard, liveness, pauses).run(), name=f"waiting {shard}")
            tasks.create_task(PauseWatch(link, lease.token, pauses).run(), name=f"paused {shard}")
    finally:
        deaf()
        with contextlib.suppress(asyncio.CancelledError):
            await wakes.close()


async def _hold(lease: Lease) -> None:
    await lease.hold()
    raise FencedError


async def _release(link: Link, token: int) -> None:
    """Put what is due back into intake: at its time, give or take a fifth of a second."""
    while True:
        reply = await link.script("release", (), (link.run_id, token, _RELEASE))
        if reply == b"fenced":
            raise FencedError
        if reply == b"closed" or reply[0] < _RELEASE:
            await asyncio.sleep(_TICK_S)
