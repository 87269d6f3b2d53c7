"""The stop lists, in every process within a second: PostgreSQL owns them, Redis mirrors them bucket by bucket.

In: the mirror, which survives PostgreSQL being away. Out: whether a message to a number is stopped, without a question
to anybody. `{g}:mirror:stops` names the version of each bucket, `{g}:mirror:stops:<bucket>` holds it.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from gateway import logs, metrics
from gateway.message import VERSION, UnknownVersionError
from gateway.stops.classes import BITS
from gateway.stops.index import BUCKETS, Index
from gateway.store import stops
from gateway.store.pool import Pool, StoreAwayError
from gateway.store.recipients import recipient_hash
from gateway.streams.link import Redis, RedisAwayError, ScriptError
from gateway.streams.mirror import Mirror

log = logs.stage("stops")

MIRROR: Final = "stops"
EVERYBODY, CLIENT = "global", "client"
_LOOK_EVERY_S: Final = 5.0
_FIRST_S: Final = 3.0
_AT_ONCE: Final = 32  # buckets


NOT_NOW: Final = (StoreAwayError, RedisAwayError, ScriptError, asyncpg.PostgresError)
"""Why publishing may have to wait: a server is away, full or only to be read from. Sending goes on meanwhile."""


class Overview(msgspec.Struct, array_like=True, frozen=True):
    """What the mirror says first: the key of recipients' hashes, and each bucket's version, 8 bytes in this order."""

    key: bytes
    versions: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Overview).decode


def pack_overview(key: bytes, versions: Sequence[int]) -> bytes:
    """The document of the mirror."""
    return VERSION + _encode(Overview(key, b"".join(v.to_bytes(8, "big") for v in versions)))


def unpack_overview(data: bytes) -> tuple[bytes, list[int]]:
    """Key and versions. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"the stop lists have version {data[:1]!r}, this release reads {VERSION!r}")
    found = _decode(memoryview(data)[1:])
    return found.key, [int.from_bytes(found.versions[at : at + 8], "big") for at in range(0, BUCKETS * 8, 8)]


class LiveStops:
    """The lists as this process knows them. Life: `watch()` until cancelled; `which()` at any time."""

    def __init__(self, redis: Redis) -> None:
        self._mirror = Mirror(redis)
        self._index = Index()
        self._key = b""
        self._versions = array("q", bytes(8 * BUCKETS))
        self._wanted: list[int] = []
        self._changed = asyncio.Event()

    def which(self, number: str, client: str, klass: str) -> str:
        """Which list stops a message of this class: `global`, `client`, or "" for none."""
        if not self._index.count:
            return ""
        rule = self._index.find(recipient_hash(self._key, number))
        if rule is None:
            return ""
        bit = BITS.get(klass, 0)
        if rule.get("", 0) & bit:
            return EVERYBODY
        return CLIENT if rule.get(client, 0) & bit else ""

    def is_any(self) -> bool:
        """Whether anything is stopped at all."""
        return self._index.count > 0

    @property
    def count(self) -> int:
        """Numbers that something is stopped for."""
        return self._index.count

    async def load(self) -> None:
        """Once, before anything is sent: what the mirror has now. Raises RedisAwayError."""
        if (found := await self._mirror.get(MIRROR)) is not None:
            self._look(*found)
            await self._catch_up()

    async def watch(self) -> None:
        """Follow the mirror. Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mirror.watch(MIRROR, self._look), name="stop lists' versions")
            tasks.create_task(self._fetch(), name="stop lists' buckets")

    def _look(self, version: int, value: bytes) -> None:
        try:
            key, versions = unpack_overview(value)
        except (UnknownVersionError, msgspec.DecodeError) as e:
            log.error("stops_unreadable", e, version=version)
            return
        self._key, self._wanted = key, versions
        self._changed.set()

    async def _fetch(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._catch_up()
            except RedisAwayError:
                await asyncio.sleep(0.3)
                self._changed.set()

    async def _catch_up(self) -> None:
        # A Redis that came back older than it was has older buckets: they will be published again.
        behind = [n for n, version in enumerate(self._wanted) if version > self._versions[n]]
        for at in range(0, len(behind), _AT_ONCE):
            await self._take(behind[at : at + _AT_ONCE])
        metrics.stop_entries.set(self._index.count)
        if behind:
            log.info("stops_live", buckets=len(behind), numbers=self._index.count)

    async def _take(self, buckets: Sequence[int]) -> None:
        found = await asyncio.gather(*(self._mirror.get(f"{MIRROR}:{n}") for n in buckets))
        for bucket, one in zip(buckets, found, strict=True):
            if one is None or one[0] <= self._versions[bucket]:
                continue
            try:
                self._index.replace(bucket, one[1])
            except (UnknownVersionError, msgspec.DecodeError) as e:
                log.error("stops_unreadable", e, bucket=bucket)
            self._versions[bucket] = one[0]
            await asyncio.sleep(0)


async def publish(pool: Pool, redis: Redis) -> bool:
    """Mirror in Redis what PostgreSQL has and the mirror has not; False when there was nothing to do.

    Raises one of NOT_NOW; then what changed is still noted as such.
    """
    mirror, key = Mirror(redis), await pool.recipient_key()
    async with pool.transaction() as connection:
        behind = await stops.take_changed(connection)
        kept = await stops.versions(connection)
        known, there = await _overview(mirror)
        behind |= {n for n, version in enumerate(kept) if version != there[n]}
        if not behind and known == key:
            return False
        version = max(time.time_ns() // 1000, max(kept) + 1, max(there) + 1)
        buckets = sorted(behind)
        for at in range(0, len(buckets), _AT_ONCE):
            some = await stops.packed(connection, buckets[at : at + _AT_ONCE])
            await asyncio.gather(*(mirror.put(f"{MIRROR}:{n}", version, value) for n, value in some.items()))
        await stops.keep_version(connection, buckets, version)
        for n in buckets:
            kept[n] = version
        await mirror.replace(MIRROR, pack_overview(key, kept))
    return True


async def _overview(mirror: Mirror) -> tuple[bytes, list[int]]:
    found = await mirror.get(MIRROR)
    if found is None:
        return b"", [0] * BUCKETS
    try:
        return unpack_overview(found[1])
    except (UnknownVersionError, msgspec.DecodeError):
        return b"", [0] * BUCKETS  # of a newer release: written anew, as this one does


async def publish_first(pool: Pool, redis: Redis) -> None:
    """At a start: what PostgreSQL has is mirrored before anything is sent, if it can be asked at all."""
    try:
        async with asyncio.timeout(_FIRST_S):
            await publish(pool, redis)
    except (*NOT_NOW, TimeoutError) as e:
        log.warning("stops_not_published", reason=e)


class Publisher:
    """Publishes what nobody has: a process may die between its commit and the mirror, and Redis may come back empty or
    older. Life: `run()` until cancelled; `nudge()` after a commit."""

    def __init__(self, pool: Pool, redis: Redis) -> None:
        self._pool, self._redis = pool, redis
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """Something changed just now."""
        self._nudged.set()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            self._nudged.clear()
            try:
                if await publish(self._pool, self._redis):
                    log.info("stops_published")
            except NOT_NOW as e:
                log.warning("stops_not_published", reason=e)
                await asyncio.sleep(1.0)
                continue
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._nudged.wait()
            except TimeoutError:
                pass
