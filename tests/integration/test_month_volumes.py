"""What was sent in the month, from the roll-ups into every router, and what it makes of prices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.embedded.postgres import Postgres
from gateway.live.volumes import LiveVolumes, Month, Summing, pack, sums, unpack
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Defaults, Operator, Plan, Rate, Step
from gateway.plan.months import month_start_ms, next_month_ms
from gateway.plan.rates import Price
from gateway.store.days import Days, day_of
from gateway.store.pool import Pool, StoreAwayError
from gateway.store.volumes import volumes
from gateway.streams.link import Redis

DEADLINE_S = 30.0
ZONE = "Europe/Moscow"
LADDER = (Step(over=100, price="1.50"), Step(over=1000, price="1.00"))
PLAN = Compiled(
    Plan(
        Defaults(currency="RUB"),
        carriers=(
            Carrier(name="north", provider="smpp"),
            Carrier(name="east", provider="smpp", billed_on="delivered"),
            Carrier(name="flat", provider="smpp"),
        ),
        operators=(Operator(name="mts", prefixes=("",)),),
        rates=(
            Rate(carrier="north", price="2", ladder=LADDER),
            Rate(carrier="east", price="2", operator="mts", klass="otp", ladder=LADDER),
            Rate(carrier="flat", price="2"),
        ),
    ),
    1,
)


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


async def sent(pool: Pool, at_ms: int, carrier: str, state: str, parts: int, operator: str = "mts") -> None:
    await Days(pool).ensure([day_of(at_ms)])
    await pool.fetch(
        "insert into stats_hour (at, messages, parts, cost_micro, shard, client, class, carrier, operator, state, tag,"
        " currency) values (date_trunc('hour', $1::timestamptz), $2, $2, 0, 0, 'shop', 'otp', $3, $4, $5, '', 'RUB')",
        *(at_ms, parts, carrier, operator, state),
    )


@asynccontextmanager
async def watched(redis: Redis) -> AsyncIterator[LiveVolumes]:
    live = LiveVolumes(redis)
    task = asyncio.create_task(live.watch(), name="watch volumes")
    try:
        yield live
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.02)


async def test_parts_of_the_month_reach_the_routers_and_move_the_price(pool: Pool, redis: Redis) -> None:
    now_ms = redis.clock_ms()
    begun_ms = month_start_ms(now_ms, ZONE)
    await sent(pool, begun_ms, "north", "delivered", 60)
    await sent(pool, now_ms, "north", "submitted", 30)
    await sent(pool, now_ms, "north", "undeliverable", 9, operator="")
    await sent(pool, now_ms, "north", "rejected", 500)  # the carrier refused them
    await sent(pool, begun_ms - 1, "north", "delivered", 500)  # last month
    await sent(pool, now_ms, "east", "submitted", 400)  # bills what arrives
    await sent(pool, now_ms, "east", "delivered", 7)
    await sent(pool, now_ms, "flat", "delivered", 900)  # its price depends on nothing
    summing = Summing(redis, pool, lambda: PLAN)
    await summing.turn()
    async with watched(redis) as live:
        await until(lambda: live.used("north", "", "") == 99)
        assert live.used("north", "mts", "otp") == 90 and live.used("north", "mts", "") == 90
        assert live.used("east", "mts", "otp") == live.used("east", "", "") == 7
        assert live.used("flat", "", "") == 0
        price = PLAN.rates.price("north", "mts", "otp", now_ms=now_ms, used=live.used)
        assert price == Price(2_000_000, "RUB")
        await sent(pool, now_ms + 3_600_000, "north", "submitted", 1)
        await summing.turn()
        await until(lambda: live.used("north", "", "") == 100)
        assert PLAN.rates.price("north", "mts", "otp", now_ms=now_ms, used=live.used) == Price(1_500_000, "RUB")


async def test_volumes_of_a_span_are_by_carrier_operator_and_class(pool: Pool, redis: Redis) -> None:
    now_ms = redis.clock_ms()
    await sent(pool, now_ms - 7_200_000, "north", "delivered", 5)
    await sent(pool, now_ms, "north", "expired", 2)
    assert await volumes(pool, now_ms - 3_600_000) == {("north", "mts", "otp"): 2}
    assert await volumes(pool, now_ms - 7_200_000, now_ms + 1) == {("north", "mts", "otp"): 7}
    assert await volumes(pool, now_ms - 7_200_000, carriers=["south"]) == {}


async def test_nothing_is_asked_while_no_price_depends_on_the_month(redis: Redis) -> None:
    class NoPool:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("PostgreSQL was asked")

    flat = Compiled(Plan(Defaults(currency="RUB"), rates=(Rate(carrier="a", price="1"),)), 1)
    for plan in (None, flat):
        await Summing(redis, NoPool(), lambda plan=plan: plan).turn()  # type: ignore[arg-type, misc]


async def test_while_postgresql_is_away_the_last_known_month_stands(
    redis: Redis, own_postgres: Callable[..., Awaitable[Postgres]]
) -> None:
    server = await own_postgres()
    pool = await Pool.open(server.url)
    try:
        now_ms = redis.clock_ms()
        await sent(pool, now_ms, "north", "delivered", 60)
        summing = Summing(redis, pool, lambda: PLAN)
        await summing.turn()
        async with watched(redis) as live:
            await until(lambda: live.used("north", "", "") == 60)
            await server.stop()
            with pytest.raises(StoreAwayError):
                await summing.turn()
            assert live.used("north", "", "") == 60
    finally:
        await pool.close()


async def test_a_new_month_begins_with_nothing(redis: Redis, pool: Pool) -> None:
    await sent(pool, redis.clock_ms(), "north", "delivered", 60)
    await Summing(redis, pool, lambda: PLAN).turn()
    async with watched(redis) as live:
        await until(lambda: live.used("north", "", "") == 60)
        live._clock_ms = lambda: next_month_ms(redis.clock_ms(), ZONE)
        assert live.used("north", "", "") == 0


def test_what_is_mirrored_comes_back_and_sums_up() -> None:
    month = Month(1, 2, [("a", "mts", "otp", 5), ("a", "", "otp", 1), ("a", "mts", "alert", 2)])
    assert unpack(pack(month)) == month
    total = sums({(carrier, operator, klass): parts for carrier, operator, klass, parts in month.rows})
    assert (total["a", "", ""], total["a", "mts", ""], total["a", "", "otp"], total["a", "mts", "otp"]) == (8, 7, 6, 5)
