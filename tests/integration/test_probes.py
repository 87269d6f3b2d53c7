"""What /metrics shows of the servers beside a process, and of the plan's carriers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway import metrics
from gateway.embedded.valkey import Valkey
from gateway.ops import carriers, probes
from gateway.store.pool import Pool
from tests.core_redis import opened, until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((probes, "EVERY_S"), (probes, "COUNT_EVERY_S")):
        monkeypatch.setattr(module, name, 0.01)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]):
    task = asyncio.create_task(work, name="under test")
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def shown(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(f"sluice_{name}", labels)


async def test_postgresql_that_answers_and_one_that_is_away(postgres_url: str, tmp_path: Path) -> None:
    metrics.postgres_up.set(0)
    pool = await Pool.open(postgres_url, size=2)
    async with running(probes.probe_postgres(pool)):
        await until(lambda: shown("postgres_up") == 1, "PostgreSQL to be up")
        await until(lambda: shown("postgres_connections", state="idle") == 1, "its connection to be counted")
    await pool.close()
    nowhere = await Pool.open(f"postgresql://{tmp_path}/none?host={tmp_path}", size=1)
    async with running(probes.probe_postgres(nowhere)):
        await until(lambda: shown("postgres_up") == 0, "PostgreSQL to be away")
    await nowhere.close()


async def test_a_redis_without_an_append_only_file_is_told(own_valkey: Callable[..., Awaitable[Valkey]]) -> None:
    server = await own_valkey()
    async with opened(server.url) as redis, running(probes.probe_redis(redis)):
        await until(lambda: shown("redis_aof_ok") == 1, "a file that is written")
        await redis.link(None).call(b"CONFIG", b"SET", b"appendonly", b"no")
        await until(lambda: shown("redis_aof_ok") == 0, "no file any more")


async def test_bounds_of_redis_are_shown(own_valkey: Callable[..., Awaitable[Valkey]]) -> None:
    server = await own_valkey()
    async with opened(server.url) as redis:
        await until(lambda: shown("redis_noeviction") == 1, "the policy")
        await redis.link(None).call(b"CONFIG", b"SET", b"maxmemory-policy", b"allkeys-lru")
        await redis.link(None).call(b"CONFIG", b"SET", b"maxmemory", b"0")
        await until(lambda: shown("redis_noeviction") == 0, "another policy")
        assert (shown("redis_memory_max_bytes"), shown("redis_memory_used_ratio")) == (0, 0)
        await server.kill()
        await until(lambda: shown("redis_up") == 0, "Redis to be away")
        await server.start()
        await until(lambda: shown("redis_up") == 1, "Redis to be back")
        assert (shown("redis_reconnects_total") or 0) > 0


async def test_what_is_left_over_is_counted(postgres_url: str, valkey_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("insert into quarantine (shard, entry, what, error, raw) values (0, '1-0', 'a', 'b', '')")
    await connection.execute(
        "insert into receipts_waiting (at, next_try_at, echo, carrier, carrier_message_id, bind, state, reason, code,"
        " recipient, sender, raw) select now() - interval '1 hour', now(), -1, 'a', 'b', '', 'delivered', '', '', '',"
        " '', '' from generate_series(1, 3)"
    )
    await connection.close()
    pool = await Pool.open(postgres_url, size=1)
    async with opened(valkey_url) as redis, running(probes.count_leftovers(pool, redis)):
        await until(lambda: shown("receipts_waiting") == 3, "the receipts")
        assert 3_590 < (shown("receipts_waiting_age_seconds") or 0) < 3_660
        assert shown("quarantine_values") == 1
    await pool.close()


def test_a_carrier_that_nobody_serves_is_shown_as_one_that_cannot_send() -> None:
    statuses = {
        "a": {"live": True, "at_ms": 9_000},
        "b": {"live": True, "at_ms": 1_000},
        "c": {"live": False, "at_ms": 9_000},
    }
    carriers.show(("a", "b", "c", "d"), statuses, {"c": "paused"}, 10_000)
    assert [shown("carrier_live", carrier=name) for name in "abcd"] == [1, 0, 0, 0], "b's connector is silent"
    assert shown("carrier_mode", carrier="c", mode="paused") == 1
    assert shown("carrier_mode", carrier="a", mode="running") == 1
    carriers.show(("a",), statuses, {}, 10_000)
    assert shown("carrier_live", carrier="c") is None, "it left the plan"
