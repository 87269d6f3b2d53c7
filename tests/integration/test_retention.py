"""`sluice db retention`: old days go, nothing that still moves goes with them, and nobody waits."""

from __future__ import annotations

import asyncio
import datetime

import asyncpg
import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.store.migrate import migrate, migrations
from gateway.store.retention import Ages, RetentionError, drop_old

MESSAGE = """
insert into messages (id, deadline, changed_at, recipient_hash, parts, client, class, recipient, sender, text, encoding,
                      state, final_at)
values (id_floor(now() - make_interval(days => $1)), now(), now(), 0, 1, 'shop', 'otp', '', '', '', 'gsm7', $2, $3)
"""
MINUTE = """
insert into stats_minute (at, messages, parts, cost_micro, shard, client, class, carrier, operator, state, tag,
                          currency)
values (now() - make_interval(days => $1), 1, 1, 0, 0, 'shop', 'otp', '', '', 'failed', '', '')
"""


def today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


async def days(connection: asyncpg.Connection, table: str) -> list[int]:
    """How many days old each partition of a table is, the oldest first."""
    found = await connection.fetch(
        "select (now() at time zone 'UTC')::date - to_date(right(relname, 8), 'YYYYMMDD') as age from pg_class"
        " where relnamespace = 'days'::regnamespace and relname ~ ('^' || $1 || '_[0-9]{8}$') and relkind = 'r'"
        " order by age desc",
        table,
    )
    return [row["age"] for row in found if row["age"] > 1]


@pytest.fixture
async def connection(postgres_url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(postgres_url)
    for age in (100, 95, 92, 89):
        await connection.execute("select ensure_day((now() at time zone 'UTC')::date - $1::int)", age)
    yield connection
    await connection.close()


async def test_old_days_go_until_one_has_a_message_that_has_not_ended(
    postgres_url: str, connection: asyncpg.Connection
) -> None:
    await connection.execute(MESSAGE, 100, "delivered", await connection.fetchval("select now()"))
    await connection.execute(MESSAGE, 95, "unknown", None)
    await drop_old(postgres_url, Ages(messages=90), today())
    assert await days(connection, "messages") == [95, 92, 89]
    await connection.execute("update messages set state = 'expired', final_at = now()")
    await drop_old(postgres_url, Ages(messages=90), today())
    assert await days(connection, "messages") == await days(connection, "receipts") == [89]
    assert await connection.fetchval("select count(*) from messages") == 0
    assert await days(connection, "stats_minute") == [100, 95, 92, 89], "they have an age of their own"
    with pytest.raises(RetentionError, match="keep_messages_days is 7: it is 0 or at least 36"):
        await drop_old(postgres_url, Ages(messages=7), today())


async def test_statistics_go_at_their_own_age(postgres_url: str, connection: asyncpg.Connection) -> None:
    await drop_old(postgres_url, Ages(minutes=90, quarters=94, hours=99), today())
    found = [await days(connection, name) for name in ("stats_minute", "stats_quarter_all", "stats_hour_clients")]
    assert found == [[89], [92, 89], [95, 92, 89]]
    assert await days(connection, "messages") == [100, 95, 92, 89]
    assert await connection.fetchval("select count(*) from dropped_days") == 6


async def test_whoever_writes_does_not_wait_for_a_day_to_go(postgres_url: str, connection: asyncpg.Connection) -> None:
    writer = await asyncpg.connect(postgres_url)
    try:
        open_ = writer.transaction()
        await open_.start()
        await writer.execute(MINUTE, 1)
        dropping = asyncio.create_task(drop_old(postgres_url, Ages(minutes=90), today()))
        async with asyncio.timeout(60):
            while not await connection.fetchval(
                "select exists (select from pg_stat_activity where query like '%detach%' and wait_event_type = 'Lock')"
            ):
                await asyncio.sleep(0.01)
        await connection.execute("set lock_timeout = '20s'")
        await connection.execute(MINUTE, 1)
        assert await connection.fetchval("select count(*) from stats_minute") == 1, "readers and writers go on"
        await open_.commit()
        assert "stats_minute_" in (await dropping)[0]
    finally:
        await writer.close()


async def test_a_drop_that_was_broken_off_is_finished_the_next_time(
    postgres_url: str, connection: asyncpg.Connection
) -> None:
    name = await connection.fetchval("select 'stats_minute_' || to_char(now() - interval '100 days', 'YYYYMMDD')")
    await connection.execute(f"alter table stats_minute detach partition days.{name}")
    assert name in await drop_old(postgres_url, Ages(), today())
    assert await days(connection, "stats_minute") == [95, 92, 89]


async def test_a_day_that_was_dropped_is_made_again_for_a_late_change(
    postgres_url: str, connection: asyncpg.Connection
) -> None:
    await drop_old(postgres_url, Ages(minutes=90), today())
    await connection.execute("select ensure_day((now() at time zone 'UTC')::date - 95)")
    await connection.execute(MINUTE, 95)
    assert await days(connection, "stats_minute") == [95, 89]


def test_the_command_says_what_it_dropped(postgres_url: str, connection: asyncpg.Connection) -> None:
    said = CliRunner().invoke(main, ["db", "retention", "--postgres-url", postgres_url])
    assert (said.exit_code, said.output) == (0, "Nothing is old enough.\n")
    environ = {"SLUICE_KEEP_MESSAGES_DAYS": "99"}
    said = CliRunner().invoke(main, ["db", "retention", "--postgres-url", postgres_url], env=environ)
    assert said.exit_code == 0 and said.output.count("dropped ") == 6 and "Nothing older is left." in said.output


async def test_a_filled_database_becomes_one_with_days(postgres_url: str) -> None:
    """What the former release booked stays in one partition, and goes when all of it is old."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("drop schema public cascade; drop schema days cascade; drop schema bi cascade")
        await connection.execute("create schema public")
        for migration in migrations():
            if migration.name < "0011":
                await connection.execute(migration.sql)
        await connection.execute(
            "create table schema_migrations (name text primary key, sha256 text not null, applied_at timestamptz"
            " not null default now())"
        )
        rows = [(one.name, one.sha256) for one in migrations() if one.name < "0011"]
        await connection.executemany("insert into schema_migrations values ($1, $2)", rows)
        await connection.execute(MINUTE, 50)
        await connection.execute(MINUTE, 0)
        await migrate(postgres_url)
        assert await connection.fetchval("select count(*) from days.stats_minute_before") == 2
        await connection.execute(MINUTE, 0)
        await connection.execute("select ensure_day((now() at time zone 'UTC')::date + 1)")
        await connection.execute(MINUTE, -1)
        assert await connection.fetchval("select count(*) from stats_minute") == 4
        assert await connection.fetchval("select count(*) from bi.stats_quarters") == 0
        later = today() + datetime.timedelta(days=99)
        assert "stats_minute_before" not in await drop_old(postgres_url, Ages(minutes=100), later)
        dropped = await drop_old(postgres_url, Ages(minutes=100), later + datetime.timedelta(days=2))
        assert "stats_minute_before" in dropped
        assert await connection.fetchval("select count(*) from stats_minute") == 1
    finally:
        await connection.close()
