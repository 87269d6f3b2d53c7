"""What a carrier bills on delivery: booked when a receipt says delivered, once, in step with the roll-ups."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gateway.events import Submitted
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Operator, Plan, Rate, Route, Step
from gateway.receipts.expiry import expire
from gateway.receipts.retry import retry
from gateway.router import stage as router
from gateway.store.days import DAY_MS, Days
from tests.core_path import running
from tests.ledger_bench import Bench, message, open_bench, receipt, rollups_equal_rows, submitted


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


def on_delivery(one: bytes, carrier_id: str, **given: Any) -> Submitted:
    return msgspec.structs.replace(submitted(one, carrier_id, **given), billed_on_delivery=True)


async def cost(bench: Bench, one: bytes) -> tuple[str, int]:
    row = (await bench.pool.fetch("select state, cost_micro from messages where id = $1", one))[0]
    total = await bench.value("select sum(cost_micro)::bigint from stats_hour")
    await rollups_equal_rows(bench)
    assert total == row["cost_micro"]
    return row["state"], row["cost_micro"]


async def test_a_receipt_books_the_price_once_however_often_and_late_it_comes(bench: Bench) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1)))
    await bench.tell(on_delivery(one, "c1", sent_ms=now))
    await bench.until_recorded()
    assert await cost(bench, one) == ("submitted", 0)
    assert await bench.value("select billed_on_delivery from submissions")
    await bench.restart()  # what was remembered is read anew
    await bench.tell(receipt("c1", at_ms=now + 1), receipt("c1", at_ms=now + 2))
    await bench.until_recorded()
    assert await cost(bench, one) == ("delivered", 2_500_000)
    await bench.restart()
    await bench.tell(receipt("c1", at_ms=now + 3))
    await bench.until_recorded()
    assert await cost(bench, one) == ("delivered", 2_500_000)


async def test_a_receipt_after_the_expiry_books_what_arrived(bench: Bench) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1)))
    await bench.tell(on_delivery(one, "c1", sent_ms=now))
    await bench.until_recorded()
    await expire(bench.pool, Days(bench.pool), now + 3 * DAY_MS, 3600)
    assert await cost(bench, one) == ("expired", 0)
    await bench.restart()
    await bench.tell(receipt("c1", at_ms=now + 5))
    await bench.until_recorded()
    assert await cost(bench, one) == ("delivered", 2_500_000)


async def test_the_matcher_books_a_receipt_that_came_before_its_submission_and_under_another_spelling(
    bench: Bench,
) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1)))
    await bench.tell(
        on_delivery(one, "812FC7470000001B", sent_ms=now),
        receipt("9308878062554710043", at_ms=now),
        receipt("9308878062554710043", at_ms=now),
    )
    await bench.until_recorded()
    assert await cost(bench, one) == ("submitted", 0)
    await retry(bench.pool, Days(bench.pool), now + 60_000)
    assert await cost(bench, one) == ("delivered", 2_500_000)


async def test_each_part_that_arrives_costs_and_what_does_not_arrive_costs_nothing(bench: Bench) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1)))
    await bench.tell(*(on_delivery(one, f"c{part}", part=part, parts=3, sent_ms=now) for part in (1, 2, 3)))
    await bench.tell(receipt("c1", at_ms=now), receipt("c3", at_ms=now))
    await bench.until_recorded()
    assert await cost(bench, one) == ("submitted", 5_000_000)
    await bench.tell(receipt("c2", at_ms=now, state="undeliverable"))
    await bench.until_recorded()
    assert await cost(bench, one) == ("undeliverable", 5_000_000)


async def test_what_is_routed_carries_how_it_is_billed_and_the_step_that_the_month_has_reached(valkey_url: str) -> None:
    ladder = (Step(over=100, price="1.00"),)
    compiled = Compiled(
        Plan(
            carriers=(Carrier(name="north", provider="scripted", billed_on="delivered"),),
            operators=(Operator(name="any", prefixes=("",)),),
            rates=(Rate(carrier="north", price="1.5", currency="RUB", ladder=ladder, ladder_kind="whole_month"),),
            routes=(Route(name="all", carriers=("north",)),),
        ),
        1,
    )
    sent = {"north": 99}
    async with running(valkey_url) as path:
        path.plan = compiled
        work = router.run(path.settings, path.redis, "router", lambda: path.plan, lambda carrier, *_: sent[carrier])
        path._start("router", work)
        path.start_connector("north")
        await path.accept(3)
        await path.drained()
        sent["north"] = 100
        path.plan = compiled.with_data()  # what it remembers of prices it remembers for a second
        await path.accept(2, klass="otp")
        await path.drained()
        facts = [fact for fact in await path.facts() if isinstance(fact, Submitted)]
        assert [fact.price_micro for fact in facts] == [1_500_000] * 3 + [1_000_000] * 2
        assert all(fact.billed_on_delivery and fact.due_micro == fact.price_micro for fact in facts)
