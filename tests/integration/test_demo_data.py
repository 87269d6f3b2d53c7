"""`sluice demo-data`: the same month from the same seed, in step with statistics, never among real messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.demo import world
from gateway.demo.load import fill
from tests.ledger_bench import Bench, message, open_bench, rollups_equal_rows

NOVEMBER = date(2026, 11, 1)


class Silent:
    def begin(self, days: int) -> None: ...

    def done(self, day: date, messages: int) -> None: ...


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    yield bench
    await bench.close()


async def sluice(postgres_url: str, *arguments: str) -> Result:
    command = ["demo-data", "--postgres-url", postgres_url, *arguments]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


async def test_roll_ups_equal_the_rows_and_everything_goes_again(bench: Bench, postgres_url: str) -> None:
    made = await sluice(postgres_url, "--messages", "3000", "--days", "9", "--until", "2026-11-10")
    assert made.exit_code == 0, made.output
    count = await bench.value("select count(*) from bi.messages")
    assert 2000 < count < 4000
    await rollups_equal_rows(bench)
    assert await bench.value("select count(distinct client_key) from bi.messages where client_key > 0") == 5
    assert await bench.value("select count(*) from bi.messages where state = 'delivered'") > 0.85 * count
    assert await bench.value("select count(*) from bi.messages m where carrier is not null and carrier_key = 0") == 0
    twice = await sluice(postgres_url)
    assert (twice.exit_code, "--remove" in twice.output) == (1, True)
    assert (await sluice(postgres_url, "--remove")).exit_code == 0
    for table in ("messages", "submissions", "receipts", "stats_minute", "stats_hour", "stats_day_carriers"):
        assert await bench.value(f"select count(*) from {table}") == 0, table


async def test_among_real_messages_only_by_force(bench: Bench, postgres_url: str) -> None:
    bench.start()
    await bench.accept((bench.message_id(), message()))
    await bench.until_recorded()
    refused = await sluice(postgres_url, "--messages", "100")
    assert (refused.exit_code, "real messages" in refused.output) == (1, True)
    assert await bench.value("select count(*) from messages") == 1
    forced = await sluice(postgres_url, "--messages", "300", "--days", "2", "--force")
    assert forced.exit_code == 0, forced.output
    assert (await sluice(postgres_url, "--remove")).exit_code == 0
    assert await bench.value("select client from messages") == "shop"
    await rollups_equal_rows(bench)


async def test_the_same_seed_gives_the_same_month(bench: Bench, postgres_url: str) -> None:
    first = list(world.day_of(0, 3, 1, 500, seed=7))
    assert first == list(world.day_of(0, 3, 1, 500, seed=7))
    assert first != list(world.day_of(0, 3, 1, 500, seed=8))
    assert [s.at_ms for s in first] == sorted(s.at_ms for s in first)
    assert await fill(postgres_url, NOVEMBER, 1, 400, 7, Silent()) == len(list(world.day_of(0, 0, 6, 400, seed=7)))
