"""Datasets in use, in every process within a second of their being made active: PostgreSQL owns them, Redis mirrors
which versions are active, and one file on each machine holds the content for all its processes.

In: the mirror, and the content from PostgreSQL. Out: `Content`, swapped whole. While PostgreSQL is away what is on the
machine goes on working, also after a restart. A version that waits to be made active is fetched ahead.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import IO, Final

import asyncpg
import msgspec

from gateway import logs, metrics
from gateway.datasets import kinds as dataset_kinds
from gateway.datasets.files import CacheFiles, Mapped
from gateway.datasets.kinds import KINDS, ChildError
from gateway.live.publishing import keep
from gateway.message import UnknownVersionError
from gateway.store import datasets
from gateway.store.datasets import Dataset, Entry, Standing
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams import using
from gateway.streams.link import Redis, RedisAwayError, ScriptError
from gateway.streams.mirror import Mirror

log = logs.stage("datasets")

MIRROR: Final = "datasets"
_AGAIN_S: Final = 1.0
_AGAIN_AT_MOST_S: Final = 8.0
_SWEEP_EVERY_S: Final = 60.0
_HEAR_S: Final = 1.0


class Refused(msgspec.Struct, frozen=True):
    """A version cannot be made active."""

    code: str
    """`unknown_dataset` or `nothing_before`."""
    sentence: str


class Content:
    """One version in memory, shared with all processes of the machine. Keep it no longer than until the next."""

    def __init__(self, kind: str, version: int, mapped: Mapped) -> None:
        self.kind, self.version, self._mapped = kind, version, mapped

    @property
    def data(self) -> memoryview:
        """What the kind's compiler wrote, or the CSV itself where it has none. Read-only."""
        return self._mapped.data

    @property
    def path(self) -> Path:
        """The file, which has 40 bytes more than `data`. It may be gone from the directory."""
        return self._mapped.path


Change = Awaitable["Dataset | Refused"]
"""What `activate` and `rollback` do."""

Listener = Callable[[Content | None], Awaitable[None]]


class LiveDatasets:
    """The active datasets as this process knows them. Life: `on_change` for each kind that is wanted, then `watch()`
    until cancelled; `current(kind)` at any time. Kinds that nobody listens to are not fetched.
    """

    def __init__(self, redis: Redis, pool: Pool, directory: Path, process: str = "") -> None:
        """`directory`: see `cache_files.directory_of`. `process`: under which name it tells what it uses; empty: it
        tells nobody."""
        self._redis, self._mirror, self._process = redis, Mirror(redis), process
        self._changed = asyncio.Event()
        self._pool = pool
        self._files = CacheFiles(directory)
        self._listeners: dict[str, list[Listener]] = {}
        self._current: dict[str, Content] = {}
        self._standing: Standing | None = None
        self._told: dict[str, asyncio.Event] = {}
        self._is_open = False
        self._looked: dict[str, asyncio.Event] = {}

    def on_change(self, kind: str, call: Listener) -> None:
        """Await `call(content)` after each change of the active version, and with the first; None: the kind has no
        active version any more. What takes long in it belongs into a thread, and its own swap to its end. Before
        `watch` only. Raises KeyError for a kind that dataset_kinds.py does not name.
        """
        self._listeners.setdefault(KINDS[kind].name, []).append(call)
        self._told[kind], self._looked[kind] = asyncio.Event(), asyncio.Event()

    def current(self, kind: str) -> Content | None:
        """The version in use; None before the first is here, and when there is none."""
        return self._current.get(kind)

    async def settled(self, timeout_s: float) -> bool:
        """Wait until every kind is as the mirror says, or as near to it as can be had now; False: not in that time.
        `watch` has to run meanwhile."""
        try:
            async with asyncio.timeout(timeout_s):
                for looked in self._looked.values():
                    await looked.wait()
        except TimeoutError:
            return False
        return True

    async def watch(self) -> None:
        """Follow the mirror. Runs until cancelled."""
        try:
            async with asyncio.timeout(_HEAR_S):
                await publish(self._pool, self._redis)  # so that a first process need not wait for the mirror
        except (StoreAwayError, RedisAwayError, ScriptError, TimeoutError):
            pass  # keep_published tells
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mirror.watch(MIRROR, self._hear), name="datasets mirror")
            for kind in self._listeners:
                tasks.create_task(self._follow(kind), name=f"dataset {kind}")
            if self._process:
                tasks.create_task(self._tell(), name="datasets in use")

    async def _tell(self) -> None:
        """Say what this process uses, so that whoever makes a version active sees when it is so."""
        try:
            while True:
                self._changed.clear()
                try:
                    for kind in self._listeners:
                        current = self._current.get(kind)
                        await using.report(self._redis, kind, self._process, current.version if current else 0)
                except (RedisAwayError, ScriptError):
                    pass  # told again in a moment
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(using.EVERY_S):
                        await self._changed.wait()
        finally:
            if self._redis.link(None).is_up:
                with contextlib.suppress(RedisAwayError, ScriptError, TimeoutError):
                    async with asyncio.timeout(_HEAR_S):
                        for kind in self._listeners:
                            await using.forget(self._redis, kind, self._process)

    def _hear(self, at_us: int, value: bytes) -> None:
        if self._standing is not None and at_us <= self._standing.at_us:
            return  # a Redis that came back older than it was: it will be published again
        try:
            self._standing = datasets.unpack(value)
        except (UnknownVersionError, msgspec.DecodeError) as e:
            log.error("datasets_unreadable", e)
            return
        for event in self._told.values():
            event.set()

    async def _follow(self, kind: str) -> None:
        told = self._told[kind]
        pause, failed_s = _HEAR_S, 0.0
        while True:
            try:
                async with asyncio.timeout(pause):
                    await told.wait()
            except TimeoutError:
                pass
            told.clear()
            try:
                await self._catch_up(kind)
                pause, failed_s = _SWEEP_EVERY_S if self._standing else _HEAR_S, 0.0
            except (StoreAwayError, ChildError, OSError, asyncpg.PostgresError) as e:
                log.warning("dataset_not_fetched", kind=kind, reason=e)
                await self._make_do(kind)
                failed_s = min(2 * failed_s, _AGAIN_AT_MOST_S) if failed_s else _AGAIN_S
                pause = failed_s
            self._looked[kind].set()
            await asyncio.to_thread(self._sweep, kind)

    async def _catch_up(self, kind: str) -> None:
        """Bring what is active into use, then fetch what waits. Raises StoreAwayError, ChildError, OSError."""
        if self._standing is None:
            return await self._make_do(kind)  # nothing was ever published, or the mirror is lost
        wanted = self._standing.active(kind)
        if wanted is None:
            await self._use(kind, None)
        elif (current := self._current.get(kind)) is None or current.version != wanted.version:
            mapped = await self._have(wanted)
            if self._standing.active(kind) == wanted:
                await self._use(kind, Content(kind, wanted.version, mapped))
            return await self._catch_up(kind)
        self._looked[kind].set()
        for entry in self._standing.entries:
            if entry.kind == kind and not entry.active:
                await self._have(entry)
        return None

    async def _make_do(self, kind: str) -> None:
        """Use the newest that is on this machine, until what is active can be had."""
        files = () if kind in self._current else self._files.newest(kind, KINDS[kind].format)
        for version, name in files:
            if (mapped := await asyncio.to_thread(self._files.map, name)) is not None:
                log.warning("dataset_from_before", kind=kind, version=version)
                await self._use(kind, Content(kind, version, mapped))
                break

    async def _use(self, kind: str, content: Content | None) -> None:
        if content is None and kind not in self._current:
            return
        if content is None:
            del self._current[kind]
        else:
            self._current[kind] = content
        for call in self._listeners[kind]:
            await call(content)
        self._changed.set()
        version = content.version if content else 0
        metrics.dataset_version.labels(kind).set(version)
        log.info("dataset_live", kind=kind, version=version)

    async def _have(self, entry: Entry) -> Mapped:
        """The version's file, made when it is not there. The directory is made when the first is wanted."""
        if not self._is_open:
            if why := self._files.open():
                log.error("cache_dir_unusable", why=why, instead=str(self._files.directory))
            self._is_open = True
        return await self._files.make(_name(entry), lambda path: self._fetch(entry, path))

    async def _fetch(self, entry: Entry, target: Path) -> None:
        source = target.with_name(target.name + ".csv")
        try:
            digest, found = hashlib.sha256(), False
            with source.open("wb") as file:
                async for piece in datasets.content(self._pool, entry.version):
                    found = True
                    await asyncio.to_thread(_take, piece, digest, file)
            if not found or digest.digest() != entry.sha256:
                raise OSError(f"version {entry.version} of {entry.kind} in PostgreSQL is not what was put there")
            await dataset_kinds.compile_file(entry.kind, source, target)
        finally:
            source.unlink(missing_ok=True)

    def _sweep(self, kind: str) -> None:
        if self._standing is not None:
            self._files.sweep(kind, self._keep(kind))

    def _keep(self, kind: str) -> Collection[str]:
        assert self._standing is not None
        names = {_name(entry) for entry in self._standing.entries if entry.kind == kind}
        if (current := self._current.get(kind)) is not None:
            names.add(current.path.name)
        return names


async def activate(pool: Pool, redis: Redis, version: int, *, who: str) -> Dataset | Refused:
    """Make a version live everywhere. Raises StoreAwayError; RedisAwayError or ScriptError when it is active in
    PostgreSQL but not yet known everywhere: `keep_published` makes up for it."""
    found = await datasets.activate(pool, version, who=who)
    if found is None:
        return Refused("unknown_dataset", f"There is no version {version} of a dataset whose content is kept.")
    await publish(pool, redis)
    return found


async def rollback(pool: Pool, redis: Redis, kind: str, version: int | None = None, *, who: str) -> Dataset | Refused:
    """Return to a version of the kind, or to the one that was active before. Raises as `activate` does."""
    found = await datasets.rollback(pool, kind, version, who=who)
    if found is None and version is None:
        return Refused("nothing_before", f"No other version of {kind} was active before.")
    if found is None:
        return Refused("unknown_dataset", f"No version {version} of {kind} was ever active.")
    await publish(pool, redis)
    return found


async def deactivate(pool: Pool, redis: Redis, kind: str, *, who: str) -> bool:
    """Use no version of a kind any more; False when none was in use. Raises as `activate` does."""
    done = await datasets.deactivate(pool, kind, who=who)
    await publish(pool, redis)
    return done


async def publish(pool: Pool, redis: Redis) -> bool:
    """Mirror in Redis what is active and what waits; False when the mirror has it already. After each `datasets.put`
    as well, so that processes fetch ahead. Raises StoreAwayError, RedisAwayError, ScriptError."""
    standing = await datasets.standing(pool)
    return await Mirror(redis).put(MIRROR, standing.at_us, datasets.pack(standing))


async def keep_published(pool: Pool, redis: Redis) -> None:
    """Publish now and then. Runs until cancelled."""
    await keep(lambda: publish(pool, redis), log, "datasets_not_published")


def _name(entry: Entry) -> str:
    return f"{entry.kind}-v{entry.version}-{entry.sha256.hex()[:16]}.{KINDS[entry.kind].format}"


def _take(piece: bytes, digest: hashlib._Hash, file: IO[bytes]) -> None:
    digest.update(piece)
    file.write(piece)
