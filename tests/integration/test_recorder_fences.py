"""What keeps two recorders apart inside PostgreSQL, and partitions: made ahead, and made again when they are gone."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.events import Came
from gateway.provider import Inbound
from gateway.recorder.pieces import decode
from gateway.recorder.recent import Recent
from gateway.recorder.transaction import OffsetMovedError, Transactions
from gateway.store import ledger, offsets
from gateway.store.days import AHEAD, DAY_MS
from gateway.streams import facts
from tests.ledger_bench import Bench, message, open_bench, receipt, rollups_equal_rows, submitted

DAILY = ("messages", "submissions", "receipts", "inbound", "notes", "waiting", "stats_minute")
_BLOCKED = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    yield bench
    await bench.close()


async def test_who_read_the_same_offset_waits_for_the_other_to_commit_and_then_gives_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the lock on the offset keeps a subscriber's message from standing there twice: it has no key."""
    async with bench.pool.transaction() as connection:
        await offsets.begin(connection, 0, bench.link.run_id.decode())
        read_from = await offsets.load(connection, 0)
    await bench.tell(Came("alpha", bench.redis.clock_ms(), Inbound("79160000001", "1234", "STOP")))
    pieces = [decode(entry) for entry in await facts.read(bench.link, 0, b"0-0", 10)]
    inside, on, write = asyncio.Event(), asyncio.Event(), ledger.write

    async def held(connection: Any, encoded: ledger.Encoded) -> None:
        if not inside.is_set():
            inside.set()
            await on.wait()
        await write(connection, encoded)

    monkeypatch.setattr(ledger, "write", held)
    first, second = (Transactions(bench.pool, 0, Recent()) for _ in range(2))
    writing = asyncio.create_task(first.record(pieces, read_from, bench.redis.clock_ms()))
    async with asyncio.timeout(30):
        await inside.wait()
    other = asyncio.create_task(second.record(pieces, read_from, bench.redis.clock_ms()))

    async def has_to_wait() -> bool:
        return other.done() or bool(await bench.value(_BLOCKED))

    await bench.until(has_to_wait)
    on.set()
    await writing
    with pytest.raises(OffsetMovedError):
        await other
    assert await bench.value("select count(*) from inbound") == 1


async def names(bench: Bench, day: datetime.date) -> set[str]:
    """The partitions of this day."""
    rows = await bench.pool.fetch(
        "select relname from pg_class where relnamespace = 'days'::regnamespace and relkind = 'r'"
        " and relname like '%' || $1",
        f"_{day:%Y%m%d}",
    )
    return {row["relname"] for row in rows}


async def has_all(bench: Bench, day: datetime.date) -> bool:
    """Whether every daily table has its partition of this day."""
    return {f"{table}_{day:%Y%m%d}" for table in DAILY} <= await names(bench, day)


async def drop(bench: Bench, day: datetime.date) -> None:
    """As when PostgreSQL was restored from a copy that is older than these partitions."""
    for name in await names(bench, day):
        await bench.pool.execute(f"drop table days.{name}")


def today(bench: Bench) -> datetime.date:
    return datetime.datetime.fromtimestamp(bench.redis.clock_ms() / 1000, datetime.UTC).date()


async def test_the_coming_days_have_their_partitions_before_anybody_needs_them(bench: Bench) -> None:
    coming = [today(bench) + datetime.timedelta(days=n) for n in range(1, AHEAD + 1)]
    for day in coming:
        await drop(bench, day)
        assert not await names(bench, day)
    bench.start()
    await bench.accept((bench.message_id(), message(1)))
    await bench.until_recorded()
    for day in coming:
        assert await has_all(bench, day)


async def test_a_partition_that_went_away_under_a_recorder_is_made_again_and_nothing_is_refused(bench: Bench) -> None:
    bench.start()
    now = bench.redis.clock_ms()
    await bench.tell(Came("alpha", now, Inbound("79160000001", "1234", "STOP")))
    await bench.until_recorded()  # it knows of today's partitions
    await drop(bench, today(bench))
    one = bench.message_id(now)
    await bench.accept((one, message(2)))
    await bench.tell(submitted(one, "c1", sent_ms=now, answered_ms=now))
    await bench.tell(receipt("c1", at_ms=now))
    await bench.until_recorded()
    assert await bench.value("select count(*) from quarantine") == 0
    assert await bench.state(one) == "delivered"
    for table in ("submissions", "receipts"):
        assert await bench.value(f"select count(*) from {table}") == 1
    await rollups_equal_rows(bench)


async def test_a_partition_that_went_away_under_the_matcher_is_made_again(bench: Bench) -> None:
    bench.start()
    bench.start_matcher()
    far_ms = bench.redis.clock_ms() + 10 * DAY_MS
    for name in ("c1", "c2"):
        one = bench.message_id()
        await bench.accept((one, message(1)))
        await bench.tell(receipt(name, at_ms=far_ms))  # before its submission, so it is the matcher's
        await bench.until_recorded()
        await bench.tell(submitted(one, name))

        async def delivered(one: bytes = one) -> bool:
            return await bench.state(one) == "delivered"

        await bench.until(delivered)
        await drop(bench, today(bench) + datetime.timedelta(days=10))
