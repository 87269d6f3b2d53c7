"""Two processes fight for one lease: the owner sleeps until the other has it, then wakes up and must do no harm."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from gateway.config import Settings
from tests.acceptance.gateway_account import Load, account
from tests.acceptance.gateway_world import ON_WIRE, SLOW, TAKEOVER_S, World, until, world

COUNT, AHEAD = 4_000, 1_500
DEFAULT_LEASE_S = Settings().lease_s  # ten seconds are promised of this one
LEASES = {"router": "{0}:lease:router", "connector": "{g}:lease:carrier:one", "recorder": "{0}:lease:recorder"}
REST = {"router": "api,connector,recorder,receipts", "connector": "api,router,recorder,receipts"} | {
    "recorder": "api,router,connector,receipts"
}


async def put_to_sleep(w: World, lease: str) -> None:
    """Stop the owner of a lease until another has it, then let it go on."""
    name, token = await w.owner(lease)
    pid = w.processes[name].pid
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()

    async def taken() -> bool:
        return (await w.owner(lease))[1] > token

    try:
        await until(taken, f"another to take over from {name}", TAKEOVER_S)
        moved = await w.submits()
        if "router" in lease or "carrier" in lease:
            await until(lambda: more(w, moved), "the other's work", TAKEOVER_S - (time.monotonic() - began))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await w.owner(lease))[0] != name


async def more(w: World, submits: int) -> bool:
    return await w.submits() > submits


@pytest.mark.alone
@pytest.mark.parametrize("role", ["router", "connector", "recorder"])
async def test_an_owner_that_slept_and_wakes_up_does_no_harm(tmp_path: Path, cluster: Path, role: str) -> None:
    processes = {"first": role, "second": role, "rest": REST[role]}
    async with world(
        tmp_path / "data", processes=processes, profile=SLOW, cluster=cluster, lease_s=DEFAULT_LEASE_S
    ) as w:
        load = Load(w, COUNT, ahead=AHEAD)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            await w.reached(COUNT // 5)
            await put_to_sleep(w, LEASES[role])
        await account(load, uncertain=ON_WIRE if role == "connector" else 0)


async def test_three_shards_and_two_processes_a_role_give_the_same_totals_when_one_of_each_dies(
    tmp_path: Path, cluster: Path
) -> None:
    roles = ("api", "router", "connector", "recorder,receipts")
    processes = {f"{role.partition(',')[0]}-{number}": role for role in roles for number in (1, 2)}
    async with world(tmp_path / "data", processes=processes, profile=SLOW, cluster=cluster, shards=3) as w:
        load = Load(w, COUNT, ahead=AHEAD)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            await w.reached(COUNT // 4)
            await w.processes["api-1"].kill()
            for lease in ("{0}:lease:recorder", "{1}:lease:router"):
                await w.processes[(await w.owner(lease))[0]].kill()
            await w.reached(COUNT // 2)
            await w.processes[(await w.owner("{g}:lease:carrier:one"))[0]].kill()
        ended = await account(load, uncertain=ON_WIRE)
        classes = Counter[str]()
        for (klass, _), number in ended.states.items():
            classes[klass] += number
        assert set(classes.values()) == {COUNT // 4}
        shards = await w.rows("select shard, sum(messages)::int as messages from stats_hour group by 1 order by 1")
        assert [row["shard"] for row in shards] == [0, 1, 2]
        assert sum(row["messages"] for row in shards) == COUNT
