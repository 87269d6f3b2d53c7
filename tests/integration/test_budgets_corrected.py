"""What was booked when messages came is moved to what they cost, as far as the roll-ups know it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.live import budgets as live_budgets
from gateway.live.budgets import Correcting
from gateway.plan.budgets import Budgets
from gateway.plan.document import Budget
from gateway.plan.periods import bounds
from gateway.store.pool import Pool
from gateway.streams.allowances import key_of
from gateway.streams.link import Redis
from tests.core_redis import opened
from tests.integration.test_api_budgets import plan

COMPILED = plan(Budget(amount="1000", per="day", client="*"))


async def put(pool: Pool, state: str, messages: int, cost_micro: int) -> None:
    at = datetime.now(UTC).replace(second=0, microsecond=0)
    async with pool.transaction() as connection:
        await connection.execute(
            "insert into stats_minute (at, messages, parts, cost_micro, shard, client, class, carrier, operator, state,"
            " tag, currency) values ($1, $2, $2, $3, 0, 'acme', 'otp', 'north', 'any', $4, '', 'RUB')",
            *(int(at.timestamp() * 1000), messages, cost_micro, state),
        )


async def used(redis: Redis, name: str) -> int:
    return int(await redis.link(None).call(b"GET", "{g}:" + name) or 0)


async def test_bookings_become_costs_and_a_second_look_changes_nothing(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_budgets, "SETTLED_MS", 0)
    async with opened(valkey_url) as redis:
        pool = await Pool.open(postgres_url)
        begin, _ = bounds(redis.clock_ms(), "day", "Europe/Moscow")
        name = key_of(Budgets(COMPILED).purses("acme", "")[0].count, begin)
        await redis.link(None).call(b"SET", "{g}:" + name, 400_000_000)  # two hundred messages at two roubles
        await put(pool, "delivered", 150, 150 * 3_000_000)  # dearer than it was booked
        await put(pool, "accepted", 50, 0)
        correcting = Correcting(redis, pool, lambda: COMPILED)
        await correcting.turn()
        assert await used(redis, name) == 150 * 3_000_000 + 50 * 2_000_000
        await correcting.turn()
        assert await used(redis, name) == 550_000_000
        await redis.link(None).call(b"INCRBY", "{g}:" + name, 20_000_000)  # ten more are booked
        await correcting.turn()
        assert await used(redis, name) >= 550_000_000, "and not taken off because the roll-ups are behind"
        await pool.close()


async def test_a_budget_that_begins_in_the_middle_of_the_day_knows_what_the_day_has_cost(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_budgets, "SETTLED_MS", 0)
    async with opened(valkey_url) as redis:
        pool = await Pool.open(postgres_url)
        await put(pool, "delivered", 10, 70_000_000)
        begin, _ = bounds(redis.clock_ms(), "day", "Europe/Moscow")
        name = key_of(Budgets(COMPILED).purses("acme", "")[0].count, begin)
        await Correcting(redis, pool, lambda: COMPILED).turn()
        assert await used(redis, name) == 70_000_000
        await pool.close()
