"""Valkey comes back from an older copy of its append-only file: nothing moves until `sluice recover` has been run."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

from tests.acceptance.gateway_account import Load, account
from tests.acceptance.gateway_world import World, until, world

HALF = 1_500
RATE = 500.0
_RECORDED = """select count(*) = $1 and count(*) filter (where state = 'delivered') = $2 as all from messages"""


async def keep_copy(w: World, copy: Path) -> None:
    """Valkey's files as they are now."""
    await w.valkey.stop()
    shutil.copytree(w.valkey.data, copy)
    await w.valkey.start()


async def put_back(w: World, copy: Path) -> None:
    """What an operator does who has lost the files."""
    await w.valkey.kill()
    shutil.rmtree(w.valkey.data)
    shutil.copytree(copy, w.valkey.data)
    await w.valkey.start()


async def rest_recorded(w: World, messages: int) -> None:
    """Stop sending, and wait until PostgreSQL knows everything."""
    status, _ = await w.post("/v1/carriers/one/pause")
    assert status == 200

    async def recorded() -> bool:
        return bool((await w.rows(_RECORDED, messages, await w.submits()))[0]["all"])

    await until(recorded, "everything to be recorded")


async def told_why(w: World) -> bool:
    """Whether clients and operators are told why nothing is taken."""
    message = {"to": "+79160000000", "text": "closed", "class": "otp", "ref": "closed"}
    status, problem = await w.post("/v1/messages", message)
    assert status == 503, problem
    _, said = await w.get("/readyz")
    told = "sluice recover" in problem["detail"] and "sluice recover" in said["checks"]["shards"]
    assert not told or (problem["code"] == "shard_closed" and not said["ready"])
    return told


async def test_an_older_valkey_stays_closed_until_recover_and_then_nothing_is_lost_or_doubled(
    tmp_path: Path, cluster: Path
) -> None:
    async with world(tmp_path / "data", cluster=cluster, rates={"one": RATE}) as w:
        old, new = Load(w, HALF, tag="old"), Load(w, HALF, tag="new", first=HALF)
        await old.run()
        await w.reached(HALF // 4)
        await keep_copy(w, tmp_path / "copy")
        await new.run()
        await w.reached(HALF)
        await rest_recorded(w, 2 * HALF)
        reached = await w.submits()
        await put_back(w, tmp_path / "copy")
        await until(lambda: told_why(w), "the reason")
        said = await w.sluice("recover")
        found = re.search(r"(\d+) messages were put back, (\d+) were taken off; it is open", said)
        assert found, said
        assert 0 < int(found[1]) < HALF  # what was accepted and not sent since the copy was made
        assert 0 < int(found[2]) < HALF  # what was sent since then
        await until(w.ready, "readiness")
        assert await w.submits() - reached < RATE, "something was sent while the shard was closed"
        await w.apply_plan()
        last = Load(w, HALF, tag="last", first=2 * HALF)
        await last.run()
        for load in (old, new, last):
            await account(load)
        assert "in step" in await w.sluice("recover")


async def test_recover_finds_nothing_to_do_after_an_ordinary_restart(tmp_path: Path, cluster: Path) -> None:
    async with world(tmp_path / "data", cluster=cluster) as w:
        load = Load(w, HALF)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            await w.reached(HALF // 4)
            await w.valkey.kill()
            await w.valkey.start()
        await account(load)
        assert "in step, nothing to do" in await w.sluice("recover")
