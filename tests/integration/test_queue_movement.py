"""Something waits and nothing moves: what /metrics shows of it."""

from __future__ import annotations

from collections.abc import Mapping

import redis.asyncio

from gateway import metrics
from gateway.ops.movement import Movement, Seen, look
from gateway.ops.queues import Queue
from gateway.streams.link import Redis

OUTBOX = Queue("outbox", "otp", "alpha")
LABELS = {"queue": "outbox", "class": "otp", "carrier": "alpha"}


def shown(name: str, labels: Mapping[str, str] = LABELS) -> float | None:
    return metrics.REGISTRY.get_sample_value(f"sluice_{name}", dict(labels))


async def looked(url: str, movement: Movement, now_s: float) -> None:
    link = await Redis.open(url, 1)
    try:
        movement.take(await look(link), now_s)
    finally:
        await link.close()


async def test_a_queue_that_stands_still_keeps_the_time_of_its_last_movement(valkey_url: str) -> None:
    movement, key = Movement(), "{0}:outbox:alpha:otp:shop"
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        await client.sadd("{0}:carriers", "alpha")
        await client.sadd("{0}:lanes:alpha", "otp:shop", "otp:bank")
        first = await client.xadd(key, {"m": "x"})
        await client.xadd(key, {"m": "x"})
        await looked(valkey_url, movement, 100.0)
        assert (shown("queue_moved_timestamp_seconds"), shown("queue_entries")) == (100.0, 2)
        await client.xadd(key, {"m": "x"})  # more comes, nothing leaves
        await looked(valkey_url, movement, 105.0)
        assert (shown("queue_moved_timestamp_seconds"), shown("queue_entries")) == (100.0, 3)
        before = shown("queue_entries_left_total") or 0
        await client.xdel(key, first)
        await looked(valkey_url, movement, 110.0)
        assert (shown("queue_moved_timestamp_seconds"), shown("queue_entries")) == (110.0, 2)
        assert shown("queue_entries_left_total") == before + 1
        await client.xtrim(key, maxlen=0)
        await looked(valkey_url, movement, 115.0)
        await looked(valkey_url, movement, 120.0)
        assert shown("queue_moved_timestamp_seconds") == 120.0, "an empty queue need not move"
        assert shown("queues_measured_timestamp_seconds", {}) == 120.0


async def test_what_is_not_due_yet_need_not_move(valkey_url: str) -> None:
    movement, later = Movement(), {"queue": "later", "class": "", "carrier": ""}
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        await client.zadd("{0}:later", {"a": 4_000_000_000_000})
        for now_s in (10.0, 20.0):
            await looked(valkey_url, movement, now_s)
        assert (shown("queue_moved_timestamp_seconds", later), shown("queue_entries", later)) == (20.0, 0)
        await client.zadd("{0}:later", {"b": 1000})
        for now_s in (30.0, 40.0):
            await looked(valkey_url, movement, now_s)
        assert (shown("queue_moved_timestamp_seconds", later), shown("queue_entries", later)) == (30.0, 1)


def test_one_client_that_stands_still_is_seen_beside_others_that_move() -> None:
    movement = Movement()
    movement.take({"shop": Seen(OUTBOX, 5, 0), "bank": Seen(OUTBOX, 5, 0)}, 1.0)
    movement.take({"shop": Seen(OUTBOX, 5, 0), "bank": Seen(OUTBOX, 5, 9)}, 2.0)
    assert shown("queue_moved_timestamp_seconds") == 1.0


def test_a_redis_that_came_back_older_counts_nothing_as_left() -> None:
    movement = Movement()
    movement.take({"shop": Seen(OUTBOX, 5, 100)}, 1.0)
    before = shown("queue_entries_left_total")
    movement.take({"shop": Seen(OUTBOX, 5, 10)}, 2.0)
    assert shown("queue_entries_left_total") == before
