"""A rate sheet and a registry of senders that are made active count in every process, beside any plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.datasets import kinds as dataset_kinds
from gateway.live import datasets as live_datasets
from gateway.live import plan as live_plan
from gateway.live import sheets as live_sheets
from gateway.live.datasets import LiveDatasets
from gateway.live.plan import LivePlan
from gateway.store import datasets, plans
from gateway.store.pool import Pool
from gateway.streams.link import Redis

DEADLINE_S = 30.0
PLAN = """
[defaults]
currency = "RUB"

[[carrier]]
name = "north"
provider = "smpp"
settings = { host = "127.0.0.1", port = 2775, system_id = "x", password = { env = "NORTH" } }

[[operator]]
name = "mts"
prefixes = [""]
aliases = ["ПАО «МТС»"]

[[rate]]
carrier = "north"
class = "otp"
price = "3.00"

[[route]]
name = "all"
carriers = ["north"]
"""


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
    plan, data = LivePlan(redis), LiveDatasets(redis, pool, directory)
    live_sheets.attach(data, plan)
    tasks = [asyncio.create_task(work, name="under test") for work in (plan.watch(), data.watch())]
    try:
        yield plan
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.02)


async def put(pool: Pool, kind: str, text: str, tmp_path: Path) -> int:
    """As an import does it: checked in a process of its own, and kept in one spelling."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text(text)
    report = await dataset_kinds.check(kind, source, target)
    assert report.is_good, report
    return await datasets.put(pool, kind, datasets.pieces(target), rows=report.rows, who="ann")


async def use(pool: Pool, redis: Redis, document: str) -> None:
    active = await live_plan.activate(pool, redis, await plans.draft(pool, document, who="ann"), who="ann")
    assert not isinstance(active, live_plan.Refused), active


def price(plan: LivePlan, klass: str) -> int:
    compiled = plan.current()
    found = compiled.rates.price("north", "mts", klass) if compiled else None
    return found.micro if found else 0


async def test_prices_come_from_the_active_sheet_and_stay_through_changes_of_the_plan(
    redis: Redis, pool: Pool, tmp_path: Path
) -> None:
    await use(pool, redis, PLAN)
    one = await put(pool, "rates", "Поставщик;Оператор;Цена\nnorth;ПАО «МТС»;2,50\n", tmp_path)
    two = await put(pool, "rates", "carrier,price\nnorth,2.25\n", tmp_path)
    async with process(redis, pool, tmp_path / "a") as plan:
        await plan.known()
        assert price(plan, "alert") == 0
        await live_datasets.activate(pool, redis, one, who="ann")
        await until(lambda: price(plan, "alert") == 2_500_000)
        await live_datasets.activate(pool, redis, two, who="ann")
        await until(lambda: price(plan, "alert") == 2_250_000)
        assert price(plan, "otp") == 3_000_000
        await use(pool, redis, PLAN.replace("3.00", "3.50"))
        await until(lambda: price(plan, "otp") == 3_500_000)
        assert price(plan, "alert") == 2_250_000
        await live_datasets.rollback(pool, redis, "rates", who="ann")
        await until(lambda: price(plan, "otp") == 2_500_000)  # for an operator is exacter than for a class
        await live_datasets.deactivate(pool, redis, "rates", who="ann")
        await until(lambda: price(plan, "alert") == 0)
        assert price(plan, "otp") == 3_500_000


async def test_senders_are_registered_as_the_active_registry_says(redis: Redis, pool: Pool, tmp_path: Path) -> None:
    await use(pool, redis, PLAN)
    version = await put(pool, "senders", "sender,operators,carriers\nBANK,ПАО «МТС»,north\n", tmp_path)
    async with process(redis, pool, tmp_path / "a") as plan:

        def state(sender: str) -> str:
            compiled = plan.current()
            return compiled.senders.allowed(sender, "north", "mts", "otp", "shop").state if compiled else ""

        await until(lambda: state("BANK") == "free")
        await live_datasets.activate(pool, redis, version, who="ann")
        await until(lambda: state("BANK") == "registered")
        assert state("Other") == "unregistered"


async def test_a_list_with_a_wrong_row_is_not_kept(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("carrier,price\nnorth,2.25\nnorth,x\n")
    report = await dataset_kinds.check("rates", source, tmp_path / "target")
    assert not report.is_good and report.errors == 1
    assert [(fault.line, fault.sentence) for fault in report.faults] == [
        (3, "`x` is no price: write one such as 2.15.")
    ]
