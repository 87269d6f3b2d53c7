"""Numbering data beside the plan: swapped whole under load, there before the first message, gone when it is ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import metrics
from gateway.datasets.kinds import ChildError, check, compile_file
from gateway.live import datasets as live_datasets
from gateway.live import numbers as live_numbers
from gateway.live import plan as live_plan
from gateway.live.datasets import LiveDatasets
from gateway.live.plan import LivePlan
from gateway.numbering import kept
from gateway.numbering.ranges import Record
from gateway.store import datasets, plans
from gateway.store.pool import Pool
from gateway.streams.link import Redis

DEADLINE_S = 30.0
PLAN = """
carrier = [{ name = "a", provider = "smpp", settings = { host = "h", system_id = "u", password = { env = "P" } } }]
operator = [
  { name = "red", aliases = ["Red Ltd"] },
  { name = "blue", mcc_mnc = "25099" },
  { name = "rest", prefixes = [""] },
]
route = [{ name = "all", carriers = ["a"] }]
"""
ASKED = [f"+7999{n:07d}" for n in range(0, 10_000_000, 199_999)]


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    opened = await Pool.open(postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    opened = await Redis.open(valkey_url, 1)
    yield opened
    await opened.close()


@asynccontextmanager
async def process(redis: Redis, pool: Pool, directory: Path) -> AsyncIterator[LivePlan]:
    """As the daemon starts it."""
    plan = LivePlan(redis)
    data = LiveDatasets(redis, pool, directory)
    live_numbers.attach(data, plan)
    tasks = [asyncio.create_task(work) for work in (plan.watch(), data.watch())]
    assert await data.settled(DEADLINE_S)
    await plan.known()
    tasks.append(asyncio.create_task(live_numbers.count_unmapped(plan.current)))
    try:
        yield plan
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def use_plan(pool: Pool, redis: Redis) -> None:
    version = await plans.draft(pool, PLAN, who="test")
    assert not isinstance(await live_plan.activate(pool, redis, version, who="test"), live_plan.Refused)


async def put_numbers(pool: Pool, tmp_path: Path, *operators: str) -> int:
    """A plan of a hundred ranges that belong to these in turn."""
    path = tmp_path / f"{'-'.join(operators)}.csv"
    rows = [
        (f"7999{n:02d}", f"7999{n:02d}", Record(operators[n % len(operators)], "RU", operators[0])) for n in range(100)
    ]
    kept.write_numbers(path, rows)
    return await datasets.put(pool, "numbers", datasets.pieces(path), rows=100, who="test")


def operators(plan: LivePlan) -> set[str]:
    """Of all the numbers, under one plan."""
    compiled = plan.current()
    assert compiled is not None
    return {compiled.operator(to) for to in ASKED}


async def test_versions_are_swapped_under_load_and_never_mixed(redis: Redis, pool: Pool, tmp_path: Path) -> None:
    await use_plan(pool, redis)
    versions = {name: await put_numbers(pool, tmp_path, name) for name in ("red", "blue")}
    async with process(redis, pool, tmp_path / "a") as one, process(redis, pool, tmp_path / "a") as other:
        looks = 0
        mixed: list[set[str]] = []

        async def look() -> None:
            nonlocal looks
            while True:
                for plan in (one, other):
                    found = operators(plan)
                    looks += 1
                    if len(found) != 1:
                        mixed.append(found)
                await asyncio.sleep(0)

        looking = asyncio.create_task(look(), name="look")
        assert operators(one) == {"rest"}
        for name in ("red", "blue") * 4:
            await live_datasets.activate(pool, redis, versions[name], who="test")
            await until(lambda name=name: operators(one) == operators(other) == {name})  # type: ignore[misc]
        assert await live_datasets.deactivate(pool, redis, "numbers", who="test")
        await until(lambda: operators(one) == operators(other) == {"rest"})
        looking.cancel()
        await asyncio.wait((looking,))
        assert mixed == [] and looks > 100


async def test_a_process_knows_the_numbers_before_it_serves_and_counts_names_without_an_operator(
    redis: Redis, pool: Pool, tmp_path: Path
) -> None:
    await use_plan(pool, redis)
    version = await put_numbers(pool, tmp_path, "red", "green", "red", "pink")
    await live_datasets.activate(pool, redis, version, who="test")
    async with process(redis, pool, tmp_path / "a") as plan:
        assert operators(plan) == {"red", "rest"}
        page = 'sluice_numbering_unmapped_{}{{kind="numbers"}} {}\n'
        wanted = [page.format("names", "2.0"), page.format("rows", "50.0")]
        await until(lambda: all(line.encode() in metrics.render()[0] for line in wanted))


async def test_what_cannot_be_checked_or_made_ready_is_said(tmp_path: Path) -> None:
    report = await check("numbers", tmp_path / "no such file", tmp_path / "kept")
    assert not report.is_good and report.remarks == ("the file cannot be read: No such file or directory.",)
    with pytest.raises(ChildError, match="the compile of numbers failed"):
        await compile_file("numbers", tmp_path / "no such file", tmp_path / "made")
