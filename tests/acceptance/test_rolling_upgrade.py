"""The release before this one runs on, process by process, while this one takes over: nothing is lost or doubled.

Releases stand in tests/releases.txt; their code comes from the history of this repository.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from gateway.store.migrate import migrations
from tests.acceptance.gateway_account import Load, account
from tests.acceptance.gateway_world import TAKEOVER_S, World, until, world
from tests.installation import ROOT

LEASES = {"recorder": "{0}:lease:recorder", "connector": "{g}:lease:carrier:one", "router": "{0}:lease:router"}
"""They show who works."""

ROLES = {"recorder": "recorder,receipts", "connector": "connector", "router": "router", "api": "api"}
ORDERS = ("recorder connector router api", "recorder router connector api")
"""Readers before writers. Router and connector usually are one process, and on two machines either may meet the other's
older one."""

COUNT, AHEAD = 20_000, 400
RATE = 700.0
STEP = 200


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The code of the newest release, in a folder of its own."""
    lines = (ROOT / "tests/releases.txt").read_text().splitlines()
    version, commit = next(line for line in reversed(lines) if line and not line.startswith("#")).split()
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit, "gateway", "providers"], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode != 0:
        pytest.skip(f"no history with release {version} here: {archive.stderr.decode().strip()}")
    folder = tmp_path / f"release-{version}"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder)
    return folder


async def replace(w: World, name: str) -> None:
    """Start this release's process beside the old one, then tell the old one to stop."""
    listen = ("--listen", "127.0.0.1:0") if name == "api" else ()
    new = w.processes[f"new {name}"] = w.process(f"new-{name}", "run", "--roles", ROLES[name], *listen)
    await new.start()
    await more(w)  # both run
    await w.processes[name].stop()
    if lease := LEASES.get(name):

        async def taken() -> bool:
            return (await w.redis.hget(lease, "owner") or b"").split(b":")[1:2] == [str(new.pid).encode()]  # type: ignore

        await until(taken, f"the new {name} to take over", TAKEOVER_S)
    await more(w)  # the new one alone


async def more(w: World) -> None:
    await w.reached(await w.submits() + STEP)


@pytest.mark.alone
@pytest.mark.parametrize("order", ORDERS)
async def test_a_release_is_replaced_under_load_process_by_process(tmp_path: Path, release: Path, order: str) -> None:
    async with world(tmp_path / "data", processes=ROLES, rates={"one": RATE}, release=release) as w:
        load = Load(w, COUNT, ahead=AHEAD)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load.run())
                await more(w)
                said = await w.sluice("db", "migrate")
                assert ("applied" in said) == (len(migrations()) > len(list(release.rglob("migrations/*.sql"))))
                await more(w)  # the old release on the new schema
                for name in order.split():
                    await replace(w, name)
                await w.apply_plan()  # without a limit
            await account(load)
        finally:
            for process in w.processes.values():
                await process.stop()
