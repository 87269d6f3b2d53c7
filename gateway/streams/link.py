"""Connections to Redis: a thin pipeline over hiredis, for the data path.

In: commands. Out: their replies, in order, from one server run. Never: a retry, because only the caller knows whether
repeating is safe. Commands of one turn of the loop leave in one write.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import hashlib
import logging
import random
import re
import ssl
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from gateway import metrics
from gateway.streams.keys import prefix

log = logging.getLogger("streams")

Arg = bytes | str | int
_AWAY = ("LOADING", "MISCONF", "READONLY", "NOSCRIPT", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ")
"""Errors of a server that cannot serve now (a failing disk, a replica, scripts flushed): a new connection may help."""

_PUSHES = frozenset((b"smessage", b"ssubscribe", b"sunsubscribe"))
_SILENCE_S = 5.0  # a reply outstanding this long means that the server hangs


class RedisAwayError(Exception):
    """Redis cannot be reached, or the connection broke: it is not known whether the call ran."""


class ScriptError(Exception):
    """Redis answered an error."""


class OutOfMemoryError(ScriptError):
    """Redis is at its maxmemory and refused a write."""


@dataclass(frozen=True)
class Address:
    """Where Redis is, from a redis://, rediss:// or unix:// URL."""

    host: str = ""
    port: int = 6379
    path: str = ""
    username: str = ""
    password: str = ""
    db: int = 0
    tls: bool = False

    def __repr__(self) -> str:
        return f"Address({self})"

    def __str__(self) -> str:
        return f"{self.path or f'{self.host}:{self.port}'}/{self.db}"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ValueError with a sentence for anything else."""
        u = urlsplit(url)
        user, password = unquote(u.username or ""), unquote(u.password or "")
        if u.scheme == "unix":
            db = int(parse_qs(u.query).get("db", ["0"])[0])
            return cls(path=unquote(u.path), username=user, password=password, db=db)
        if u.scheme not in ("redis", "rediss"):
            raise ValueError("the Redis URL must begin with redis://, rediss:// or unix://")
        db = int(u.path.strip("/") or 0)
        return cls(u.hostname or "127.0.0.1", u.port or 6379, "", user, password, db, u.scheme == "rediss")


@cache
def scripts() -> dict[str, tuple[bytes, bytes]]:
    """Every script by name: (SHA-1 in hex, source). What it uses of the prelude stands after its line of flags."""
    folder = resources.files("gateway.streams") / "scripts"
    prelude = (folder / "prelude.lua").read_text("utf-8")
    found = {}
    for file in folder.iterdir():
        if file.name.endswith(".lua") and file.name != "prelude.lua":
            flags, _, body = file.read_text("utf-8").partition("\n")
            source = f"{flags}\n{_with(prelude, body)}".encode()
            found[file.name[:-4]] = (hashlib.sha1(source, usedforsecurity=False).hexdigest().encode(), source)
    return found


def _with(prelude: str, body: str) -> str:
    """A script's body behind those paragraphs of the prelude whose names it uses: making a function takes time too."""
    text = body
    for paragraph in reversed(prelude.split("\n\n")):
        names = re.findall(r"^local (?:function )?(\w+)", paragraph, re.MULTILINE)
        if any(re.search(rf"\b{name}\b", text) for name in names):
            text = f"{paragraph}\n\n{text}"
    return text


class _Wire(asyncio.Protocol):
    """One connection: bytes out in joined writes, replies to futures in order."""

    def __init__(self, on_push: Callable[[list[Any]], None] | None) -> None:
        self.reader = hiredis.Reader()
        self.waiting: collections.deque[asyncio.Future[Any]] = collections.deque()
        self.out: list[bytes] = []
        self.transport: asyncio.Transport | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.loop = asyncio.get_running_loop()
        self.on_push = on_push
        self.heard = self.loop.time()
        self.error, self.refused = "the connection broke", False
        self.on_gone: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is not an asyncio.Transport by class

    def data_received(self, data: bytes) -> None:
        self.heard = self.loop.time()
        self.reader.feed(data)
        while (reply := self.reader.gets()) is not False:
            if self.on_push is not None and isinstance(reply, list) and reply and reply[0] in _PUSHES:
                self.on_push(reply)
                if reply[0] == b"smessage":
                    continue
            future = self.waiting.popleft()
            if future.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                self._refused(future, str(reply))
            else:
                future.set_result(reply)

    def _refused(self, future: asyncio.Future[Any], text: str) -> None:
        if text.startswith(_AWAY):
            self.error, self.refused = f"Redis cannot serve: {text}", True
            future.set_exception(RedisAwayError(self.error))
            assert self.transport is not None
            self.transport.abort()
        else:
            future.set_exception(OutOfMemoryError(text) if text.startswith("OOM") else ScriptError(text))
        future.exception()  # retrieved: a caller that was cancelled meanwhile need not hear of it

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
            self.on_gone()
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_exception(RedisAwayError("the connection to Redis broke before the reply came"))
                future.exception()  # retrieved: a caller that was cancelled meanwhile need not hear of it

    def send(self, args: Sequence[Arg]) -> asyncio.Future[Any]:
        if self.gone.done():
            raise RedisAwayError(self.error)
        future: asyncio.Future[Any] = self.loop.create_future()
        if not self.waiting:
            self.heard = self.loop.time()
        self.waiting.append(future)
        if not self.out:
            self.loop.call_soon(self.flush)
        self.out.append(hiredis.pack_command(tuple(args)))  # type: ignore[arg-type]
        return future

    def flush(self) -> None:
        data, self.out = b"".join(self.out), []
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)


class Link:
    """One ordered, self-mending connection. Calls fail at once while it is down; `up()` waits for it."""

    def __init__(self, address: Address, shard: int | None, on_push: Callable[[list[Any]], None] | None = None) -> None:
        self.address, self.shard, self.prefix = address, shard, prefix(shard)
        self.run_id = b""
        self.on_up: list[Callable[[], None]] = []
        self._on_push = on_push
        self._wire: _Wire | None = None
        self._ready = asyncio.Event()
        self._error = "not connected yet"
        self.answered, self.refusal = asyncio.Event(), ""
        self._was_up = False
        self._clock = (0, 0.0)
        self._task = asyncio.create_task(self._keep(), name=f"redis link {self.prefix}")

    async def up(self) -> None:
        """Return when the connection stands and the scripts are loaded."""
        await self._ready.wait()

    @property
    def is_up(self) -> bool:
        """Whether a call would be sent."""
        return self._wire is not None

    @property
    def error(self) -> str:
        """Why the last connection could not be made or broke."""
        return self._error

    def send(self, *args: Arg) -> asyncio.Future[Any]:
        """Queue one command; the future gives the reply, ScriptError or RedisAwayError."""
        if self._wire is None:
            raise RedisAwayError(f"no connection to Redis: {self._error}")
        return self._wire.send(args)

    async def call(self, *args: Arg) -> Any:
        """One command and its reply."""
        return await self.send(*args)

    def start_script(self, name: str, keys: Sequence[Arg], args: Sequence[Arg]) -> asyncio.Future[Any]:
        """Queue a script of `scripts/`; the shard's key prefix is always its KEYS[1]."""
        return self.send(b"EVALSHA", scripts()[name][0], 1 + len(keys), self.prefix, *keys, *args)

    async def script(self, name: str, keys: Sequence[Arg] = (), args: Sequence[Arg] = ()) -> Any:
        """A script and its reply."""
        return await self.start_script(name, keys, args)

    def clock_ms(self) -> int:
        """The server's time now: its TIME at the last look, and the monotonic clock since."""
        ms, at = self._clock
        return ms + int((time.monotonic() - at) * 1000)  # the loop's own time stands still during a turn

    async def look_at_clock(self) -> None:
        """Take the server's time anew."""
        began = time.monotonic()
        reply = await self.call(b"TIME")
        self._set_clock(reply, time.monotonic() - began)

    def _set_clock(self, reply: Any, took_s: float = 0.0) -> None:
        """`took_s`: how old the answer may be. Where that explains the difference, what we knew is better."""
        seconds, micros = reply
        ms = int(seconds) * 1000 + int(micros) // 1000
        if not 0 <= self.clock_ms() - ms <= took_s * 1000:
            self._clock = (ms, time.monotonic())

    async def close(self) -> None:
        """Drop the connection; what is outstanding fails."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _keep(self) -> None:
        pause = 0.02
        while True:
            try:
                async with asyncio.timeout(5):
                    wire = await self._connect()
            except (OSError, RedisAwayError, ScriptError, TimeoutError) as e:
                self._error = str(e) or type(e).__name__
                if isinstance(e, ScriptError):  # a wrong password, a server that is too old
                    self.refusal = self._error
                    self.answered.set()
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                pause = min(pause * 2, 1.0)
                continue
            try:
                self._take(wire)
                await self._watch(wire)
            finally:
                if wire.transport is not None:
                    wire.transport.abort()
                wire.connection_lost(None)
            # One that cannot serve is not hammered; a mere break is mended at once.
            pause = min(pause * 2, 0.5) if wire.refused else 0.02
            await asyncio.sleep(pause)

    def _take(self, wire: _Wire) -> None:
        if wire.gone.done():
            return
        if self._was_up:
            metrics.redis_reconnects.inc()
        self._wire, wire.on_gone, self._was_up = wire, self._drop, True
        self.refusal = ""
        self.answered.set()
        self._ready.set()
        for callback in self.on_up:
            callback()

    def _drop(self) -> None:
        """At once, and not when `_keep` gets its turn: whoever then waits for `up()` really waits."""
        if self._wire is not None:
            self._error = self._wire.error
        self._wire = None
        self._ready.clear()

    async def _watch(self, wire: _Wire) -> None:
        while not wire.gone.done():
            await asyncio.wait((wire.gone,), timeout=1.0)
            if wire.waiting and wire.loop.time() - wire.heard > _SILENCE_S:
                log.warning("redis_silent", extra={"silence_s": _SILENCE_S})
                return

    async def _connect(self) -> _Wire:
        loop, a = asyncio.get_running_loop(), self.address
        wire = _Wire(self._on_push)
        if a.path:
            await loop.create_unix_connection(lambda: wire, a.path)
        else:
            tls = ssl.create_default_context() if a.tls else None
            await loop.create_connection(lambda: wire, a.host, a.port, ssl=tls)
        try:
            if a.password:
                await wire.send((b"AUTH", *((a.username,) if a.username else ()), a.password))
            if a.db:
                await wire.send((b"SELECT", a.db))
            loads = [wire.send((b"SCRIPT", b"LOAD", source)) for _, source in scripts().values()]
            info = await wire.send((b"INFO", b"server"))
            self._set_clock(await wire.send((b"TIME",)))
            await asyncio.gather(*loads)
        except BaseException:
            if wire.transport is not None:
                wire.transport.abort()
            raise
        self.run_id = info.partition(b"run_id:")[2][:8]
        return wire


class Redis:
    """The process' connections: one shared link a shard, and one for the global keys."""

    def __init__(self, address: Address, shards: int) -> None:
        self.shards, self._address = shards, address
        self._used = 0.0
        self._links: list[Link] = []
        self._shared = [self.new_link(n) for n in range(shards)]
        self._global = self.new_link(None)
        self._task = asyncio.create_task(self._measure(), name="redis memory")

    @classmethod
    async def open(cls, url: str, shards: int, timeout_s: float = 10.0) -> Redis:
        """Connect. Raises RedisAwayError when that takes longer than `timeout_s`, or at once when the server refuses
        us; ValueError for a bad URL."""
        redis = cls(Address.parse(url), shards)
        why = ""
        try:
            async with asyncio.timeout(timeout_s):
                for link in redis._links:
                    await link.answered.wait()
                    why = why or (link.refusal and f"refused: {link.refusal}")
        except TimeoutError:
            why = f"cannot be reached: {redis._global.error}"
        if why:
            await redis.close()
            raise RedisAwayError(f"Redis at {redis._address} {why}")
        return redis

    def shard_of(self, to: str) -> int:
        """The shard of a recipient in E.164."""
        return zlib.crc32(to[1:].encode()) % self.shards if self.shards > 1 else 0

    def link(self, shard: int | None) -> Link:
        """The shared link of a shard; None: of the global keys."""
        return self._global if shard is None else self._shared[shard]

    def new_link(self, shard: int | None, on_push: Callable[[list[Any]], None] | None = None) -> Link:
        """A link of one's own, ordered with itself only. Closed with the rest, or before."""
        link = Link(self._address, shard, on_push)
        self._links.append(link)
        return link

    def clock_ms(self) -> int:
        """Redis' time now, ms since the epoch."""
        return self._global.clock_ms()

    def used(self) -> float:
        """Memory in use as a share of maxmemory, at most 0.25 s old; 0.0 when Redis has no limit."""
        return self._used

    async def _measure(self) -> None:
        turn = 0
        while True:
            began = time.perf_counter()  # the loop's own time is in whole milliseconds
            try:
                info: bytes = await self._global.call(b"INFO", b"memory")
                metrics.redis_round_trip.observe(time.perf_counter() - began)
                fields = dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)
                limit = int(fields.get(b"maxmemory", 0))
                self._used = int(fields[b"used_memory"]) / limit if limit else 0.0
                metrics.redis_memory.set(int(fields[b"used_memory"]))
                metrics.redis_memory_max.set(limit)
                metrics.redis_memory_share.set(self._used)
                metrics.redis_noeviction.set(fields.get(b"maxmemory_policy") == b"noeviction")
                metrics.redis_up.set(1)
                turn += 1
                if turn % 40 == 0:
                    await self._global.look_at_clock()
            except (RedisAwayError, ScriptError):
                metrics.redis_up.set(0)
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.25)

    async def close(self) -> None:
        """Close every link."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await asyncio.gather(*(link.close() for link in self._links))
