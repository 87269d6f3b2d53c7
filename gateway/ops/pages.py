"""The pages of `Health` over HTTP, for processes without the api, on an address of their own.

In: GET or HEAD of /metrics, /healthz, /readyz. Out: the page. Never: anything else, and no framework: a process that
sends or records loads none for three pages.
"""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import Final, cast

import httptools

from gateway.ops.health import Health, Page

IDLE_S: Final = 300.0
"""A connection on which nothing is asked for so long is closed."""
_MOST_BYTES: Final = 65_536
"""Of a request, whatever it carries."""


class HealthServer:
    """`open` it, `close` it."""

    def __init__(self, server: asyncio.Server, connections: set[_Connection], url: str) -> None:
        self._server, self._connections = server, connections
        self.url = url

    @classmethod
    async def open(cls, listen: str, health: Health) -> HealthServer:
        """`listen` is HOST:PORT; port 0 takes a free one. Raises OSError when it is taken."""
        host, _, port = listen.rpartition(":")
        connections: set[_Connection] = set()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(health, connections), host.strip("[]") or None, int(port))
        return cls(server, connections, f"http://{host}:{server.sockets[0].getsockname()[1]}")

    async def close(self) -> None:
        """Nothing is under way between two turns of the loop: each answer is written where its request ends."""
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    """One scraper. httptools parses."""

    def __init__(self, health: Health, connections: set[_Connection]) -> None:
        self._health, self._connections = health, connections
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._taken = 0
        self._transport: asyncio.Transport
        self._idle: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._idle.cancel()

    def data_received(self, data: bytes) -> None:
        self._taken += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.close()
        except httptools.HttpParserError:
            self._write(Page(400, "text/plain; charset=utf-8", b"This is no HTTP/1.1.\n"), keep=False)
        if self._taken > _MOST_BYTES:
            self.close()

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.close()

    def _wait(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.close)

    # httptools calls these.

    def on_message_begin(self) -> None:
        self._target = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_message_complete(self) -> None:
        self._taken = 0
        self._idle.cancel()
        self._wait()
        path = ""
        with contextlib.suppress(httptools.HttpParserError, UnicodeDecodeError):
            path = (httptools.parse_url(self._target).path or b"").decode()
        method = self._parser.get_method()
        if method in (b"GET", b"HEAD"):
            page = self._health.page(path)
        else:
            page = Page(405, "text/plain; charset=utf-8", b"Only GET and HEAD.\n")
        self._write(page, keep=self._parser.should_keep_alive(), body=method != b"HEAD")

    def _write(self, page: Page, *, keep: bool, body: bool = True) -> None:
        if self._transport.is_closing():
            return
        closing = "" if keep else "Connection: close\r\n"
        head = (
            f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\nServer: sluice\r\n{closing}"
            f"Content-Type: {page.content_type}\r\nContent-Length: {len(page.body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + (page.body if body else b""))
        if not keep:
            self.close()
