"""One HTTP/1.1 connection that is kept alive: a request out, its answer in, one at a time.

In: bytes of a request. Out: an `Answer`, or why there is none; each request exactly once. Never follows a redirect,
repeats a request or reads more than `LONGEST_ANSWER` bytes.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

from providers._web.spots import Answer

LONGEST_ANSWER: Final = 1 << 20
_LONGEST_HEAD: Final = 1 << 16


class Exchange(Protocol):
    """A request that is on the wire."""

    def answered(self, answer: Answer) -> None:
        """The carrier answered."""

    def broken(self, why: str) -> None:
        """No answer will come."""


class Connection(asyncio.Protocol):
    """Life: made, connected by an event loop, `send` whenever `free`, until `on_lost`."""

    def __init__(
        self, charset: str, on_free: Callable[[Connection], None], on_lost: Callable[[Connection], None]
    ) -> None:
        self._charset, self._on_free, self._on_lost = charset, on_free, on_lost
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.idle_since = 0.0
        self._clear()

    def _clear(self) -> None:
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._complete = self._keep = False
        self._has_head = False
        self._status = 0

    @property
    def free(self) -> bool:
        """Whether a request may be sent now."""
        return self._transport is not None and self._exchange is None and not self._transport.is_closing()

    def send(self, request: bytes, exchange: Exchange) -> None:
        """Write a request. From here on it may have been taken."""
        assert self._transport is not None
        self._exchange = exchange
        self._transport.write(request)

    def close(self) -> None:
        """Close now; what is on the wire is broken."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """What comes unasked, or is no HTTP, ends the connection."""
        self._size += len(data)
        if self._exchange is None or self._size > LONGEST_ANSWER + _LONGEST_HEAD:
            self._break(
                "the carrier said something that nobody asked for"
                if self._exchange is None
                else "the carrier's answer is too long"
            )
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break("the carrier's answer is no HTTP")
            return
        if self._complete:
            self._answer(keep=self._keep)

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer without a length ends with the connection."""
        if self._has_head and not self._complete and self._unbounded() and exc is None:
            self._answer(keep=False)
        self._break(f"the connection broke: {type(exc).__name__}" if exc else "the carrier closed the connection")
        self._on_lost(self)

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._has_head = self._status >= 200

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status < 200:  # 100 Continue and the like: the answer is still to come
            self._headers.clear()
        else:  # the parser knows it now, and no more once it waits for the next answer
            self._complete, self._keep = True, self._parser.should_keep_alive()

    def _unbounded(self) -> bool:
        return "content-length" not in self._headers and "transfer-encoding" not in self._headers

    def _answer(self, keep: bool) -> None:
        exchange, self._exchange = self._exchange, None
        status, headers = self._status, self._headers
        body = _plain(b"".join(self._body), headers.get("content-encoding", ""))
        self._clear()
        if not keep and self._transport is not None:
            self._transport.close()
        if exchange is not None:
            exchange.answered(Answer(status, headers, body, self._charset))
        if keep:
            self._on_free(self)

    def _break(self, why: str) -> None:
        exchange, self._exchange = self._exchange, None
        self.close()
        if exchange is not None:
            exchange.broken(why)


def _plain(body: bytes, coding: str) -> bytes:
    """The body unpacked, for carriers that pack it although nobody asked; what cannot be unpacked stays as it is."""
    if coding.lower() not in ("gzip", "deflate", "x-gzip"):
        return body
    try:
        return zlib.decompressobj(47).decompress(body, LONGEST_ANSWER)
    except zlib.error:
        return body
