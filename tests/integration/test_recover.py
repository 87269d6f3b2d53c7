"""`sluice recover`: a Redis that came back older is brought in step with PostgreSQL, and its shard opens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.message import pack_message
from gateway.ops.recover import recover
from gateway.streams.reader import queued
from tests.ledger_bench import Bench, message, open_bench, receipt, submitted


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    yield bench
    await bench.close()


async def _queue(bench: Bench, one: bytes) -> None:
    await bench.link.call("SADD", "{0}:lanes", "marketing:shop")
    await bench.link.call("XADD", "{0}:intake:marketing:shop", "*", "m", one + pack_message(message()))


async def _queued(bench: Bench) -> set[bytes]:
    raw = await bench.link.call("XRANGE", "{0}:intake:marketing:shop", "-", "+")
    return {queued(entry).message_id for entry in raw} | set(await bench.link.call("ZRANGE", "{0}:later", 0, -1))


async def _closed(bench: Bench) -> object:
    return await bench.link.call("GET", "{0}:closed")


async def _older_redis(bench: Bench) -> dict[str, bytes]:
    """PostgreSQL has recorded more than what is left of Redis."""
    now = bench.redis.clock_ms()
    names = ("waits", "lost", "later", "sent", "delivered", "expired", "answered")
    ids = {name: bench.message_id() for name in names}
    given: dict[str, dict[str, object]] = {"later": {"send_at_ms": now + 3_600_000}, "expired": {"validity_s": 0}}
    task = bench.start()
    await bench.accept(*((one, message(n, **given.get(name, {}))) for n, (name, one) in enumerate(ids.items())))
    await bench.tell(submitted(ids["sent"], "c1"), submitted(ids["delivered"], "c2"), receipt("c2"))
    await bench.until_recorded()
    await bench.stop(task)
    await bench.link.call("FLUSHALL")
    for name in ("waits", "sent", "delivered"):
        await _queue(bench, ids[name])
    await bench.tell(submitted(ids["answered"], "c3"))
    return ids


async def test_queues_get_what_they_lack_and_lose_what_was_sent(bench: Bench) -> None:
    ids = await _older_redis(bench)
    bench.start()
    await bench.until(lambda: _closed(bench))
    assert (await recover(bench.pool, bench.redis.link(0), 0, dry_run=True)).put_back == 2
    assert await _queued(bench) == {ids["waits"], ids["sent"], ids["delivered"]}, "a dry run changes nothing"
    done = await recover(bench.pool, bench.redis.link(0), 0)
    assert (done.needed, done.put_back, done.taken_off) == (True, 2, 2)
    assert await _queued(bench) == {ids["waits"], ids["lost"], ids["later"]}
    await bench.until_recorded()
    assert await bench.state(ids["answered"]) == "submitted", "what came after the restore is recorded"
    assert not await _closed(bench)
    assert not (await recover(bench.pool, bench.redis.link(0), 0)).needed


async def test_the_command_says_what_it_did(
    bench: Bench, valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _older_redis(bench)
    monkeypatch.setenv("SLUICE_REDIS_URL", valkey_url)
    monkeypatch.setenv("SLUICE_POSTGRES_URL", postgres_url)

    def run(*options: str) -> str:
        return CliRunner().invoke(main, ["recover", *options]).output

    assert "2 messages would be put back, 2 would be taken off" in await asyncio.to_thread(run, "--dry-run")
    assert "2 messages were put back, 2 were taken off; it is open" in await asyncio.to_thread(run)
    assert "in step, nothing to do" in await asyncio.to_thread(run)
