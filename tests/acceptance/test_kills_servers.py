"""Valkey and PostgreSQL are killed, stopped and cut off under load; the gateway goes on as soon as they are back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.acceptance.gateway_account import Load, account
from tests.acceptance.gateway_world import FULL, SLOW, World, until, world

COUNT, AHEAD = 4_000, 1_500
CUTS = 100
AWAY_S = 60.0 if FULL else 5.0
"""How long PostgreSQL is away in the test of that: a minute, for those who have one."""

Deed = Callable[[World], Awaitable[None]]


async def kill_valkey(w: World) -> None:
    await w.valkey.kill()
    await w.valkey.start()


async def stop_valkey(w: World) -> None:
    await w.valkey.stop()
    await w.valkey.start()


async def kill_postgres(w: World) -> None:
    await w.postgres.kill()
    await w.postgres.start()


async def stop_postgres(w: World) -> None:
    await w.postgres.stop()
    await w.postgres.start()


@pytest.mark.parametrize("deed", [kill_valkey, stop_valkey, kill_postgres, stop_postgres])
async def test_a_server_that_comes_back_costs_nothing(tmp_path: Path, cluster: Path, deed: Deed) -> None:
    async with world(tmp_path / "data", profile=SLOW, cluster=cluster) as w:
        load = Load(w, COUNT, ahead=AHEAD)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            for share in (5, 2):
                await w.reached(COUNT // share)
                await deed(w)
        await account(load)


async def test_connections_to_redis_dropped_a_hundred_times_cost_nothing(tmp_path: Path, cluster: Path) -> None:
    async with world(tmp_path / "data", profile=SLOW, cluster=cluster) as w:
        load, dropped = Load(w, 2 * COUNT, ahead=AHEAD), 0
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            for cut in range(CUTS):
                await w.reached((cut + 1) * COUNT // CUTS)
                dropped += await w.redis.client_kill_filter(_type="normal", skipme=True)
                dropped += await w.redis.client_kill_filter(_type="pubsub")
        assert dropped > 4 * CUTS
        await account(load)


async def test_while_postgres_is_away_messages_go_out_and_all_is_recorded_later(tmp_path: Path, cluster: Path) -> None:
    async with world(tmp_path / "data", profile=SLOW, cluster=cluster) as w:
        first = Load(w, COUNT // 4, tag="before", ahead=AHEAD)
        meanwhile = Load(w, 0, tag="away")  # all that was sent while it was away
        await first.run()
        await w.postgres.stop()
        began, sent = time.monotonic(), first.count
        while sent == first.count or time.monotonic() - began < AWAY_S:
            load = Load(w, COUNT // 4, tag="away", first=sent, ahead=AHEAD)
            await load.run()
            sent += load.count
            meanwhile.accepted |= load.accepted
            await w.reached(sent)
        meanwhile.count = sent - first.count
        restarted = w.processes["connector"]
        await restarted.stop()
        await restarted.start()  # the plan and the carriers' secrets need no PostgreSQL
        last = Load(w, COUNT // 4, tag="restarted", first=sent, ahead=AHEAD)
        await last.run()
        await w.reached(sent + last.count)
        await w.postgres.start()
        for load in (first, meanwhile, last):
            await account(load)


async def test_both_servers_killed_at_once_cost_nothing(tmp_path: Path, cluster: Path) -> None:
    async with world(tmp_path / "data", profile=SLOW, cluster=cluster) as w:
        load = Load(w, COUNT, ahead=AHEAD)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            await w.reached(COUNT // 3)
            await asyncio.gather(w.valkey.kill(), w.postgres.kill())
            await asyncio.gather(w.valkey.start(), w.postgres.start())
            await until(w.ready, "readiness")
        await account(load)
