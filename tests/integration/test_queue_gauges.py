"""What waits in Redis, as /metrics shows it."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from gateway import metrics
from gateway.ops import queues
from gateway.ops.queues import Queue, measure, measure_queues, show
from gateway.streams.link import Redis


async def fill(url: str) -> None:
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.sadd("{0}:lanes", "otp:shop", "marketing:shop", "marketing:bank")
        await client.sadd("{0}:carriers", "alpha")
        await client.sadd("{0}:lanes:alpha", "otp:shop")
        await client.xadd("{0}:intake:marketing:shop", {"m": "x"}, id="2000-0")
        await client.xadd("{0}:intake:marketing:shop", {"m": "x"}, id="3000-0")
        await client.xadd("{0}:intake:marketing:bank", {"m": "x"}, id="1000-0")
        await client.xadd("{0}:outbox:alpha:otp:shop", {"m": "x"}, id="4000-1")
        await client.zadd("{0}:later", {"a": 9000, "b": 5000})
        await client.xadd("{1}:events", {"A": "x"}, id="6000-0")


async def test_lengths_are_added_up_over_clients_and_the_oldest_counts(valkey_url: str) -> None:
    await fill(valkey_url)
    link = await Redis.open(valkey_url, 2)
    try:
        measured = await measure(link)
    finally:
        await link.close()
    assert measured.lengths == {
        Queue("intake", "marketing"): 3,
        Queue("intake", "otp"): 0,
        Queue("outbox", "otp", "alpha"): 1,
        Queue("again", "otp", "alpha"): 0,
        Queue("later"): 2,
        Queue("events"): 1,
    }
    show(measured, 8000)
    body = metrics.render()[0].decode()
    assert 'sluice_queue_messages{carrier="",class="marketing",queue="intake"} 3.0' in body
    assert 'sluice_queue_age_seconds{carrier="",class="marketing",queue="intake"} 7.0' in body
    assert 'sluice_queue_age_seconds{carrier="",class="",queue="later"} 3.0' in body
    assert 'sluice_queue_age_seconds{carrier="alpha",class="otp",queue="outbox"} 4.0' in body


async def test_gauges_follow_until_cancelled(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: asyncio.Queue[int] = asyncio.Queue()
    monkeypatch.setattr(queues, "EVERY_S", 0.001)
    monkeypatch.setattr(queues, "show", lambda measured, _: shown.put_nowait(measured.lengths[Queue("later")]))
    link = await Redis.open(valkey_url, 2)
    task = asyncio.create_task(measure_queues(link), name="queues")
    try:
        assert await asyncio.wait_for(shown.get(), 5) == 0
        await fill(valkey_url)
        while await asyncio.wait_for(shown.get(), 5) != 2:
            pass
    finally:
        task.cancel()
        await link.close()
