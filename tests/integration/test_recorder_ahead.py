"""While one batch is written the next is prepared: whatever happens to the first, everything is recorded once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.events import Ended
from gateway.recorder import recorder
from gateway.recorder.recent import Recent
from gateway.recorder.transaction import Batch, Transactions
from gateway.store import copy_format, ledger, records
from gateway.store.offsets import Offsets
from gateway.store.pool import Pool, StoreAwayError
from tests.ledger_bench import Bench, message, open_bench, receipt, rollups_equal_rows, submitted


class Gate:
    """Holds the first batch that is written, until the next is prepared upon it and `opened` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held, self.next_prepared, self.opened = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.prepared: list[Batch] = []
        self.written: list[Batch] = []
        prepare, write = Transactions.prepare, ledger.write

        async def watched_prepare(this: Transactions, *given: Any) -> Batch:
            batch = await prepare(this, *given)
            self.prepared.append(batch)
            if self.held.is_set():
                self.next_prepared.set()
            return batch

        async def held_write(connection: Any, encoded: ledger.Encoded) -> None:
            if not self.held.is_set():
                self.held.set()
                async with asyncio.timeout(20):
                    await self.opened.wait()
            await write(connection, encoded)

        monkeypatch.setattr(Transactions, "prepare", watched_prepare)
        monkeypatch.setattr(ledger, "write", held_write)

    async def until_next_is_prepared(self) -> None:
        async with asyncio.timeout(20):
            await self.next_prepared.wait()


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    yield bench
    await bench.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setattr(recorder, "BATCH_S", 0.01)
    return Gate(monkeypatch)


async def told(bench: Bench, gate: Gate, second: Callable[[list[bytes]], Awaitable[object]]) -> list[bytes]:
    """Five submitted messages are being written, and what `second` tells is prepared upon them."""
    ids = [bench.message_id() for _ in range(5)]
    await bench.accept(*((one, message(n)) for n, one in enumerate(ids)))
    await bench.tell(*(submitted(one, one.hex()) for one in ids))
    bench.start()
    async with asyncio.timeout(20):
        await gate.held.wait()
    await second(ids)
    await gate.until_next_is_prepared()
    return ids


def receipts(bench: Bench) -> Callable[[list[bytes]], Awaitable[object]]:
    return lambda ids: bench.tell(*(receipt(one.hex()) for one in ids))


async def all_once(bench: Bench, ids: list[bytes], state: str = "delivered", rev: int = 2) -> None:
    await bench.until_recorded()
    rows = await bench.pool.fetch("select state, rev from messages where id = any($1)", ids)
    assert [tuple(row) for row in rows] == [(state, rev)] * len(ids)
    assert await bench.value("select count(*) from submissions") == len(ids)
    assert await bench.value("select count(*) from receipts_waiting") == 0
    await rollups_equal_rows(bench)


async def test_a_batch_is_prepared_upon_the_one_that_is_still_being_written(bench: Bench, gate: Gate) -> None:
    ids = await told(bench, gate, receipts(bench))
    assert await bench.value("select count(*) from messages") == 0, "the first is not committed yet"
    gate.opened.set()
    await all_once(bench, ids)
    assert len(gate.prepared) == 2, "the second was not prepared again"
    assert await bench.value("select count(*) from receipts") == len(ids)


async def test_a_second_receipt_for_a_message_that_ends_in_the_batch_ahead_finds_it(bench: Bench, gate: Gate) -> None:
    bench.start()
    one = bench.message_id()
    gate.held.set()
    await bench.accept((one, message(1)))
    await bench.tell(submitted(one, "c1"))
    await bench.until_recorded()
    gate.held.clear()
    gate.next_prepared.clear()
    await bench.tell(receipt("c1"))
    async with asyncio.timeout(20):
        await gate.held.wait()
    await bench.tell(receipt("c1"))
    await gate.until_next_is_prepared()
    gate.opened.set()
    await all_once(bench, [one])
    assert await bench.value("select count(*) from receipts where message_id = $1", one) == 2


async def test_when_the_batch_ahead_has_a_value_that_is_refused_both_are_recorded(bench: Bench, gate: Gate) -> None:
    bad = bench.message_id()
    await bench.accept((bad, message(9, text="broken\0text")))
    ids = await told(bench, gate, receipts(bench))
    gate.opened.set()
    await all_once(bench, ids)
    kept = await bench.pool.fetch("select what, message_id from quarantine")
    assert [tuple(row) for row in kept] == [("accepted", bad)]
    assert await bench.value("select count(*) from receipts") == len(ids)


async def test_when_the_batch_behind_has_a_value_that_is_refused_both_are_recorded(bench: Bench, gate: Gate) -> None:
    async def bad_end(ids: list[bytes]) -> None:
        await bench.tell(Ended(ids[0], "failed", "bad\0"), *(receipt(one.hex()) for one in ids))

    ids = await told(bench, gate, bad_end)
    gate.opened.set()
    await all_once(bench, ids)
    assert await bench.value("select what from quarantine") == "ended"


async def test_when_the_batch_behind_cannot_be_encoded_both_are_recorded(bench: Bench, gate: Gate) -> None:
    async def too_large(ids: list[bytes]) -> None:
        await bench.tell(*(receipt(one.hex(), echo=1 << 40 if one == ids[0] else -1) for one in ids))

    ids = await told(bench, gate, too_large)
    assert gate.prepared[-1].encoded is None
    gate.opened.set()
    await bench.until_recorded()
    assert await bench.value("select count(*) from messages where state = 'delivered'") == len(ids) - 1
    assert await bench.value("select message_id is null and what = 'received' from quarantine")
    await rollups_equal_rows(bench)


async def test_a_row_that_the_matcher_changes_meanwhile_is_read_again(bench: Bench, gate: Gate) -> None:
    gate.held.set()
    bench.start()
    one, other = bench.message_id(), bench.message_id()
    await bench.accept((one, message(1)), (other, message(2)))
    await bench.until_recorded()
    gate.held.clear()
    await bench.tell(submitted(one, "c1"))
    async with asyncio.timeout(20):
        await gate.held.wait()
    await bench.tell(submitted(other, "c2"), receipt("c1"))
    await gate.until_next_is_prepared()
    revs = await bench.pool.fetch("update messages set rev = rev + 5, seq = 7 where id = $1 returning rev", other)
    gate.opened.set()
    await bench.until_recorded()
    assert [await bench.state(message_id) for message_id in (one, other)] == ["delivered", "submitted"]
    row = await bench.pool.fetchrow("select rev, seq from messages where id = $1", other)
    assert tuple(row or ()) == (revs[0]["rev"] + 1, 7)
    assert await bench.value("select count(*) from submissions") == 2
    await rollups_equal_rows(bench)


async def test_a_conflict_in_the_batch_ahead_throws_away_what_was_prepared_behind_it(bench: Bench, gate: Gate) -> None:
    gate.held.set()
    bench.start()
    one = bench.message_id()
    await bench.accept((one, message(1)))
    await bench.until_recorded()
    await bench.pool.execute("update messages set rev = rev + 5 where id = $1", one)
    gate.held.clear()
    await bench.tell(submitted(one, "c1"))
    async with asyncio.timeout(20):
        await gate.held.wait()
    await bench.tell(receipt("c1"))
    await gate.until_next_is_prepared()
    gate.opened.set()
    await all_once(bench, [one], rev=8)


async def test_another_recorder_that_records_meanwhile_makes_this_one_give_up(
    bench: Bench, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction = Transactions.write
    other = Transactions(bench.pool, 0, Recent())

    async def overtaken(this: Transactions, batch: Batch, read_from: Offsets) -> Offsets:
        if len(gate.written) == 0:
            gate.written.append(batch)
            await other.record(batch.pieces, read_from, bench.redis.clock_ms())
        return await transaction(this, batch, read_from)

    gate.held.set()
    monkeypatch.setattr(Transactions, "write", overtaken)
    ids = [bench.message_id() for _ in range(5)]
    await bench.accept(*((one, message(n)) for n, one in enumerate(ids)))
    await bench.tell(*(submitted(one, one.hex()) for one in ids))
    await bench.tell(*(receipt(one.hex()) for one in ids))
    bench.start()
    await all_once(bench, ids, rev=1)


async def test_postgres_killed_while_a_batch_is_prepared_loses_and_doubles_nothing(
    valkey_url: str, own_postgres: Callable[..., Awaitable[Any]], gate: Gate
) -> None:
    server = await own_postgres()
    bench = await open_bench(valkey_url, server.url)
    ids = await told(bench, gate, receipts(bench))
    await server.kill()
    gate.opened.set()
    await server.start()
    await all_once(bench, ids)
    assert await bench.value("select count(*) from receipts") == len(ids)
    await bench.close()


async def test_a_server_that_says_goodbye_between_two_statements_is_a_server_that_is_away(
    own_postgres: Callable[..., Awaitable[Any]],
) -> None:
    server = await own_postgres()
    pool = await Pool.open(server.url)
    for _ in range(20):
        with pytest.raises(StoreAwayError):
            async with pool.transaction() as connection:
                pid = await connection.fetchval("select pg_backend_pid()")
                await pool.execute("select pg_terminate_backend($1)", pid)
                for _ in range(1_000):
                    await copy_format.copy(connection, "receipts", records.RECEIPT, [])
                    await asyncio.sleep(0)
    await pool.close()
