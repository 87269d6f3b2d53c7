"""What is no HTTP gets a problem document as well: aiohttp's protocol with our words for its own refusals.

In: a connection. Out: what aiohttp answers; where it would refuse by itself, a problem. Never: the request in it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong

from gateway import metrics
from gateway.api import call
from gateway.api.call import RequestIds
from gateway.api.problems import Code, problem

_WORDS: Final = "The request is not HTTP/1.1: look at its first line, its headers and its length."
_LONG: Final = "The first line or a header is longer than 8 KB: shorten it."
_PACKED: Final = "The body's Content-Encoding is not read here: send the body as it is, or as gzip or deflate."


def words(exc: BaseException | None) -> str:
    """What is said to a request that aiohttp cannot read."""
    if isinstance(exc, ContentEncodingError):
        return _PACKED
    return _LONG if isinstance(exc, LineTooLong) else _WORDS


class Wire(web.RequestHandler):
    """One connection that is served by aiohttp."""

    __slots__ = ("_ids",)

    def __init__(self, server: web.Server, ids: RequestIds, **given: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **given)
        self._ids = ids

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what cannot be read, and to a fault outside of `Api`. The connection ends with it."""
        super().handle_error(request, status, exc, message)  # raises when an answer has begun
        if status == 400:
            said = problem(Code.NOT_HTTP, words(exc))
        else:
            said = problem(Code.INTERNAL_ERROR, "The request id leads to what happened in the server's log.")
        metrics.refused.labels(said.code).inc()
        request_id = self._ids.of(None)
        response = call.refusal(said, request_id)
        response.headers["X-Request-Id"], response.headers["Server"] = request_id, "sluice"
        response.force_close()
        return response


class Listener(web.Server):
    """Makes a `Wire` for each connection."""

    def __init__(self, handler: Any, ids: RequestIds, request_factory: Any = None, **given: Any) -> None:
        super().__init__(handler, request_factory=request_factory, **given)
        self.ids, self._given = ids, given

    def __call__(self) -> web.RequestHandler:
        return Wire(self, self.ids, **self._given)
