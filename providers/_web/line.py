"""The way to one carrier: its connections, and whether it is there at all.

In: settings. Out: free connections, and a `Link` state. While nothing is sent it looks now and then whether the carrier
still accepts connections; refused credentials are a state with long pauses, never a hammer. Never sends a message.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import ssl
from collections.abc import Callable
from typing import Final

from gateway.provider import Link
from providers._web.connection import Connection
from providers._web.requests import Target
from providers._web.settings import WebSettings
from providers._web.spots import Answer

log = logging.getLogger("web")

BIND: Final = "http"
_REFUSED_GROWTH: Final = 10
_SEARCHED: Final = 16_384  # characters of an answer that a regular expression looks at
_random: Final = random.SystemRandom()


class Line:
    """Life: `start`, then `take` and `dial` while `up`, `close`. `changed` hears of states, `free` of connections."""

    def __init__(
        self,
        carrier: str,
        settings: WebSettings,
        target: Target,
        check: Callable[[], bytes] | None,
        changed: Callable[[Line], None],
        free: Callable[[], None],
        clock_ms: Callable[[], int],
    ) -> None:
        self._carrier, self._settings, self._target, self._check = carrier, settings, target, check
        self._changed, self._free, self._clock_ms = changed, free, clock_ms
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._dialing: set[asyncio.Task[None]] = set()
        self._fell, self._silence = asyncio.Event(), asyncio.Event()
        self._tls: ssl.SSLContext | None = None
        self._task: asyncio.Task[None] | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._failures = 0
        self._closed = False
        self.up = False
        self.state, self.error, self.since_ms = "closed", "", clock_ms()

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name=f"line {self._carrier}")

    @property
    def connections(self) -> int:
        """Those that there are, and those that are being made."""
        return len(self._open) + len(self._dialing)

    def take(self) -> Connection | None:
        """A connection that is free, the one used last first."""
        while self._idle:
            connection = self._idle.pop()
            if connection.free:
                return connection
        return None

    def dial(self) -> None:
        """Make another connection; `free` is called when it is there, the line falls when it cannot be made."""
        task = asyncio.create_task(self._dial(), name=f"connect {self._carrier}")
        self._dialing.add(task)
        task.add_done_callback(self._dialing.discard)

    @property
    def dialing(self) -> int:
        """Connections that are being made."""
        return len(self._dialing)

    def fall(self, state: str, error: str) -> None:
        """The carrier is not there, or does not let us in."""
        self.up = False
        self._set(state, error)
        self._fell.set()

    def proved(self) -> None:
        """The carrier took something: whatever was wrong before is forgotten."""
        self._failures = 0

    def leave(self) -> None:
        """Nothing new will be sent."""
        if self.up:
            self._set("unbinding")

    async def close(self) -> None:
        """Close every connection, end every task."""
        self._closed, self.up = True, False
        if self._sweep is not None:
            self._sweep.cancel()
        tasks = [*self._dialing, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._open):
            connection.close()
        self._idle.clear()
        self._set("closed")

    # The line's life

    async def _run(self) -> None:
        while True:
            self._set("connecting", self.error)
            state, error = await self._join()
            if state == "bound":
                self._fell.clear()
                self.up = True
                self._set("bound")
                self._free()
                await self._watch()
            else:
                self.fall(state, error)
            pause_s = self._pause(self.state == "refused")
            log.warning(
                "link down", extra={"carrier": self._carrier, "why": self.error, "again_in_s": round(pause_s, 1)}
            )
            await asyncio.sleep(pause_s)

    async def _join(self) -> tuple[str, str]:
        """Connect and show our credentials: the state that follows, and what is wrong."""
        try:
            connection = await self._connect()
            if self._check is None:
                self.put_back(connection)
                return "bound", ""
            answer = await self._visit(connection, self._check())
        except (OSError, TimeoutError) as problem:
            return "closed", f"cannot connect: {_words(problem)}"
        check = self._settings.check
        assert check is not None
        if check.refused and re.search(check.refused, answer.text[:_SEARCHED]):
            return "refused", "the carrier refused our credentials"
        if any(_is(answer.status, word) for word in check.status):
            return "bound", ""
        state = "refused" if answer.status in (401, 403, 407) else "closed"
        return state, f"the check of the credentials was answered with {answer.status}"

    async def visit(self, request: bytes) -> Answer:
        """Send a request of our own while the carrier is there. Raises OSError or TimeoutError."""
        if not self.up:
            raise ConnectionError("the carrier is not there")
        return await self._visit(self.take() or await self._connect(), request)

    async def _visit(self, connection: Connection, request: bytes) -> Answer:
        """Send a request of our own."""
        visit = _Visit()
        connection.send(request, visit)
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                return await visit.done
        except BaseException:
            connection.close()
            raise

    async def _watch(self) -> None:
        """While it is up: connect again when nothing was open for a while."""
        while not self._fell.is_set():
            try:
                async with asyncio.timeout(self._settings.check_s):
                    await self._fell.wait()
            except TimeoutError:
                if not self.connections:
                    await self._dial()

    async def _dial(self) -> None:
        try:
            connection = await self._connect()
        except (OSError, TimeoutError) as problem:
            if not self._fell.is_set():
                self.fall("closed", f"cannot connect: {_words(problem)}")
            return
        self.put_back(connection)
        self._free()

    async def _connect(self) -> Connection:
        c, target, loop = self._settings, self._target, asyncio.get_running_loop()
        if target.tls and self._tls is None:
            self._tls = ssl.create_default_context(cafile=c.tls_ca or None)
        made = Connection(c.answer_charset, self._freed, self._lost)
        async with asyncio.timeout(c.connect_timeout_s):
            await loop.create_connection(lambda: made, target.host, target.port, ssl=self._tls)
        if self._closed:
            made.close()
            raise ConnectionAbortedError("we closed the connection")
        self._open.add(made)
        return made

    def put_back(self, connection: Connection) -> None:
        """Nobody needs it now."""
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(self._settings.keep_alive_s, self._retire)

    def _retire(self) -> None:
        """Close connections that were idle for too long, before the carrier does."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._settings.keep_alive_s
        self._sweep = None
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.pop(0).close()
        if self._idle:
            self._sweep = loop.call_at(self._idle[0].idle_since + self._settings.keep_alive_s, self._retire)

    def _freed(self, connection: Connection) -> None:
        self.put_back(connection)
        self._free()

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._free()

    def _pause(self, refused: bool) -> float:
        """Jitter over the upper half: what fell together does not come back together."""
        c = self._settings
        first, longest = (c.refused_s, c.refused_s * _REFUSED_GROWTH) if refused else (c.reconnect_s, c.reconnect_max_s)
        pause_s = min(longest, first * 2.0 ** min(self._failures, 20))
        self._failures += 1
        return float(pause_s * _random.uniform(0.5, 1.0))

    def _set(self, state: str, error: str = "") -> None:
        if (state, error) != (self.state, self.error):
            self.state, self.error, self.since_ms = state, error, self._clock_ms()
            self._changed(self)

    def link(self, in_flight: int, window: int) -> Link:
        """As others see it."""
        return Link(BIND, self.state, self.since_ms, self.error, in_flight, window if self.up else 0)


class _Visit:
    """A request of our own."""

    def __init__(self) -> None:
        self.done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answered(self, answer: Answer) -> None:
        if not self.done.done():
            self.done.set_result(answer)

    def broken(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionResetError(why))


def _is(status: int, word: str | int) -> bool:
    return str(status) == str(word) or (str(word).endswith("xx") and str(status)[0] == str(word)[0])


def _words(problem: BaseException) -> str:
    """What is wrong, without the addresses that a resolver or TLS may mention twice."""
    if isinstance(problem, TimeoutError):
        return "no answer in time"
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {problem.verify_message}"
    return str(problem) or type(problem).__name__
