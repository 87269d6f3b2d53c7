"""What `sluice up` puts into a new installation, and what it leaves alone in an old one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.embedded import seed
from gateway.embedded.datadir import DataDir
from gateway.embedded.sample_plan import sample
from gateway.embedded.seed import Sandbox
from gateway.live import plan as live_plan
from gateway.store import keys, plans
from gateway.store.pool import Pool
from gateway.streams.link import Redis

HERE = Sandbox("127.0.0.1:2775", "127.0.0.1:2776", "127.0.0.1:2777")
THERE = Sandbox("127.0.0.1:3775", "127.0.0.1:3776", "127.0.0.1:3777")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[DataDir]:
    made = DataDir.open(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    made = await Pool.open(postgres_url, size=2)
    yield made
    await made.close()


@pytest.fixture
async def link(valkey_url: str) -> AsyncIterator[Redis]:
    made = await Redis.open(valkey_url, 1)
    yield made
    await made.close()


async def test_the_sample_plan_is_live_once_and_stays(directory: DataDir, pool: Pool, link: Redis) -> None:
    assert "version 1: the sample" in await seed.sample_plan(directory, pool, link, HERE)
    assert await seed.sample_plan(directory, pool, link, HERE) == "version 1"
    active = await plans.active(pool)
    assert active is not None
    assert "2775" in active.document
    password = (directory.secrets / "sandbox").read_text().strip()
    assert len(password) == 8
    assert password not in active.document


async def test_the_sample_plan_follows_a_sandbox_that_moved(directory: DataDir, pool: Pool, link: Redis) -> None:
    await seed.sample_plan(directory, pool, link, HERE)
    assert "version 2" in await seed.sample_plan(directory, pool, link, THERE)
    active = await plans.active(pool)
    assert active is not None
    assert "3775" in active.document


async def test_a_sample_plan_of_an_older_release_stays_until_the_sandbox_moves(
    directory: DataDir, pool: Pool, link: Redis
) -> None:
    older = sample("127.0.0.1", 2775, str(seed.sandbox_password(directory)))
    version = await plans.draft(pool, older, who=seed.WHO)
    await live_plan.activate(pool, link, version, who=seed.WHO)
    assert await seed.sample_plan(directory, pool, link, HERE) == f"version {version}"
    assert "version 2: the sample" in await seed.sample_plan(directory, pool, link, THERE)
    active = await plans.active(pool)
    assert active is not None
    assert "3777" in active.document


async def test_a_plan_of_the_user_s_own_is_left_alone(directory: DataDir, pool: Pool, link: Redis) -> None:
    await seed.sample_plan(directory, pool, link, HERE)
    sample = await plans.active(pool)
    assert sample is not None
    version = await plans.draft(pool, sample.document + "# mine\n", who="ops")
    await live_plan.activate(pool, link, version, who="ops")
    assert await seed.sample_plan(directory, pool, link, THERE) == f"version {version}"


async def test_a_key_that_works_stays_and_one_that_does_not_is_replaced(
    directory: DataDir, pool: Pool, link: Redis
) -> None:
    first = await seed.first_key(directory, pool, link)
    seed.write_client_env(directory, "http://127.0.0.1:8080", first, {})
    assert await seed.first_key(directory, pool, link) == first
    (row,) = await keys.list_keys(pool)
    await keys.revoke_key(pool, row.id, who="ops")
    assert await seed.first_key(directory, pool, link) != first
    directory.client_env.unlink()
    assert len({first, await seed.first_key(directory, pool, link)}) == 2


def test_the_sandbox_is_where_it_was_unless_somebody_else_is_there(directory: DataDir) -> None:
    assert seed.recall_sandbox(directory) == Sandbox()
    seed.remember_sandbox(directory, THERE)
    assert seed.recall_sandbox(directory) == THERE
    anywhere = Sandbox("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0")
    assert Sandbox("nohost.invalid:1", "127.0.0.1:0", "nohost.invalid:2").free() == anywhere
    (directory.path / "sandbox.json").write_text('{"smpp": "127.0.0.1:3775", "control": "127.0.0.1:3776"}')
    assert seed.recall_sandbox(directory) == Sandbox("127.0.0.1:3775", "127.0.0.1:3776"), "of an older release"
    (directory.path / "sandbox.json").write_text("{")
    assert seed.recall_sandbox(directory) == Sandbox()
