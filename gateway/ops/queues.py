"""How much waits in Redis and for how long, as gauges: intake, outboxes, what is sent again or later, events.

In: the keys that `streams/keys.py` names. Out: `metrics.queued` and `metrics.queue_age`. Never: a value of a message.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway import logs, metrics
from gateway.streams import packs
from gateway.streams.keys import lane_parts, prefix
from gateway.streams.link import Link, Redis, RedisAwayError, ScriptError

log = logs.stage("ops")

EVERY_S: Final = 5.0


class Queue(NamedTuple):
    """What is told apart; clients are added up."""

    name: str
    klass: str = ""
    carrier: str = ""


class Measured:
    """Messages and the oldest one's ms since the epoch, by queue."""

    def __init__(self) -> None:
        self.lengths: Counter[Queue] = Counter()
        self.oldest: dict[Queue, int] = {}

    def add(self, queue: Queue, length: int, since_ms: int) -> None:
        self.lengths[queue] += length
        if length:
            self.oldest[queue] = min(since_ms, self.oldest.get(queue, since_ms))


async def measure_queues(redis: Redis) -> None:
    """Set the gauges now and then. Runs until cancelled; while Redis is away the gauges keep what they had."""
    while True:
        try:
            show(await measure(redis), redis.clock_ms())
        except (RedisAwayError, ScriptError) as e:
            log.warning("queues not measured", reason=e)
        await asyncio.sleep(EVERY_S)


async def measure(redis: Redis) -> Measured:
    """All shards' queues as they are now."""
    measured = Measured()
    for shard in range(redis.shards):
        link, s = redis.link(shard), prefix(shard)
        streams, depths = await streams_of(link, s), await packs.depths(link)
        held = {f"{s}intake:{lane.decode()}": depth for lane, depth in depths.items()}
        looks = (_stream(link, queue, key, measured, held.get(key, 0)) for key, queue in streams.items())
        await asyncio.gather(*looks)
        await _later(link, f"{s}later", measured)
    return measured


async def streams_of(link: Link, s: str) -> dict[str, Queue]:
    """Every stream of a shard by its key, whether it holds something or not."""
    streams = {f"{s}events": Queue("events")}
    for lane in await _names(link, f"{s}lanes"):
        streams[f"{s}intake:{lane}"] = Queue("intake", lane_parts(lane)[0])
    for carrier in await _names(link, f"{s}carriers"):
        for lane in await _names(link, f"{s}lanes:{carrier}"):
            for name in ("outbox", "again"):
                streams[f"{s}{name}:{carrier}:{lane}"] = Queue(name, lane_parts(lane)[0], carrier)
    return streams


def show(measured: Measured, now_ms: int) -> None:
    """Replace what the gauges showed: a queue that is gone is not shown any more."""
    metrics.queued.clear()
    metrics.queue_age.clear()
    for queue, length in measured.lengths.items():
        if queue.name != "events":  # whose entries hold many facts: `queue_entries` counts them
            metrics.queued.labels(*queue).set(length)
        age_ms = now_ms - measured.oldest.get(queue, now_ms)
        metrics.queue_age.labels(*queue).set(max(0, age_ms) / 1000)


async def _names(link: Link, key: str) -> list[str]:
    found: Iterable[bytes] = await link.call("SMEMBERS", key)
    return sorted(name.decode() for name in found)


async def _stream(link: Link, queue: Queue, key: str, measured: Measured, least: int) -> None:
    """An entry of intake may hold many messages: they are counted beside it."""
    length, first = await asyncio.gather(link.call("XLEN", key), link.call("XRANGE", key, "-", "+", "COUNT", 1))
    since_ms = int(first[0][0].partition(b"-")[0]) if first else 0
    measured.add(queue, max(int(length), least), since_ms)


async def _later(link: Link, key: str, measured: Measured) -> None:
    """The age of `later` is how long its first message has been due."""
    length, first = await asyncio.gather(link.call("ZCARD", key), link.call("ZRANGE", key, 0, 0, "WITHSCORES"))
    due_ms = int(float(first[-1][1] if isinstance(first[-1], list) else first[-1])) if first else 0
    measured.add(Queue("later"), int(length), due_ms)
