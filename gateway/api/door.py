"""The way in: connections, and the short way of `POST /v1/messages` for requests that are whole and right.

In: bytes of a connection. Out: 202, or what became of a message that was tried. Never: a judgement about anything else.
Whatever is not a plain, complete, authorised and correct single message goes, byte for byte, to aiohttp and the
endpoints, and the rest of its connection with it.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from functools import cache
from typing import Any, Final, cast

import msgspec
from aiohttp import web

from gateway import logs, metrics
from gateway.api import call, sending
from gateway.api.call import Gate, RequestIds
from gateway.api.diagnosis import UNREADABLE
from gateway.api.head import Head, read_head
from gateway.api.intake import DEADLINE_S, FAILURES, Wish, why
from gateway.api.keyring import Rights
from gateway.api.problems import CONTENT_TYPE, Code, Problem, problem
from gateway.api.wire import Listener
from gateway.streams.accept import BoundReachedError, Verdict
from gateway.streams.link import RedisAwayError

log = logs.stage("api")

ROUTE: Final = "POST /v1/messages"
_LINE: Final = b"POST /v1/messages HTTP/1.1\r\n"
_ENOUGH: Final = 65_536
"""A larger request takes the long way; more than this behind a running one is not read yet."""

IDLE_S: Final = 3630.0
"""A silent connection is closed after this, as aiohttp does: later than any proxy in front would."""

_encode = msgspec.json.Encoder().encode


class Entrance(Listener):
    """Makes a `Door` for each connection; aiohttp's own handler only where it is needed."""

    def __init__(self, gate: Gate, ids: RequestIds, handler: Any, **kwargs: Any) -> None:
        super().__init__(handler, ids, **kwargs)
        self.gate = gate
        self.doors: set[Door] = set()
        self.closing = False
        self._young, self._late = set[Door](), set[Door]()
        self._timers = [
            asyncio.get_running_loop().call_later(DEADLINE_S, self._look),
            asyncio.get_running_loop().call_later(60, self._sweep),
        ]

    def __call__(self) -> Door:  # type: ignore[override]
        return Door(self)

    def long_way(self) -> web.RequestHandler:
        """aiohttp's protocol for a connection that the short way does not serve."""
        return super().__call__()

    def pre_shutdown(self) -> None:
        """No new requests."""
        self.closing = True
        super().pre_shutdown()
        for door in list(self.doors):
            door.close()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Wait for what runs, for at most `timeout` seconds."""
        for timer in self._timers:
            timer.cancel()
        busy = [door.idle for door in self.doors if door.idle is not None]
        if busy:
            await asyncio.wait(busy, timeout=timeout)
        for door in list(self.doors):
            door.abort()
        await super().shutdown(timeout)

    def began(self, door: Door) -> None:
        """A message is on its way; it is answered after twice DEADLINE_S at the latest."""
        self._young.add(door)

    def ended(self, door: Door) -> None:
        """Answered."""
        self._young.discard(door)
        self._late.discard(door)

    def _look(self) -> None:
        self._timers[0] = asyncio.get_running_loop().call_later(DEADLINE_S, self._look)
        late, self._late, self._young = self._late, self._young, set()
        for door in list(late):
            door.give_up()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._timers[1] = loop.call_later(60, self._sweep)
        for door in list(self.doors):
            if door.idle is None and loop.time() - door.heard > IDLE_S:
                door.close()


class Door(asyncio.Protocol):
    """One connection, until it turns out to need the long way. One request at a time."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance, self._gate = entrance, entrance.gate
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._raw, self._head = b"", Head(0, "", "", "")  # the last head: the next one is often the same
        self._behind = b""
        self._wish: Wish | None = None
        self._rights: Rights
        self._request_id = ""
        self._turn = 0
        self._began = 0.0
        self.heard = self._loop.time()
        self.idle: asyncio.Future[None] | None = None
        """While a request runs: done when it has its answer."""

    # The connection -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._entrance.doors.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._entrance.doors.discard(self)
        self._end()

    def pause_writing(self) -> None:
        """Who does not read his answers is not read from."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        if self._wish is not None:
            self._behind += data
            if len(self._behind) > _ENOUGH:
                self._transport.pause_reading()
        elif not self._take(data):
            self._go_the_long_way(data)

    def close(self) -> None:
        """When the running request has its answer."""
        if self._wish is None and not self._transport.is_closing():  # a second close breaks the TLS of older Pythons
            self._transport.close()

    def abort(self) -> None:
        """At once."""
        self._transport.abort()

    def _go_the_long_way(self, data: bytes) -> None:
        handler = self._entrance.long_way()
        self._entrance.doors.discard(self)
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(data)

    # One request --------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> bool:
        """Begin with a request. False: nothing was done with it."""
        if not data.startswith(_LINE) or len(data) > _ENOUGH:
            return False
        end = data.find(b"\r\n\r\n") + 4
        raw = data[:end]
        if raw != self._raw:
            head = read_head(raw) if end > 3 else None
            if head is None:
                return False
            self._raw, self._head = raw, head
        head, gate = self._head, self._gate
        if len(data) - end != head.length:
            return False
        rights = gate.keyring.authenticate(head.authorization)
        if isinstance(rights, Problem) or rights.networks or rights.key.test or rights.allow("send") is not None:
            return False
        began = time.perf_counter()
        try:
            wish = sending.read(data[end:], gate.rules, call.traced(rights, head.traceparent), gate.redis.clock_ms())
            if not isinstance(wish, Wish) or rights.quota.take(1) is not None:
                return False
        except UNREADABLE:
            return False  # the long way finds the words
        if gate.budgets is not None and not gate.budgets.take(wish.message):
            rights.quota.give_back(1)
            return False
        try:
            verdict = gate.intake.put(wish)
        except (BoundReachedError, RedisAwayError):
            rights.quota.give_back(1)  # the long way counts it
            return False
        self._wish, self._rights, self._began = wish, rights, began
        self._request_id = self._entrance.ids.of(head.request_id or None)
        self._turn += 1
        self.idle = self._loop.create_future()
        self._entrance.began(self)
        turn = self._turn
        verdict.add_done_callback(lambda done: self._settled(done, turn))
        return True

    def _settled(self, done: asyncio.Future[list[Verdict]], turn: int) -> None:
        if done.cancelled() or turn != self._turn or self._wish is None:
            return
        error = done.exception()
        try:
            if error is None:
                said = sending.said(self._rights.key.client, self._wish.message, done.result()[0])
            elif isinstance(error, FAILURES):
                said = why(error)
            else:
                raise error
        except Exception as e:
            log.error("request failed", e, route=ROUTE, request=self._request_id)
            said = problem(Code.INTERNAL_ERROR, "The request id leads to what happened in the server's log.")
        self._answer(said)

    def give_up(self) -> None:
        """Redis has taken too long."""
        if self._wish is not None:
            self._answer(why(TimeoutError()))

    def _answer(self, said: sending.Said | Problem) -> None:
        if isinstance(said, Problem):
            metrics.refused.labels(said.code).inc()
            status, kind, more = said.status, CONTENT_TYPE, call.headers_of(said)
            body = _encode(msgspec.structs.replace(said, request_id=self._request_id))
        else:
            status, kind, more, body = said.status, call.JSON, {}, said.body
        closing = self._entrance.closing
        if closing:
            more = {**more, "Connection": "close"}
        extra = "".join([f"{name}: {value}\r\n" for name, value in more.items()])
        head = (
            f"HTTP/1.1 {_status(status)}\r\nContent-Type: {kind}\r\nServer: sluice\r\n"
            f"X-Request-Id: {self._request_id}\r\n{self._rights.quota.lines()}{extra}Content-Length: {len(body)}\r\n"
            f"Date: {_date(int(time.time()))}\r\n\r\n"
        )
        if not self._transport.is_closing():
            self._transport.write(head.encode("latin-1") + body)
        call.timer(ROUTE, status).observe(time.perf_counter() - self._began)
        self._end()
        if closing:
            self.close()
        elif self._behind:
            behind, self._behind = self._behind, b""
            self._transport.resume_reading()
            self.data_received(behind)

    def _end(self) -> None:
        self._wish = None
        self._entrance.ended(self)
        if self.idle is not None and not self.idle.done():
            self.idle.set_result(None)
        self.idle = None


@cache
def _status(status: int) -> str:
    return f"{status} {web.Response(status=status).reason}"


_dates: dict[int, str] = {}


def _date(now_s: int) -> str:
    """The Date header, made once a second (RFC 9110, 6.6.1)."""
    date = _dates.get(now_s)
    if date is None:
        _dates.clear()
        date = _dates[now_s] = formatdate(now_s, usegmt=True)
    return date
