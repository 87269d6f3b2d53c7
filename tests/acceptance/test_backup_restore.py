"""The backup that docs/production.md describes, put back into new, empty servers: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import redis.asyncio as redis

from gateway.embedded.datadir import DataDir
from gateway.embedded.postgres import Postgres, find_postgres
from gateway.embedded.valkey import Valkey
from tests.acceptance.gateway_account import Load, account
from tests.acceptance.gateway_world import SPLIT, World, until, world
from tests.conftest import TEST_MEMORY_BYTES, UNSYNCED
from tests.installation import ROOT

GRANTS = ROOT / "docs/deploy/postgres-grants.sql"
COUNT = 500
RATE = 400.0
_RECORDED = "select count(*) = $1 and count(*) filter (where state = 'delivered') = $2 as all from messages"


async def copy_redis(w: World, copy: Path) -> None:
    """Of a server that goes on serving: the files, while none of them is rewritten."""
    await w.redis.config_set("auto-aof-rewrite-percentage", 0)
    assert not (await w.redis.info("persistence"))["aof_rewrite_in_progress"]
    shutil.copytree(w.valkey.data / "appendonlydir", copy)
    await w.redis.config_set("auto-aof-rewrite-percentage", 100)


def postgres_tool(w: World, name: str, *arguments: str | Path) -> None:
    programs, _ = find_postgres(w.postgres.data)
    done = subprocess.run([programs / name, *arguments], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


async def rest(w: World, messages: int) -> None:
    """Send no more, and wait until PostgreSQL knows everything that was sent."""
    status, _ = await w.post("/v1/carriers/one/pause")
    assert status == 200

    async def recorded() -> bool:
        return bool((await w.rows(_RECORDED, messages, await w.submits()))[0]["all"])

    await until(recorded, "everything to be recorded")


async def lose_everything(w: World) -> None:
    for victim in (*w.processes.values(), w.valkey, w.postgres):
        await victim.kill()
    shutil.rmtree(w.valkey.data)
    shutil.rmtree(w.postgres.data)


async def start_new_servers(w: World, stack: AsyncExitStack, path: Path, redis_copy: Path, dump: Path) -> None:
    """Elsewhere, from nothing but the backup, with the same carriers outside."""
    directory = DataDir.open(path)
    stack.callback(directory.close)
    w.valkey = Valkey(directory.valkey, directory.run, directory.log("valkey"), maxmemory_bytes=TEST_MEMORY_BYTES)
    w.postgres = Postgres(directory.postgres, directory.run, directory.log("postgres"), UNSYNCED)
    w.env |= {"SLUICE_REDIS_URL": w.valkey.url, "SLUICE_POSTGRES_URL": w.postgres.url}
    directory.valkey.mkdir()
    shutil.copytree(redis_copy, directory.valkey / "appendonlydir")
    for server in (w.valkey, w.postgres):
        stack.push_async_callback(server.stop)
    await asyncio.gather(w.valkey.start(), w.postgres.start())
    await make_redis_user(w)
    postgres_tool(w, "pg_restore", "--no-owner", "--exit-on-error", "--jobs=2", "--dbname", w.postgres.url, dump)
    await w.sluice("db", "migrate")
    postgres_tool(w, "psql", "--quiet", "-v", "ON_ERROR_STOP=1", "-f", GRANTS, w.postgres.url)
    w.env["SLUICE_POSTGRES_URL"] = w.postgres.url.replace("//sluice@", "//sluice_app@")  # least privilege
    for name, roles in SPLIT.items():
        listen = ("--listen", "127.0.0.1:0") if "api" in roles else ()
        w.processes[name] = w.process(name, "run", "--roles", roles, *listen)
        stack.push_async_callback(w.processes[name].stop)
    await asyncio.gather(*(process.start() for process in w.processes.values()))


async def make_redis_user(w: World) -> None:
    """The one that the page gives; from now on everything of ours comes as this user."""
    told = re.search(r"`ACL (SETUSER sluice on >PASSWORD [^`]+)`", (ROOT / "docs/production.md").read_text())
    assert told
    client = redis.Redis(unix_socket_path=str(w.valkey.socket))
    await client.execute_command("ACL", *told[1].replace("PASSWORD", "secret").split())
    await client.aclose()
    w.env["SLUICE_REDIS_URL"] = w.valkey.url.replace("unix://", "unix://sluice:secret@")


async def told_to_recover(w: World) -> bool:
    _, said = await w.get("/readyz")
    return "sluice recover" in said["checks"]["shards"]


async def test_a_backup_restored_into_new_servers_loses_nothing_and_doubles_nothing(
    tmp_path: Path, cluster: Path
) -> None:
    async with world(tmp_path / "data", cluster=cluster, rates={"one": RATE}) as w:
        old, new = Load(w, COUNT, tag="old"), Load(w, COUNT, tag="new", first=COUNT)
        await old.run()
        await w.reached(COUNT // 4)
        await copy_redis(w, tmp_path / "aof")  # Redis first: what it knows, PostgreSQL will know
        await new.run()
        await w.reached(COUNT)
        await rest(w, 2 * COUNT)
        reached = await w.submits()
        dump = tmp_path / "dump"
        postgres_tool(w, "pg_dump", "--format=directory", "--jobs=2", "--file", dump, w.postgres.url)
        await lose_everything(w)
        async with AsyncExitStack() as stack:
            await start_new_servers(w, stack, tmp_path / "new", tmp_path / "aof", dump)
            await until(lambda: told_to_recover(w), "the shard to stay closed")
            assert await w.submits() == reached, "something was sent before the comparison"
            said = await w.sluice("recover")
            found = re.search(r"(\d+) messages were put back, (\d+) were taken off; it is open", said)
            assert found, said
            assert 0 < int(found[1]) <= COUNT  # accepted after Redis was copied
            assert 0 < int(found[2]) < COUNT  # sent after Redis was copied
            await until(w.ready, "readiness")
            await w.apply_plan()
            last = Load(w, COUNT // 5, tag="last", first=2 * COUNT)
            await last.run()
            for load in (old, new, last):
                await account(load)
