"""The contract suite's HTTP: a small server and a client's request, on real sockets, without tasks of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote, urlsplit

import httptools


class Asked:
    """One request, until it is answered."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.method = ""
        self.target = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.open = True

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> str:
        return urlsplit(self.target).query

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Answer, once; to a connection that is gone nothing happens."""
        if not self.open:
            return
        self.open = False
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if not self.peer.transport.is_closing():
            self.peer.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


class Peer(asyncio.Protocol):
    """One connection, from the server's side."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._asked = Asked(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.server.peers.append(self)
        self.server.accepted += 1
        if self.server.away:  # it was accepted before, and made only now
            self.transport.abort()
        self.server.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.peers.remove(self)
        self.server.gone(self)
        self.server.changed()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._asked.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._asked.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._asked.body += body

    def on_message_complete(self) -> None:
        asked, self._asked = self._asked, Asked(self)
        asked.method = self._parser.get_method().decode()
        self.server.take(asked)
        self.server.changed()


class Server:
    """Listens on a port of its own, the same one after a pause. `take` gets every request."""

    def __init__(
        self, take: Callable[[Asked], None], changed: Callable[[], None], gone: Callable[[Peer], None]
    ) -> None:
        self.take, self.changed, self.gone = take, changed, gone
        self.peers: list[Peer] = []
        self.accepted = 0
        self.port, self.away = 0, False
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop, self.away = asyncio.get_running_loop(), False
        self._server = await loop.create_server(lambda: Peer(self), "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    def leave(self) -> None:
        assert self._server is not None
        self.away = True
        self._server.close()
        for peer in list(self.peers):
            peer.transport.abort()


async def get(url: str) -> int:
    """The status of a GET; 0 when there is no answer."""
    return await _call("GET", url, b"", {})


async def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of a POST; 0 when there is no answer."""
    return await _call("POST", url, body, headers)


async def _call(method: str, url: str, body: bytes, headers: dict[str, str]) -> int:
    parts = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError:
        return 0
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        words = (await reader.readline()).split()
        return int(words[1]) if len(words) > 1 else 0
    except OSError:
        return 0
    finally:
        writer.close()
