"""A real Redis for tests of the core: opened shards, dumps of the whole keyspace, a proxy that breaks connections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis as plain

from gateway.config import Settings
from gateway.streams.accept import Acceptor
from gateway.streams.link import Redis
from gateway.streams.opening import open_shard

DEADLINE_S = 20.0


def client(url: str) -> plain.Redis:
    """A client that nobody here wrote."""
    return plain.Redis(unix_socket_path=urlsplit(url).path)


def dump(url: str, *, but: tuple[bytes, ...] = ()) -> dict[bytes, bytes]:
    """Every key with its serialised value: two dumps are equal when nothing changed."""
    with client(url) as c:
        return {key: c.dump(key) for key in sorted(c.scan_iter(count=1000)) if not key.startswith(but or (b"\0",))}  # type: ignore[misc]


@contextlib.asynccontextmanager
async def opened(url: str, shards: int = 1) -> AsyncIterator[Redis]:
    """Connections with every shard open, as after the recorder's comparison."""
    redis = await Redis.open(url, shards)
    try:
        for n in range(shards):
            await open_shard(redis.link(n), n, redis.link(n).run_id)
        yield redis
    finally:
        await redis.close()


@contextlib.asynccontextmanager
async def accepting(redis: Redis, **settings: Any) -> AsyncIterator[Acceptor]:
    """An acceptor."""
    acceptor = Acceptor(redis, Settings(**settings))
    try:
        yield acceptor
    finally:
        await acceptor.close()


async def until(
    condition: Callable[[], Awaitable[Any] | Any], what: str = "the condition", deadline_s: float = DEADLINE_S
) -> Any:
    """The condition's value as soon as it is true; fails after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {deadline_s} s"
        await asyncio.sleep(0.005)


class Proxy:
    """A unix socket before Redis whose connections the test cuts.

    `cut_replies` lets requests through, and breaks the connection instead of delivering a reply: the call ran, its
    caller does not know. `cut_requests` breaks it before a request arrives.
    """

    def __init__(self, directory: Path, url: str) -> None:
        self.path = directory / "p.sock"
        self._to = urlsplit(url).path
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.cut_replies = 0
        self.cut_requests = 0
        self.stops = 0
        """So many times everything stands still (`flowing`) as soon as such a request has passed."""
        self.match = b""  # only requests that contain this are counted, kept and cut
        self.cuts = 0
        self.flowing = asyncio.Event()
        """Cleared: everything stands still, as when the process behind it is stopped."""
        self.flowing.set()
        self.requests: list[bytes] = []

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), limit=1 << 22)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, near: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            far, to = await asyncio.open_unix_connection(self._to, limit=1 << 22)
        except OSError:
            out.transport.abort()
            self._open.discard(task)
            return
        doomed = asyncio.Event()

        async def there() -> None:
            while data := await near.read(1 << 20):
                await self.flowing.wait()
                if self.match and self.match in data:
                    self.requests.append(data)
                    if self.cut_requests:
                        self.cut_requests -= 1
                        self.cuts += 1
                        return
                    if self.cut_replies:
                        self.cut_replies -= 1
                        doomed.set()
                    if self.stops:
                        self.stops -= 1
                        self.flowing.clear()
                to.write(data)
                await to.drain()

        async def back() -> None:
            while data := await far.read(1 << 20):
                await self.flowing.wait()
                if doomed.is_set():
                    self.cuts += 1
                    return
                out.write(data)
                await out.drain()

        pumps = [asyncio.create_task(there()), asyncio.create_task(back())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.uncancel()  # the server's callback would complain
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            out.transport.abort()
            to.transport.abort()
            self._open.discard(task)
