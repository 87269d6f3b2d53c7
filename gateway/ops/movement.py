"""Whether what waits in Redis moves: entries of every queue, how many left, and when something last left.

In: the keys that `streams/keys.py` names, and what Redis counts of each stream. Out: `metrics.queue_entries`,
`queue_left` and `queue_moved`. Never: a value of a message.

A queue is many streams, one for each client and shard. The one that stands still longest counts, so that a client whose
messages are stuck is seen beside a thousand whose messages move.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any, Final, NamedTuple

from gateway import logs, metrics
from gateway.ops.queues import EVERY_S, Queue, streams_of
from gateway.streams.keys import prefix
from gateway.streams.link import Link, Redis, RedisAwayError, ScriptError

log = logs.stage("ops")

LATER: Final = Queue("later")


class Seen(NamedTuple):
    """A stream at one look. `left`: entries that ever left it; of `later`, which counts none, 0."""

    queue: Queue
    entries: int
    left: int
    head: str = ""


class Movement:
    """What the last looks saw. One a process."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._moved: dict[str, float] = {}

    def take(self, looks: dict[str, Seen], now_s: float) -> None:
        """Compare with the look before, and show it."""
        entries: Counter[Queue] = Counter()
        moved: dict[Queue, float] = {}
        for key, seen in looks.items():
            before = self._seen.get(key)
            if before is None or not seen.entries or not before.entries or seen[2:] != before[2:]:
                self._moved[key] = now_s
            if before is not None and seen.left > before.left:
                metrics.queue_left.labels(*seen.queue).inc(seen.left - before.left)
            entries[seen.queue] += seen.entries
            moved[seen.queue] = min(self._moved[key], moved.get(seen.queue, now_s))
        self._seen = looks
        self._moved = {key: at for key, at in self._moved.items() if key in looks}
        metrics.queue_entries.clear()
        metrics.queue_moved.clear()
        for queue, at in moved.items():
            metrics.queue_left.labels(*queue)
            metrics.queue_entries.labels(*queue).set(entries[queue])
            metrics.queue_moved.labels(*queue).set(at)
        metrics.queues_measured.set(now_s)


async def measure_movement(redis: Redis) -> None:
    """Look now and then. Runs until cancelled; while Redis is away the gauges keep what they had."""
    movement = Movement()
    while True:
        try:
            movement.take(await look(redis), time.time())
        except (RedisAwayError, ScriptError) as e:
            log.warning("movement not measured", reason=e)
        await asyncio.sleep(EVERY_S)


async def look(redis: Redis) -> dict[str, Seen]:
    """Every stream of every shard as it is now, by key."""
    found: dict[str, Seen] = {}
    for shard in range(redis.shards):
        link, s = redis.link(shard), prefix(shard)
        streams = await streams_of(link, s)
        seen = await asyncio.gather(*(_stream(link, queue, key) for key, queue in streams.items()))
        found |= zip(streams, seen, strict=True)
        found[f"{s}later"] = await _later(link, f"{s}later", redis.clock_ms())
    return found


async def _stream(link: Link, queue: Queue, key: str) -> Seen:
    try:
        flat: list[Any] = await link.call(b"XINFO", b"STREAM", key)
    except ScriptError as e:
        if "no such key" not in str(e):
            raise
        return Seen(queue, 0, 0)
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    length = int(fields[b"length"])
    return Seen(queue, length, int(fields[b"entries-added"]) - length)


async def _later(link: Link, key: str, now_ms: int) -> Seen:
    """What is not due yet need not move: only what is counts, and moves when another comes first."""
    due = await link.call(b"ZRANGEBYSCORE", key, b"-inf", now_ms, b"LIMIT", 0, 1)
    waiting = int(await link.call(b"ZCOUNT", key, b"-inf", now_ms)) if due else 0
    return Seen(LATER, waiting, 0, due[0].hex() if due else "")
