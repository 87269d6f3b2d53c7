"""One bind: connects, binds, and connects again, with jittered pauses, until it is closed.

In: settings and what to bind as. Out: a `Wire` while one is bound, and `Link` states. A wrong password is a state with
long pauses, never a hammer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from gateway.provider import Link, Submission
from gateway.smpp import pdu
from gateway.smpp.session import Limits, Session
from gateway.smpp.status import CREDENTIALS
from providers.smpp.settings import SmppSettings
from providers.smpp.wire import Ended, Line, Wire

log = logging.getLogger("smpp")

_STABLE_S: Final = 10.0  # a session that lived so long ends without a grudge
_REFUSED_GROWTH: Final = 10
VERSIONS: Final = {"3.3": pdu.VERSION_3_3, "3.4": pdu.VERSION_3_4, "5.0": pdu.VERSION_5_0}
_random: Final = random.SystemRandom()


class Bind:
    """One session of a carrier, or half of a pair. `name` is unique within the carrier."""

    def __init__(
        self, name: str, command: int, settings: SmppSettings, line: Line, changed: Callable[[Link], None]
    ) -> None:
        self.name = name
        self.submits = command != pdu.BIND_RECEIVER
        self.counts: Counter[str] = Counter()
        self.wire: Wire | None = None
        """The connection, while the session is bound and may submit."""
        self._command, self._settings, self._line, self._changed = command, settings, line, changed
        self._attempt: Wire | None = None  # the connection, bound or not
        self._task: asyncio.Task[None] | None = None
        self._state, self._error, self._since_ms = "closed", "", line.reports.clock_ms()
        self._failures = 0
        self._closing = False
        self._keeping: set[asyncio.Task[None]] = set()  # deliveries of connections that are gone

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name=f"bind {self._line.carrier} {self.name}")

    def link(self) -> Link:
        """The bind as it is now."""
        session = self.wire.session if self.wire else None
        in_flight, window = (session.in_flight, session.pace.allowed) if session else (0, 0)
        return Link(self.name, self._state, self._since_ms, self._error, in_flight, window)

    @property
    def live(self) -> bool:
        """Whether it is bound and not about to end."""
        return self.wire is not None and self.wire.session.state == "bound"

    def room(self, now: float) -> int:
        """How many submissions it would take now."""
        return self.wire.session.room(now) if self.wire is not None else 0

    async def close(self, until: float) -> None:
        """Wait for answers, unbind, disconnect; all by the time that the loop's clock shows `until`."""
        self._closing = True
        wire = self._attempt
        if wire is not None and not wire.ended.done():
            if self.live:
                self._set("unbinding")
            await wire.drain(until)
            await wire.unbind(until)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=max(0.0, until - asyncio.get_running_loop().time()))
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        self._set("closed")

    async def _run(self) -> None:
        while not self._closing:
            ended = await self._session()
            if self._closing:
                return
            refused = ended.refused in CREDENTIALS
            self._set("refused" if refused else "closed", ended.why)
            pause_s = self._pause(refused)
            log.warning(
                "bind ended",
                extra={
                    "carrier": self._line.carrier,
                    "bind": self.name,
                    "why": ended.why,
                    "again_in_s": round(pause_s, 1),
                },
            )
            await asyncio.sleep(pause_s)

    async def _session(self) -> Ended:
        """One session from connecting to its end."""
        self._set("connecting", self._error)
        loop, c = asyncio.get_running_loop(), self._settings
        session: Session[Submission] = Session(limits(c), loop.time(), self.counts, codes=self._line.codes)
        request = pdu.Bind(
            c.system_id.encode(),
            c.password.reveal().encode(),
            c.system_type.encode(),
            VERSIONS[c.interface_version],
            c.address_ton,
            c.address_npi,
            c.address_range.encode(),
        )
        wire = self._attempt = Wire(self._line, self.name, self._command, request, session)
        try:
            async with asyncio.timeout(c.link_timeout_s):
                name = c.tls_server_name or None
                await loop.create_connection(
                    lambda: wire, c.host, c.port, ssl=tls(c), server_hostname=name if c.tls else None
                )
        except (OSError, TimeoutError) as problem:
            wire.abort("")
            return Ended(f"cannot connect: {problem or 'no answer in time'}")
        try:
            return await self._bound(wire)
        finally:
            self.wire = None
            wire.abort("we closed the connection")

    async def _bound(self, wire: Wire) -> Ended:
        if (deliveries := wire.deliveries) is not None:
            self._keeping.add(deliveries)
            deliveries.add_done_callback(self._keeping.discard)
        self._set("binding", self._error)
        await asyncio.wait((wire.bound, wire.ended), return_when=asyncio.FIRST_COMPLETED)
        since = asyncio.get_running_loop().time()
        if not wire.ended.done():
            self.wire = wire
            self._set("bound")
            self._line.on_room()
        ended = await asyncio.shield(wire.ended)
        self.wire = None
        self._line.on_room()
        if ended.bound and asyncio.get_running_loop().time() - since >= _STABLE_S:
            self._failures = 0
        return ended

    def _pause(self, refused: bool) -> float:
        """Full jitter over the upper half: binds that fell together do not come back together."""
        c = self._settings
        first, longest = (c.refused_s, c.refused_s * _REFUSED_GROWTH) if refused else (c.reconnect_s, c.reconnect_max_s)
        pause_s = min(longest, first * 2.0 ** min(self._failures, 20))
        self._failures += 1
        return float(pause_s * _random.uniform(0.5, 1.0))

    def _set(self, state: str, error: str = "") -> None:
        if (state, error) != (self._state, self._error):
            self._state, self._error, self._since_ms = state, error, self._line.reports.clock_ms()
            self._changed(self.link())


def limits(c: SmppSettings) -> Limits:
    """The session's part of the settings."""
    return Limits(c.window, c.answer_timeout_s, c.stall_s, c.enquire_link_s, c.link_timeout_s)


def tls(c: SmppSettings) -> ssl.SSLContext | None:
    """The TLS client that the settings ask for. Raises OSError for a file that cannot be used."""
    if not c.tls:
        return None
    context = ssl.create_default_context(cafile=c.tls_ca or None)
    if not c.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if c.tls_certificate:
        context.load_cert_chain(c.tls_certificate, c.tls_key or None)
    return context
