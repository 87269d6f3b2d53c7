"""Versions of the plan in PostgreSQL, and how they become live in processes through Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from gateway.embedded.postgres import Postgres
from gateway.embedded.valkey import Valkey
from gateway.live.plan import MIRROR, LivePlan, Refused, activate, keep_published, publish, rollback
from gateway.plan.choice import Choice
from gateway.plan.matching import Facts
from gateway.store import plans
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import Redis
from gateway.streams.mirror import Mirror

DEADLINE_S = 30.0


SETTINGS = '{ host = "h", system_id = "u", password = { env = "P" } }'


def plan(price: str) -> str:
    return f"""
    defaults = {{ currency = "RUB" }}
    carrier = [{{ name = "a", provider = "smpp", settings = {SETTINGS} }}]
    operator = [{{ name = "all", prefixes = [""] }}]
    rate = [{{ carrier = "a", price = "{price}" }}]
    route = [{{ name = "all", carriers = ["a"] }}]
    """


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


@asynccontextmanager
async def watching(redis: Redis) -> AsyncIterator[LivePlan]:
    live = LivePlan(redis)
    task = asyncio.create_task(live.watch(), name="watch the plan")
    try:
        yield live
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def until(condition: Callable[[], bool], within_s: float = DEADLINE_S) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def has(live: LivePlan, version: int) -> bool:
    compiled = live.current()
    return compiled is not None and compiled.version == version


def price_of(live: LivePlan) -> int:
    compiled = live.current()
    assert compiled is not None
    choice = compiled.choose(Facts("+79161234567", "otp", "app"))
    assert isinstance(choice, Choice)
    return choice.price_micro


async def audit_rows(pool: Pool) -> list[tuple[str, str, str]]:
    return [(r["who"], r["what"], r["subject"]) for r in await pool.fetch("select * from audit order by at, what")]


async def test_a_draft_is_kept_and_changes_nothing_until_it_is_activated(pool: Pool) -> None:
    assert await plans.active(pool) is None
    version = await plans.draft(pool, plan("1"), who="ops", note="first")
    assert await plans.active(pool) is None
    assert await plans.document(pool, version) == plan("1")
    row = await plans.row(pool, version)
    assert row is not None and (row.note, row.created_by, row.active, row.activated_ms) == ("first", "ops", False, None)

    active = await plans.activate(pool, version, who="boss")
    assert active is not None and (active.version, active.document) == (version, plan("1"))
    assert await plans.active(pool) == active
    row = await plans.row(pool, version)
    assert row is not None and row.active and row.activated_by == "boss"
    assert await audit_rows(pool) == [("ops", "plan.draft", str(version)), ("boss", "plan.activate", str(version))]


async def test_the_same_text_drafted_again_is_the_same_version(pool: Pool) -> None:
    first = await plans.draft(pool, plan("1"), who="ops")
    assert await plans.draft(pool, plan("1"), who="ops") == first
    second = await plans.draft(pool, plan("2"), who="ops")
    assert second > first
    assert [row.version for row in await plans.history(pool)] == [second, first]
    assert [row.version for row in await plans.history(pool, limit=1)] == [second]


async def test_activating_what_is_active_or_unknown_changes_nothing(pool: Pool) -> None:
    version = await plans.draft(pool, plan("1"), who="ops")
    active = await plans.activate(pool, version, who="ops")
    before = await audit_rows(pool)
    assert await plans.activate(pool, version, who="ops") == active
    assert await plans.activate(pool, version + 1, who="ops") is None
    assert await plans.active(pool) == active
    assert await audit_rows(pool) == before


async def test_a_rollback_returns_to_what_was_active_before_or_to_any_version(pool: Pool) -> None:
    assert await plans.rollback(pool, who="ops") is None
    versions = [await plans.draft(pool, plan(price), who="ops") for price in "123"]
    since = []
    for version in versions:
        active = await plans.activate(pool, version, who="ops")
        assert active is not None
        since.append(active.since_us)
    for ask, expected in ((None, versions[1]), (versions[0], versions[0]), (None, versions[1])):
        active = await plans.rollback(pool, ask, who="night shift")
        assert active is not None and active.version == expected
        since.append(active.since_us)
    assert since == sorted(set(since)), "every activation is newer than the one before, also of an older version"
    assert (await audit_rows(pool))[-1] == ("night shift", "plan.rollback", str(versions[1]))


async def test_activations_at_once_leave_one_active_and_an_order_of_all(pool: Pool) -> None:
    versions = [await plans.draft(pool, plan(str(n)), who="ops") for n in range(1, 7)]
    results = await asyncio.gather(*(plans.activate(pool, version, who="ops") for version in versions))
    active = await plans.active(pool)
    assert active is not None and active.since_us == max(r.since_us for r in results if r is not None)
    assert len({r.since_us for r in results if r is not None}) == 6


async def test_every_process_has_a_new_plan_within_a_second_and_a_rollback_too(pool: Pool, redis: Redis) -> None:
    first = await plans.draft(pool, plan("1"), who="ops")
    second = await plans.draft(pool, plan("2.5"), who="ops")
    async with watching(redis) as one, watching(redis) as other:
        assert one.current() is None
        for version, price in ((first, 1_000_000), (second, 2_500_000)):
            await activate(pool, redis, version, who="ops")
            for live in (one, other):
                await until(partial(has, live, version), 1.0)
                assert price_of(live) == price
        assert await one.known() is one.current()
        back = await rollback(pool, redis, who="ops")
        assert isinstance(back, plans.Active) and back.version == first
        await until(lambda: price_of(one) == price_of(other) == 1_000_000, 1.0)
    async with watching(redis) as late:
        assert (await asyncio.wait_for(late.known(), DEADLINE_S)).version == first


async def test_what_cannot_be_activated_is_refused_with_the_reason(pool: Pool, redis: Redis) -> None:
    refused = await activate(pool, redis, 7, who="ops")
    assert isinstance(refused, Refused) and refused.code == "unknown_plan"
    bad = await plans.draft(pool, plan("x"), who="ops")
    refused = await activate(pool, redis, bad, who="ops")
    assert isinstance(refused, Refused) and refused.code == "plan_invalid" and refused.problems[0].line == 5
    for version, code in ((None, "nothing_before"), (9, "unknown_plan")):
        refused = await rollback(pool, redis, version, who="ops")
        assert isinstance(refused, Refused) and refused.code == code
    assert await plans.active(pool) is None
    assert await Mirror(redis).get(MIRROR) is None


async def test_a_mirror_that_was_lost_or_is_behind_is_published_again(pool: Pool, redis: Redis) -> None:
    assert not await publish(pool, redis)
    version = await plans.draft(pool, plan("1"), who="ops")
    await plans.activate(pool, version, who="a process that died before it published")
    async with watching(redis) as live:
        task = asyncio.create_task(keep_published(pool, redis), name="keep published")
        assert (await asyncio.wait_for(live.known(), DEADLINE_S)).version == version
        task.cancel()
        await asyncio.wait((task,))
    assert not await publish(pool, redis)
    await redis.link(None).call(b"FLUSHALL")
    assert await publish(pool, redis)


async def test_a_document_that_this_release_cannot_read_leaves_the_former_plan_at_work(
    pool: Pool, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> int:
        return sum("plan_unreadable" in record.getMessage() for record in caplog.records)

    version = await plans.draft(pool, plan("1"), who="ops")
    async with watching(redis) as live:
        active = await activate(pool, redis, version, who="ops")
        assert isinstance(active, plans.Active)
        compiled = await asyncio.wait_for(live.known(), DEADLINE_S)
        newer = plans.Active(version + 1, 'from_the_future = "yes"', active.since_us + 1)
        await Mirror(redis).put(MIRROR, newer.since_us, plans.pack(newer))
        await until(lambda: told() == 1)
        await Mirror(redis).put(MIRROR, newer.since_us + 1, b"\x02not for us")
        await until(lambda: told() == 2)
        readable = plans.Active(version + 2, plan("3"), newer.since_us + 2)
        assert live.current() is compiled
        await Mirror(redis).put(MIRROR, readable.since_us, plans.pack(readable))
        await until(lambda: price_of(live) == 3_000_000)


async def test_a_redis_that_came_back_older_does_not_bring_back_an_older_plan(pool: Pool, redis: Redis) -> None:
    first = await plans.draft(pool, plan("1"), who="ops")
    second = await plans.draft(pool, plan("2"), who="ops")
    async with watching(redis) as live:
        old = await activate(pool, redis, first, who="ops")
        assert isinstance(old, plans.Active)
        await activate(pool, redis, second, who="ops")
        await until(partial(has, live, second))
        await redis.link(None).call(b"FLUSHALL")
        await Mirror(redis).put(MIRROR, old.since_us, plans.pack(old))
        async with watching(redis) as other:
            await until(partial(has, other, first))  # who starts now knows no better, until it is published again
            assert has(live, second)
            assert await publish(pool, redis)
            await until(partial(has, other, second))


async def test_the_plan_is_known_after_a_restart_while_postgresql_is_away(
    own_postgres: Callable[..., Awaitable[Postgres]], own_valkey: Callable[..., Awaitable[Valkey]]
) -> None:
    postgres, valkey = await own_postgres(), await own_valkey()
    pool, redis = await Pool.open(postgres.url), await Redis.open(valkey.url, 1)
    try:
        version = await plans.draft(pool, plan("1"), who="ops")
        await activate(pool, redis, version, who="ops")
        await postgres.stop()
        with pytest.raises(StoreAwayError):
            await publish(pool, redis)
        async with watching(redis) as live:
            assert (await asyncio.wait_for(live.known(), DEADLINE_S)).version == version
    finally:
        await redis.close()
        await pool.close()
