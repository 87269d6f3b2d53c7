"""The sandbox SMSC on sockets: one write a read, one timer for everything that is due.

In: an `Smsc` and where to listen. Out: a server that is listening, its web carrier and control port beside it. Stopping
is bounded: binds are asked to end, and after `timeout_s` they are closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

from aiohttp import web

from gateway.embedded.sandbox.arrival import Arrival
from gateway.embedded.sandbox.control import make_app
from gateway.embedded.sandbox.session import Session
from gateway.embedded.sandbox.smsc import Smsc
from gateway.embedded.sandbox.web import WebPort
from gateway.embedded.sandbox.webhooks import Webhooks

READ_BYTES = 256 * 1024
WRITE_LIMIT_BYTES = 4 * 1024 * 1024


class Listener:
    """Accepts connections for one Smsc."""

    def __init__(self, smsc: Smsc) -> None:
        self.smsc = smsc
        self.connections: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._server: asyncio.Server | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.buffer = bytearray(READ_BYTES)
        """What any connection reads into."""

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen; port 0 takes a free one. Returns the address. Raises OSError."""
        self._server = await self._loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    async def close(self, timeout_s: float = 2.0) -> None:
        """Stop listening, ask every bind to end, wait for them up to `timeout_s`, then close them."""
        if self._server is not None:
            self._server.close()
        self.disconnect("unbind")
        try:
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        except TimeoutError:
            self.disconnect("reset")
            await self._empty.wait()
        if self._timer is not None:
            self._timer.cancel()

    def disconnect(self, how: str) -> int:
        """End every connection: `unbind` asks, `close` closes, `reset` throws away what was to be sent. Returns how
        many there were."""
        connections = list(self.connections)
        for connection in connections:
            connection.end(how)
        self.settle()
        return len(connections)

    def settle(self) -> None:
        """Write what sessions have to send and set the timer; to be called after anything was done."""
        self.smsc.flush()
        due = self.smsc.next_due()
        if due is None or (self._timer is not None and self._due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        wait_s = due - self.smsc.monotonic()
        # The loop's timers count whole milliseconds: less than one would be none, and asked for again and again.
        self._timer = self._loop.call_later(0.0 if wait_s <= 0 else max(0.001, wait_s), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.smsc.tick()
        self.settle()

    def joined(self, connection: Connection) -> None:
        """A connection opened."""
        self.connections.add(connection)
        self._empty.clear()

    def left(self, connection: Connection) -> None:
        """A connection ended."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()


class Connection(asyncio.BufferedProtocol):
    """A socket and its session."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._arrival: Arrival | None = None
        self._waited_s = 0.0  # what is being read
        self._pieces: deque[bytes] = deque()  # of a profile that writes in small ones
        self._closing = False
        self._transport: asyncio.Transport
        self._session: Session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_LIMIT_BYTES)
        self._arrival = Arrival(transport.get_extra_info("socket").fileno())
        self._session = Session(self._listener.smsc, self._write, self._close, self._transport.abort)
        self._listener.joined(self)
        if self._listener.smsc.is_away:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        # Called right before each read, which ends in `buffer_updated` before another one begins.
        listener = self._listener
        if self._arrival is not None and listener.smsc.choice.delays:
            self._waited_s = self._arrival.age_s(listener.buffer)
        return listener.buffer

    def buffer_updated(self, nbytes: int) -> None:
        waited_s, self._waited_s = self._waited_s, 0.0
        self._session.receive(bytes(memoryview(self._listener.buffer)[:nbytes]), waited_s)
        self._listener.settle()

    def pause_writing(self) -> None:
        # A peer that does not read its answers is not read either.
        self._session.paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._session.paused = False
        self._transport.resume_reading()
        if self._session.account is not None:
            self._session.account.pump()
        self._listener.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._arrival is not None:
            self._arrival.close()
        self._session.closed()
        self._listener.left(self)
        self._listener.settle()

    def end(self, how: str) -> None:
        """`unbind`, `close` or `reset`."""
        self._session.end(how)

    def _write(self, data: bytes) -> None:
        size = self._listener.smsc.profile.links.chop_bytes
        if not size and not self._pieces:
            self._transport.write(data)
            return
        is_waiting = bool(self._pieces)
        self._pieces.extend([data[at : at + size] for at in range(0, len(data), size)] if size else [data])
        if not is_waiting:
            self._drip()

    def _drip(self) -> None:
        """One piece a turn of the loop, so that each is a packet of its own."""
        if self._transport.is_closing():
            self._pieces.clear()
        if self._pieces:
            self._transport.write(self._pieces.popleft())
        if self._pieces:
            asyncio.get_running_loop().call_soon(self._drip)
        elif self._closing:
            self._transport.close()

    def _close(self) -> None:
        self._closing = True
        if not self._pieces:
            self._transport.close()


class Sandbox:
    """The SMSC, the web carrier if it has an address, and their control port, all listening."""

    def __init__(self, smsc: Smsc) -> None:
        self.smsc = smsc
        self.smpp = ""
        self.control = ""
        self.web = ""
        self._listener = Listener(smsc)
        self._hooks = Webhooks(smsc.tally)
        port = WebPort(smsc, self._hooks)
        # Who is kept waiting on purpose is not waited for.
        self._web = web.AppRunner(port.make_app(), access_log=None, handle_signals=False, shutdown_timeout=0.5)
        app = make_app(smsc, self._listener, port)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def open(self, smpp: tuple[str, int], control: tuple[str, int], web: tuple[str, int] | None = None) -> None:
        """Listen on all. Raises OSError; then nothing listens."""
        try:
            self.control = await _open(self._runner, control)
            if web is not None:
                self.web = await _open(self._web, web)
                self._hooks.open()
            host, port = await self._listener.open(*smpp)
        except OSError:
            await self._close_web()
            raise
        self.smpp = f"{host}:{port}"

    async def close(self) -> None:
        """Stop all."""
        await self._listener.close()
        await self._close_web()

    async def _close_web(self) -> None:
        await self._web.cleanup()
        await self._hooks.close()
        await self._runner.cleanup()


async def _open(runner: web.AppRunner, place: tuple[str, int]) -> str:
    """Listen; the URL of it."""
    await runner.setup()
    await web.TCPSite(runner, *place).start()
    address: Any = runner.addresses[0]
    return f"http://{address[0]}:{address[1]}"
