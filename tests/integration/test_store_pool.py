"""Connections to PostgreSQL that end at awkward moments, by a proxy that says what a dying server says."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from gateway.embedded.datadir import short_directory
from gateway.store import copy_format
from gateway.store.pool import Pool, StoreAwayError

_FIELDS = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
FAREWELL = b"E" + (len(_FIELDS) + 4).to_bytes(4, "big") + _FIELDS


class Proxy:
    """Between a pool and a server; it can say something of its own to the pool, and keeps the connection open."""

    def __init__(self, server: str) -> None:
        self.clients: list[asyncio.StreamWriter] = []
        self.flows = asyncio.Event()
        self.flows.set()
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._server)
        self.clients.append(writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink), name="proxy")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                await self.flows.wait()
                sink.write(data)
        sink.close()

    def say(self, data: bytes) -> None:
        for client in self.clients:
            client.write(data)

    def cut(self) -> None:
        """End all connections without a word."""
        for client in self.clients:
            client.transport.abort()
        self.flows.set()

    async def close(self) -> None:
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def proxied(postgres_url: str, directory: Path) -> AsyncIterator[tuple[Pool, Proxy]]:
    place = parse_qs(urlsplit(postgres_url).query)
    port = place.get("port", ["5432"])[0]
    proxy, name = Proxy(f"{place['host'][0]}/.s.PGSQL.{port}"), f".s.PGSQL.{port}"
    server = await asyncio.start_unix_server(proxy.serve, directory / name)
    pool = await Pool.open(re.sub(r"host=[^&]+", f"host={quote(str(directory), safe='')}", postgres_url), size=1)
    try:
        yield pool, proxy
    finally:
        await pool.close()
        server.close()
        await proxy.close()


async def test_what_was_done_stays_done_when_the_server_ends_the_connection_as_it_is_given_back(
    postgres_url: str, tmp_path: Path
) -> None:
    async with proxied(postgres_url, short_directory(tmp_path / "proxy")) as (pool, proxy):
        heard = 0
        for number in range(50):
            async with pool.connection() as connection:
                assert await connection.fetchval("select $1::int", number) == number
                proxy.say(FAREWELL)
                for _ in range(number % 5):  # it is heard sooner or later
                    await asyncio.sleep(0)
                heard += len(proxy.clients)
                proxy.clients.clear()
            assert await pool.fetchval("select 1") == 1, "the pool goes on with another connection"
        assert heard == 50


async def test_who_writes_more_than_the_server_takes_hears_that_the_connection_has_ended(
    postgres_url: str, tmp_path: Path
) -> None:
    async with proxied(postgres_url, short_directory(tmp_path / "proxy")) as (pool, proxy):

        async def write() -> None:
            async with pool.transaction() as connection:
                await connection.execute("create temporary table much (line bytea)")
                started.set()
                proxy.flows.clear()
                await copy_format.copy(connection, "much", ["line"], [bytes(1 << 20)] * 64)

        started = asyncio.Event()
        writing = asyncio.create_task(write())
        await started.wait()
        await asyncio.wait([writing], timeout=0.5)
        assert not writing.done(), "the server takes all of it"
        proxy.cut()
        await asyncio.wait([writing], timeout=20)
        assert writing.done() or not writing.cancel(), "it waits for ever"
        with pytest.raises(StoreAwayError):
            await writing
        assert await pool.fetchval("select 1") == 1
