"""Real servers for the tests: one Valkey and one PostgreSQL per test process, started as `sluice up` starts them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import hypothesis
import pytest
import redis

from gateway.embedded.datadir import short_directory
from gateway.embedded.postgres import Postgres
from gateway.embedded.valkey import Valkey
from gateway.store.migrate import migrate
from tests.peers.programs import MISSING

T = TypeVar("T")
TEST_MEMORY_BYTES = 512 << 20
UNSYNCED = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
"""A killed process loses nothing by it; only a power cut would."""
COPYING = {"wal_level": "minimal", "max_wal_senders": "0"}
"""Of a server that copies its template a thousand times: copies need not stand in its log."""

# A machine that is busy with something else must not fail a test: only pytest's own time-out counts.
hypothesis.settings.register_profile("sluice", deadline=None)
hypothesis.settings.load_profile("sluice")


class Loop:
    """An event loop for what outlives a test's own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self._runner.close()


@pytest.fixture(scope="session")
def session_loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def session_valkey(session_loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = make_valkey(tmp_path_factory.mktemp("valkey"))
    session_loop.run(server.start())
    yield server
    session_loop.run(server.stop())


@pytest.fixture(scope="session")
def session_postgres(session_loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server whose database `sluice` is migrated and serves as the template of every test's own."""
    server = make_postgres(tmp_path_factory.mktemp("postgres"), UNSYNCED | COPYING)
    session_loop.run(server.start())
    session_loop.run(migrate(server.url))
    yield server
    session_loop.run(server.stop())


@pytest.fixture
def valkey_url(session_valkey: Valkey) -> str:
    """URL of an empty Valkey. Tests that kill it or change its settings take `own_valkey`."""
    with redis.Redis(unix_socket_path=str(session_valkey.socket)) as client:
        client.flushall()
    return session_valkey.url


_numbers = itertools.count(1)


@pytest.fixture
def postgres_url(session_postgres: Postgres, session_loop: Loop) -> Iterator[str]:
    """URL of a fresh, migrated database. Tests that kill the server take `own_postgres`."""
    name = f"test_{next(_numbers)}"
    session_loop.run(execute(session_postgres, f"create database {name} template sluice strategy file_copy"))
    yield session_postgres.url_of(name)
    session_loop.run(execute(session_postgres, f"drop database {name} with (force)"))


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Valkey]]]:
    """`server = await own_valkey(appendfsync="everysec")`: a private one with `.url`, `kill()`, `start()`, `stop()`."""
    made: list[Valkey] = []

    async def make(**settings: str) -> Valkey:
        server = make_valkey(tmp_path / f"own-valkey-{len(made)}", **settings)
        made.append(server)
        await server.start()
        return server

    yield make
    for server in made:
        await server.stop()


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Postgres]]]:
    """`server = await own_postgres()`: a private server, migrated, with `.url`, `kill()`, `start()` and `stop()`."""
    made: list[Postgres] = []

    async def make(**settings: str) -> Postgres:
        server = make_postgres(tmp_path / f"own-postgres-{len(made)}", UNSYNCED | settings)
        made.append(server)
        await server.start()
        await migrate(server.url)
        return server

    yield make
    for server in made:
        await server.stop()


def make_valkey(directory: Path, **settings: str) -> Valkey:
    directory.mkdir(exist_ok=True)
    run = short_directory(directory / "run")
    return Valkey(directory / "data", run, directory / "log", maxmemory_bytes=TEST_MEMORY_BYTES, **settings)


def make_postgres(directory: Path, settings: dict[str, str]) -> Postgres:
    directory.mkdir(exist_ok=True)
    return Postgres(directory / "data", short_directory(directory / "run"), directory / "log", settings)


async def execute(server: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url_of("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which peers a run left out, because nothing else tells that their tests did not run."""
    reasons = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()) if len(report.longrepr) == 3}
    left_out = sorted(reason.partition(MISSING)[2] for reason in reasons if MISSING in reason)
    if left_out:
        terminalreporter.section("peers left out; with SLUICE_REQUIRE_PEERS=1 those that .ci/run installs fail")
        for peer in left_out:
            terminalreporter.write_line(peer)
