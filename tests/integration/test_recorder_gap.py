"""A PostgreSQL that comes back without its last transactions: work goes on, and what is missing is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.store.offsets import stream_id
from tests.ledger_bench import Bench, message, open_bench


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    yield bench
    await bench.close()


async def accept(bench: Bench, number: int) -> None:
    await bench.accept((bench.message_id(), message(number)))
    await bench.until_recorded()


async def test_what_postgresql_lost_is_told_once_and_the_rest_is_recorded(bench: Bench) -> None:
    bench.start()
    await accept(bench, 1)
    before = await bench.pool.fetchrow("select run, last_id from offsets")
    assert before is not None
    await accept(bench, 2)
    # As after a failover to a standby that had not got the last transaction.
    await bench.pool.execute("update offsets set last_id = $1 where run = $2", before["last_id"], before["run"])
    await bench.pool.execute("delete from messages where id = (select max(id::text)::uuid from messages)")
    await accept(bench, 3)
    assert await bench.value("select count(*) from messages") == 2
    (gap,) = await bench.pool.fetch("select * from quarantine")
    assert (gap["what"], gap["message_id"]) == ("gap", None)
    assert (
        gap["error"] == f"events after {before['last_id']} were in PostgreSQL once: it was restored from an older state"
    )
    assert stream_id(gap["entry"]) > stream_id(before["last_id"])
