"""One HTTP/1.1 connection to an application: a request, its answer, the next request.

In: whole requests as bytes. Out: an `Answer` for each. Never: a body kept, a redirect followed, much of a
long answer read. asyncio's transport carries plain and TLS alike; httptools parses.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import httptools

MAX_BODY_BYTES: Final = 8_192
MAX_ANSWER_BYTES: Final = 65_536


class Answer(NamedTuple):
    """What came of a request. `status` 0: no answer, and `error` says why; `retry_after` is the header as it came."""

    status: int
    error: str = ""
    retry_after: str = ""
    untouched: bool = False
    """The connection had served before and ended without a byte of an answer: it had gone stale, nobody is at fault."""


_PLAIN: Final = {status: Answer(status) for status in range(200, 600)}
_RETRY_AFTER: Final = re.compile(rb"\r\nretry-after:[ \t]*([^\r\n]{1,64})", re.IGNORECASE)
NO_HTTP: Final = "the server does not answer in HTTP"


class Wire(asyncio.Protocol):
    """A connection. `on_answer` is called once for each `send`, `on_lost` when it ends while nothing is sent."""

    __slots__ = (
        "_answered", "_body_bytes", "_bytes", "_ends", "_head", "_on_answer", "_on_lost", "_parser", "_transport",
        "busy", "deadline", "idle_since", "load", "made_at", "served",
    )  # fmt: skip

    def __init__(self, on_answer: Callable[[Wire, Answer], None], on_lost: Callable[[Wire], None]) -> None:
        self._on_answer, self._on_lost = on_answer, on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._bytes = self._body_bytes = 0
        self._answered = self._ends = False
        self.busy = False
        self.served = 0
        self.deadline = self.idle_since = self.made_at = 0.0
        self.load: Any = None
        """What the owner sends on it."""

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._ends

    def send(self, request: bytes, deadline: float) -> None:
        """Send a request; the answer is for `on_answer`. `deadline` is for `expire`, by the loop's clock."""
        transport = self._transport
        self.busy, self.deadline = True, deadline
        self._answered = False
        self._bytes = self._body_bytes = 0
        self._head = b""
        if transport is None:
            self._finish(Answer(0, "the connection was closed", untouched=self.served > 0))
            return
        transport.write(request)

    def expire(self, limit_s: float) -> None:
        """The time for the answer is over. One whose head came counts, however long its body takes."""
        self._fail(f"no answer within {limit_s:g} s")

    def close(self) -> None:
        """End it; nothing is called any more."""
        self.busy = False
        self._on_lost = _nothing
        self._end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.busy:
            self._end()  # nobody asked
            return
        self._bytes += len(data)
        if not self._answered:
            self._head = self._head + data if self._head else data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self.busy:
                self._fail(NO_HTTP)
            return
        if self.busy and self._bytes > MAX_ANSWER_BYTES:
            self._fail("the answer's head has no end")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.busy:
            stale = self.served > 0 and not self._bytes
            self._fail(
                "the connection was closed before the answer" if not self._bytes else "the answer broke off", stale
            )
        else:
            self._on_lost(self)

    # httptools calls these.

    def on_headers_complete(self) -> None:
        self._answered = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES and self.busy:
            self._fail("")

    def on_message_complete(self) -> None:
        if not self._answered or not self.busy:
            return
        if not self._parser.should_keep_alive():
            self._end()
        self._finish(self._answer())

    def _answer(self) -> Answer:
        status = self._parser.get_status_code()
        if status >= 400 and (found := _RETRY_AFTER.search(self._head)) is not None:
            return Answer(status, "", found[1].decode("latin-1"))
        return _PLAIN.get(status) or Answer(status)

    def _fail(self, why: str, stale: bool = False) -> None:
        """The connection is of no more use; a status that came counts."""
        self._end()
        self._finish(self._answer() if self._answered else Answer(0, why, untouched=stale))

    def _end(self) -> None:
        self._ends = True
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, answer: Answer) -> None:
        self.busy = False
        self.served += 1
        self._on_answer(self, answer)


def _nothing(_: Wire) -> None:
    """What a closed wire calls."""
