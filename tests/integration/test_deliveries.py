"""From receipts to the order of carriers: counts in the ledger's transactions, the estimate, and who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.deliveries import DELIVERED, FAILED, LATER, SENT, WIDTH, bucket_ms, slot
from gateway.plan.surroundings import Chance
from gateway.receipts.chances import Estimator
from gateway.router.chances import watch_chances
from gateway.router.liveness import Liveness
from gateway.router.world import World
from gateway.store import deliveries
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams import chances
from tests.ledger_bench import Bench, message, open_bench, receipt, submitted

HOUR_MS = 3_600_000


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    yield bench
    await bench.close()


async def sent(bench: Bench, sent_ms: int, count: int, prefix: str, klass: str = "otp", **given: object) -> list[bytes]:
    ids = [bench.message_id(sent_ms) for _ in range(count)]
    await bench.accept(*((one, message(n, klass=klass, test=bool(given.get("test")))) for n, one in enumerate(ids)))
    answers = (submitted(one, f"{prefix}{n}", sent_ms=sent_ms, answered_ms=sent_ms + 5) for n, one in enumerate(ids))
    await bench.tell(*answers)
    return ids


async def counts(bench: Bench, klass: str = "otp") -> list[int]:
    rows = await deliveries.read(bench.pool, {klass: 0})
    total = [0] * WIDTH
    for cells in rows.values():
        for row in cells.values():
            total = [a + b for a, b in zip(total, row, strict=True)]
    return total


@pytest.mark.parametrize("at_once", [True, False])
async def test_every_message_is_counted_once_when_sent_and_once_when_it_is_decided(bench: Bench, at_once: bool) -> None:
    """Whether all of it comes in one batch of the recorder, or the rows were written before."""
    if not at_once:
        bench.start()
    now = bench.redis.clock_ms() - HOUR_MS
    await sent(bench, now, 5, "c")
    if not at_once:
        await bench.until_recorded()
    told = [("c0", "delivered", 4_000), ("c1", "delivered", 45_000), ("c2", "undeliverable", 9_000)]
    told += [("c0", "delivered", 50_000), ("c3", "enroute", 1_000), ("c4", "delivered", 20_000_000)]
    await bench.tell(*(receipt(name, state, now + took) for name, state, took in told))
    bench.start()
    await bench.until_recorded()
    found = await counts(bench)
    expected = [0] * WIDTH
    expected[SENT], expected[slot(4_000)], expected[slot(45_000)], expected[FAILED], expected[LATER] = 5, 1, 1, 1, 1
    assert found == expected
    rows = await deliveries.read(bench.pool, {"otp": 0})
    assert list(rows) == [("otp", bucket_ms("otp", now))] and list(rows["otp", bucket_ms("otp", now)]) == [
        ("alpha", "mts")
    ]


async def test_test_messages_and_expiries_for_want_of_a_receipt_do_not_count(bench: Bench) -> None:
    now = bench.redis.clock_ms() - HOUR_MS
    await sent(bench, now, 3, "t", test=True)
    await bench.tell(receipt("t0", at_ms=now + 10))
    bench.start()
    await bench.until_recorded()
    assert await counts(bench) == [0] * WIDTH


async def test_a_receipt_that_the_matcher_finds_later_counts_too(bench: Bench) -> None:
    now = bench.redis.clock_ms() - 60_000
    await bench.tell(receipt("c0", at_ms=now + 7_000))
    bench.start()
    await bench.until_recorded()
    await sent(bench, now, 1, "c")
    await bench.until_recorded()
    bench.start_matcher()

    async def delivered() -> bool:
        return (await counts(bench))[DELIVERED] == 1

    await bench.until(delivered)
    assert (await counts(bench))[SENT] == 1


async def test_the_estimate_reaches_the_routers(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    for minute in range(2, 12):
        await sent(bench, now - minute * 60_000, 20, f"m{minute}-")
        told = (receipt(f"m{minute}-{n}", at_ms=now - minute * 60_000 + 3_000) for n in range(19))
        await bench.tell(*told)
    bench.start()
    await bench.until_recorded()
    world = World(Liveness(bench.redis))
    watching = asyncio.create_task(watch_chances(bench.redis, world), name="chances")
    estimator = Estimator(bench.redis, bench.pool)
    known = await estimator.once()
    chance = known["otp", "alpha", "mts"]
    assert chance.expected == pytest.approx(0.95, abs=0.01) and chance.messages > 100
    at_ms, loaded = await chances.load(bench.redis)
    assert at_ms >= now and loaded.chance("alpha", "mts", "otp") == Chance(
        round(chance.delivered, 4), round(chance.expected, 4), chance.messages
    )
    again = (await estimator.once())["otp", "alpha", "mts"]
    assert again.messages == chance.messages and again.expected == pytest.approx(chance.expected), "read in part"

    async def seen() -> bool:
        return world.chance is not None

    await bench.until(seen)
    assert world.around(now).chance is world.around(now + 1).chance is not None
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_while_postgres_is_away_the_last_estimate_stays_with_its_age(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    await chances.publish(bench.redis, now - 60_000, {("otp", "alpha", "mts"): Chance(0.5, 0.6, 70)})

    class Away(Pool):
        def __init__(self) -> None:
            pass

        async def fetch(self, sql: str, *values: object) -> list[asyncpg.Record]:
            raise StoreAwayError("away")

    with pytest.raises(StoreAwayError):
        await Estimator(bench.redis, Away()).once()
    at_ms, known = await chances.load(bench.redis)
    assert at_ms == now - 60_000 and known.chance("alpha", "mts", "otp") == Chance(0.5, 0.6, 70)


async def test_counts_are_dropped_after_a_day(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    async with bench.pool.transaction() as connection:
        for age_ms in (HOUR_MS, 30 * HOUR_MS):
            await deliveries.add(connection, {(now - age_ms, 0, "otp", "a", "o"): [1] * WIDTH})
            await deliveries.add(connection, {(now - age_ms, 1, "otp", "a", "o"): [1] * WIDTH})
    await Estimator(bench.redis, bench.pool).once()
    assert await bench.value("select count(*) from deliveries") == 2
    assert await counts(bench) == [2] * WIDTH, "of all shards together"
