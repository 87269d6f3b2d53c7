"""Accepting: messages in, durable ids out. Single messages that arrive together share a script (group commit).

A commit leaves at once while at most one is in flight; otherwise what gathers meanwhile goes as one batch. No timer.
A commit whose reply was lost is repeated under its id and gives the same verdicts.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import sys
import time
from array import array
from collections.abc import Sequence
from typing import Literal

import msgspec

from gateway import metrics
from gateway.config import Settings
from gateway.message import make_id
from gateway.streams import packs
from gateway.streams.keys import lane
from gateway.streams.link import Arg, Link, OutOfMemoryError, Redis, RedisAwayError

BATCH = 500
"""Messages in one script at the most: a longer one would block Redis for everybody."""

_DAY_MS = 86_400_000
_SLOTS = 8
_IN_FLIGHT = 2
_REPEAT_S = 1.5
_WRITER_TTL_MS = 86_400_000


class Ask(msgspec.Struct, gc=False):
    """One message to accept. `tail`: message.id_tail; `value`: message.pack_message; `due_ms` 0: now."""

    tail: bytes
    value: bytes
    klass: str
    client: str
    due_ms: int = 0
    ref_key: bytes = b""
    body_hash: bytes = b""


class Verdict(msgspec.Struct, gc=False, frozen=True):
    """What became of an ask. For a duplicate or a conflict `id` is the first message's."""

    kind: Literal["accepted", "duplicate", "conflict"]
    id: bytes


class ShardClosedError(Exception):
    """Redis may be older than PostgreSQL's records: nothing moves until that is settled; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BoundReachedError(Exception):
    """Memory or intake is at its bound; what was accepted before still goes on."""


_Group = tuple[Sequence[Ask], asyncio.Future[list[Verdict]]]


def _fail(batch: Sequence[_Group], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
            future.exception()  # a request that went away need not hear of it


class _Queue:
    """The commits of one shard."""

    def __init__(self, link: Link, ref_ttl_ms: int) -> None:
        self.link, self.ref_ttl_ms = link, ref_ttl_ms
        self.writer = b"c:" + os.urandom(6).hex().encode()
        self.number = 0
        self.in_flight = 0
        self.loop = asyncio.get_running_loop()
        self.gathered: collections.deque[_Group] = collections.deque()
        self.woken = False
        self.depth = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def put(self, asks: Sequence[Ask]) -> asyncio.Future[list[Verdict]]:
        """At most BATCH asks, which stay together."""
        future: asyncio.Future[list[Verdict]] = self.loop.create_future()
        self.gathered.append((asks, future))
        if not self.woken:  # what else comes in this turn of the loop goes along
            self.woken = True
            self.loop.call_soon(self.flush)
        return future

    def flush(self) -> None:
        self.woken = False
        while self.gathered and self.in_flight < _IN_FLIGHT:
            batch = [self.gathered.popleft()]
            size = len(batch[0][0])
            while self.gathered and size + len(self.gathered[0][0]) <= BATCH:
                size += len(self.gathered[0][0])
                batch.append(self.gathered.popleft())
            self.in_flight += 1
            task = asyncio.create_task(self.commit(batch), name=f"accept {self.link.prefix}")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def commit(self, batch: list[_Group]) -> None:
        self.number += 1
        asks = [ask for group, _ in batch for ask in group]
        metrics.commit_messages.observe(len(asks))
        head = (self.writer, b"%d" % (self.number % _SLOTS), os.urandom(16), _WRITER_TTL_MS)
        began = time.perf_counter()
        try:
            verdicts = await self.run(asks, head)
        except (RedisAwayError, ShardClosedError, BoundReachedError) as e:
            _fail(batch, e)
        except BaseException as e:
            _fail(batch, RedisAwayError(f"accepting failed: {e}"))
            raise
        else:
            metrics.commit_seconds.observe(time.perf_counter() - began)
            at = 0
            for group, future in batch:
                if not future.done():
                    future.set_result(verdicts[at : at + len(group)])
                at += len(group)
        finally:
            self.in_flight -= 1
            self.flush()

    async def run(self, asks: Sequence[Ask], head: tuple[bytes, bytes, bytes, int]) -> list[Verdict]:
        tail: list[Arg] = [*head, self.ref_ttl_ms, *arguments(asks)]
        deadline, lost = 0.0, False
        loop = asyncio.get_running_loop()
        while True:
            try:
                reply = await self.link.script("accept", (), (self.link.run_id, *tail))
            except OutOfMemoryError as e:
                raise BoundReachedError("Redis is at its memory limit") from e
            except RedisAwayError as e:
                if not self.link.is_up and not lost and "no connection" in str(e):
                    raise  # nothing was sent
                lost, deadline = True, deadline or loop.time() + _REPEAT_S
                await self.again(deadline, e)
                continue
            if reply != b"closed":
                return verdicts_of(reply, asks)
            if not lost:
                raise ShardClosedError(await closed_reason(self.link))
            await self.again(deadline, RedisAwayError("the shard closed before the reply came"))

    async def again(self, deadline: float, error: RedisAwayError) -> None:
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise error
        try:
            async with asyncio.timeout(left):
                await self.link.up()
        except TimeoutError:
            raise error from None
        await asyncio.sleep(0.02)


def arguments(asks: Sequence[Ask]) -> list[Arg]:
    """The accept script's arguments after its head (they are described above the script)."""
    full = 2 * packs.MOST
    open_packs: dict[tuple[str, str], tuple[int, list[bytes]]] = {}
    packed: list[tuple[str, list[bytes]]] = []
    later, refs, kept, spots = list[Arg](), list[Arg](), list[bytes](), array("H")
    for number, a in enumerate(asks, 1):
        if a.due_ms:
            later += (a.tail, lane(a.klass, a.client), a.due_ms, a.value)
            spot, place = 0, len(later) // 4
        else:
            key = a.klass, a.client
            spot, items = open_packs.get(key, _NO_PACK)
            if not spot or len(items) == full:
                items = []
                packed.append((lane(*key), items))
                spot = len(packed)
                open_packs[key] = spot, items
            items.append(a.tail)
            items.append(a.value)
            place = len(items) // 2
        if a.ref_key:
            refs.append(a.ref_key)
            kept.append(a.tail)
            kept.append(a.body_hash)
            spots.extend((number, spot, place))
    if sys.byteorder != "little":
        spots.byteswap()
    found: list[Arg] = [len(asks), len(packed), len(later) // 4, len(refs), b"".join(kept), spots.tobytes()]
    for name, items in packed:
        found += (name, len(items) // 2, packs.pack(items))
    return found + later + refs


_NO_PACK: tuple[int, list[bytes]] = (0, [])


def verdicts_of(reply: bytes, asks: Sequence[Ask]) -> list[Verdict]:
    """Read the accept script's reply (its form stands above the script)."""
    if len(reply) == 8 + len(asks):  # each code is \0
        stamp = reply[:6]
        return [Verdict("accepted", stamp + ask.tail) for ask in asks]
    ms, at, verdicts = int.from_bytes(reply[:6], "big"), 8, []
    for ask in asks:
        code = reply[at]
        at += 1
        if code == 0:
            verdicts.append(Verdict("accepted", make_id(ms, ask.tail)))
        else:
            verdicts.append(Verdict("duplicate" if code == 1 else "conflict", reply[at : at + 16]))
            at += 16
    return verdicts


async def closed_reason(link: Link) -> str:
    """Why a shard is closed, in words for an operator."""
    reason = await link.call(b"GET", link.prefix + "closed")
    return reason.decode() if reason else "the recorder has not yet compared Redis with PostgreSQL"


class Acceptor:
    """Accepts for every shard; one a process."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis, self._settings = redis, settings
        ttl = settings.ref_hours * 3_600_000
        self._queues = [_Queue(redis.link(n), ttl) for n in range(redis.shards)]
        self.room = settings.intake_limit
        """How many more messages the fullest shard's intake takes, as measured every second."""
        self._task = asyncio.create_task(self._measure(), name="intake depth")

    async def accept(self, shard: int, asks: Sequence[Ask], commit_id: bytes | None = None) -> list[Verdict]:
        """Durable when it returns. A `commit_id` (16 bytes) makes it repeatable for `ref_hours`, for at most 500 asks.

        Raises RedisAwayError (away, and repeating did not settle it), ShardClosedError, BoundReachedError.
        """
        self._check_bounds(shard)
        queue = self._queues[shard]
        if commit_id is None:
            if len(asks) <= BATCH:
                return await queue.put(asks)
            groups = await asyncio.gather(*(queue.put(asks[i : i + BATCH]) for i in range(0, len(asks), BATCH)))
            return [verdict for group in groups for verdict in group]
        if len(asks) > BATCH:
            raise ValueError(f"a commit takes at most {BATCH} messages, not {len(asks)}")
        return await queue.run(asks, (b"i:" + commit_id, b"0", commit_id, queue.ref_ttl_ms))

    def put(self, shard: int, asks: Sequence[Ask]) -> asyncio.Future[list[Verdict]]:
        """The same for at most BATCH asks, for those who do not wait in a task. Raises BoundReachedError at once."""
        self._check_bounds(shard)
        return self._queues[shard].put(asks)

    async def known(self, shard: int, asks: Sequence[Ask]) -> list[Verdict | None]:
        """What became of the refs of up to BATCH asks before; None: nothing. Accepts nothing. Raises RedisAwayError."""
        link, ttl_ms = self._redis.link(shard), self._settings.ref_hours * 3_600_000
        now_ms, refs = link.clock_ms(), [ask.ref_key for ask in asks]
        days = range((now_ms - ttl_ms) // _DAY_MS, now_ms // _DAY_MS + 1)
        books = await asyncio.gather(*(link.call(b"HMGET", f"{link.prefix}f:{day}", *refs) for day in reversed(days)))
        found: list[Verdict | None] = []
        for n, ask in enumerate(asks):
            kept = next(
                (v for book in books if (v := book[n]) and int.from_bytes(v[:6], "big") > now_ms - ttl_ms), None
            )
            same = kept is not None and kept[16:] == ask.body_hash
            found.append(None if kept is None else Verdict("duplicate" if same else "conflict", kept[:16]))
        return found

    def _check_bounds(self, shard: int) -> None:
        if self._redis.used() >= self._settings.memory_accept:
            raise BoundReachedError(f"Redis uses {self._redis.used():.0%} of its memory")
        if self._queues[shard].depth >= self._settings.intake_limit:
            raise BoundReachedError(f"{self._queues[shard].depth} messages wait in intake")

    async def _measure(self) -> None:
        while True:
            for queue in self._queues:
                with contextlib.suppress(RedisAwayError):
                    queue.depth = sum((await packs.depths(queue.link)).values())
            self.room = max(0, self._settings.intake_limit - max(queue.depth for queue in self._queues))
            await asyncio.sleep(1.0)

    async def close(self) -> None:
        """Wait for what is in flight."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        while tasks := [t for q in self._queues for t in q.tasks]:
            await asyncio.gather(*tasks, return_exceptions=True)
