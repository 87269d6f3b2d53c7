"""Migrations: once each, in turn, never changed afterwards, and what they promise about partitions."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator

import asyncpg
import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.message import id_tail, make_id
from gateway.store import migrate as module
from gateway.store.migrate import Migration, MigrationError, migrate
from gateway.store.pool import Pool, StoreAwayError, connect


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
async def empty_url(postgres_url: str, connection: asyncpg.Connection) -> AsyncIterator[str]:
    name = await connection.fetchval("select current_database()")
    await connection.execute(f"create database {name}_empty")
    yield postgres_url.replace(name, f"{name}_empty")
    await connection.execute(f"drop database {name}_empty with (force)")


async def test_an_empty_database_gets_every_file_once(empty_url: str) -> None:
    names = [migration.name for migration in module.migrations()]
    assert await migrate(empty_url) == names
    assert await migrate(empty_url) == []


async def test_two_processes_that_migrate_at_once_take_turns(empty_url: str) -> None:
    done = await asyncio.gather(migrate(empty_url), migrate(empty_url))
    assert sorted(done, key=len)[0] == []


async def test_a_file_that_was_changed_after_it_was_applied_is_told(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = module.migrations()[0]
    monkeypatch.setattr(module, "migrations", lambda: [Migration(first.name, first.sql + "-- changed")])
    with pytest.raises(MigrationError, match="differs from what was applied"):
        await migrate(postgres_url)


async def test_a_failing_file_leaves_nothing_behind(
    postgres_url: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "migrations", lambda: [Migration("9999_bad.sql", "create table half (); select 1/0")])
    with pytest.raises(MigrationError, match=r"9999_bad\.sql failed"):
        await migrate(postgres_url)
    assert await connection.fetchval("select to_regclass('half')") is None


async def test_a_database_of_a_newer_release_is_left_alone(postgres_url: str, connection: asyncpg.Connection) -> None:
    await connection.execute("insert into schema_migrations (name, sha256) values ('9999_newer.sql', 'x')")
    assert await migrate(postgres_url) == []


def test_the_command_says_what_it_did(postgres_url: str) -> None:
    done = CliRunner().invoke(main, ["db", "migrate", "--postgres-url", postgres_url])
    assert (done.exit_code, done.output) == (0, "The schema is this release's.\n")


def test_the_command_says_in_one_line_that_the_server_is_away() -> None:
    done = CliRunner().invoke(main, ["db", "migrate", "--postgres-url", "postgresql://127.0.0.1:1/sluice"])
    assert done.exit_code == 1
    assert "PostgreSQL is away" in done.output
    assert len(done.output.splitlines()) == 1


async def test_a_day_gets_its_partitions_once(connection: asyncpg.Connection) -> None:
    day = datetime.date(2031, 5, 6)
    assert await connection.fetchval("select ensure_day($1)", day) == 12
    assert await connection.fetchval("select ensure_day($1)", day) == 0


async def test_an_id_and_its_time_agree(connection: asyncpg.Connection) -> None:
    one = make_id(1_795_300_000_123, id_tail(7))
    assert await connection.fetchval("select id_time($1)", one) == 1_795_300_000_123
    assert await connection.fetchval("select id_floor(id_time($1))", one) == make_id(1_795_300_000_123, bytes(10))


async def test_a_pool_opens_while_the_server_is_away_and_says_so_when_used() -> None:
    pool = await Pool.open("postgresql://127.0.0.1:1/sluice")
    with pytest.raises(StoreAwayError):
        await pool.fetchval("select 1")
    await pool.close()


async def test_a_wrong_call_is_no_lost_server(postgres_url: str) -> None:
    pool = await Pool.open(postgres_url)
    with pytest.raises(asyncpg.InterfaceError):
        await pool.fetchval("select $1::int")
    with pytest.raises(FileNotFoundError):
        async with pool.transaction():
            raise FileNotFoundError("the borrower's own")
    await pool.close()


async def test_a_pool_mends_itself_after_the_server_cut_its_connections(
    postgres_url: str, connection: asyncpg.Connection
) -> None:
    pool = await Pool.open(postgres_url, size=1)
    with pytest.raises(StoreAwayError):
        async with pool.connection() as borrowed:
            pid = await borrowed.fetchval("select pg_backend_pid()")
            await connection.execute("select pg_terminate_backend($1)", pid)
            while True:
                await borrowed.fetchval("select 1")
    assert await pool.fetchval("select 1") == 1
    await pool.close()
