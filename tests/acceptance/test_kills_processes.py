"""Each process of the path is killed under load, or told to stop: nothing is lost, nothing is doubled without need."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.message import CLASSES
from tests.acceptance.gateway_account import Load, account, check_ledger
from tests.acceptance.gateway_world import ON_WIRE, SLOW, World, until, world

COUNT, AHEAD = 4_000, 1_500


async def end(w: World, name: str, how: str) -> None:
    """End a process and start it again."""
    process = w.processes[name]
    await (process.kill() if how == "kill -9" else process.stop())
    await process.start()


async def endure(w: World, name: str, how: str, classes: Sequence[str] = CLASSES) -> Load:
    """A load during which a process ends twice."""
    load = Load(w, COUNT, ahead=AHEAD, classes=classes)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        await w.reached(COUNT // 5)
        await end(w, name, how)
        await w.reached(COUNT // 2)
        await end(w, name, how)
    return load


@pytest.mark.parametrize("classes", [("otp",), CLASSES], ids=["otp", "all classes"])
async def test_kill_9_of_the_connector_doubles_at_most_a_window_and_nothing_that_is_held(
    tmp_path: Path, cluster: Path, classes: Sequence[str]
) -> None:
    async with world(tmp_path / "data", profile=SLOW, cluster=cluster) as w:
        await account(await endure(w, "connector", "kill -9", classes), uncertain=2 * ON_WIRE)


async def test_what_is_held_after_a_kill_is_found_again_by_its_receipts(tmp_path: Path, cluster: Path) -> None:
    async with world(tmp_path / "data", profile=SLOW, cluster=cluster) as w:
        load = await endure(w, "connector", "kill -9", ("transactional", "marketing"))
        await account(load, uncertain=2 * ON_WIRE)
        shown = set(await w.carriers["one"].texts())

        async def left() -> set[str]:
            return {row["text"] for row in await w.rows("select text from messages where state = 'unknown'")}

        async def all_found() -> bool:
            return not await left() & shown

        await until(all_found, "every receipt to find its message")
        assert len(await left()) + len(shown) == COUNT
        await check_ledger(w)


@pytest.mark.parametrize("name", ["connector", "router", "api", "recorder"])
async def test_sigterm_loses_nothing_and_leaves_nothing_unknown(tmp_path: Path, cluster: Path, name: str) -> None:
    async with world(tmp_path / "data", profile=SLOW, cluster=cluster) as w:
        await account(await endure(w, name, "SIGTERM"))


@pytest.mark.parametrize("name", ["router", "api", "recorder"])
async def test_kill_9_away_from_the_wire_leaves_nothing_unknown(tmp_path: Path, cluster: Path, name: str) -> None:
    async with world(tmp_path / "data", profile=SLOW, cluster=cluster) as w:
        load = await endure(w, name, "kill -9")
        await account(load)
        assert name != "api" or load.refusals, "no client met the kill"
