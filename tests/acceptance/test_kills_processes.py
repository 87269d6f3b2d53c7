"""Each process of the path is killed under load, or told to stop: nothing is lost, nothing is doubled without need."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.message import CLASSES
from tests.acceptance.gateway_account import Load, account, check_ledger
from tests.acceptance.gateway_world import ON_WIRE, SLOW, World, until, world

COUNT, AHEAD = 4_000, 1_500
ANSWER_S, LAG_S = 0.02, 0.25
QUICKER = {"answer_delay_ms": ANSWER_S * 1000, "receipt_delay_s": 0.5}
"""A carrier that answers as the one of the benchmark does; a busy machine reads its answers later."""


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


@pytest.mark.alone
@pytest.mark.parametrize("classes", [("otp",), CLASSES], ids=["otp", "all classes"])
async def test_kill_9_of_the_connector_doubles_at_most_a_window_and_nothing_that_is_held(
    tmp_path: Path, cluster: Path, classes: Sequence[str]
) -> None:
    async with world(tmp_path / "data", profile=QUICKER, cluster=cluster) as w:
        load, kills = Load(w, COUNT, ahead=AHEAD, classes=classes), list[float]()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            for share in (5, 2):
                await w.reached(COUNT // share)
                kills.append(time.time())
                await end(w, "connector", "kill -9")
        await account(load, uncertain=2 * ON_WIRE)
        answered = await in_doubt_before(w, [at - ANSWER_S - LAG_S for at in kills])
        assert not answered, f"in doubt although they had been answered before the kills: {answered}"
        said = w.directory.log("connector").read_text()
        assert said.count("uncertain_after_takeover") == 2 and "no_journal" not in said


async def in_doubt_before(w: World, moments: Sequence[float]) -> list[tuple[str, float]]:
    """Texts that were held or sent again by a takeover although a phone had them before, and how long before it."""
    arrived: dict[str, list[float]] = {}
    for message in (await w.carriers["one"].ask("GET", "/messages?limit=1000000"))["messages"]:
        arrived.setdefault(message["text"], []).append(message["at"])
    held = await w.rows("select m.text from notes n join messages m on m.id = n.message_id where n.event = 'held'")
    doubtful = {row["text"] for row in held} | {text for text, times in arrived.items() if len(times) > 1}
    first = {text: min(arrived[text]) for text in doubtful if text in arrived}
    return [(text, at) for text, at in first.items() if not any(m <= at <= m + ANSWER_S + 2 * LAG_S for m in moments)]


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
