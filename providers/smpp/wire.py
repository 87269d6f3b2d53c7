"""One TCP connection with one SMPP session on it: bytes in and out, the sweep, answers when durable.

In: bytes, submissions. Out: `Reports`. Never reconnects (`bind.py`) or decides where a submission goes (`carrier.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from gateway.provider import Outcome, Reports, Submission
from gateway.smpp import pdu, status
from gateway.smpp.session import (
    Answered,
    BindRefused,
    Bound,
    Broken,
    Delivery,
    Event,
    Fed,
    Forgotten,
    PeerUnbinds,
    Session,
    Unbound,
)
from gateway.smpp.status import STANDARD, Codes
from providers.smpp.encoding import Encoder
from providers.smpp.inbound import DeliveryReader

log = logging.getLogger("smpp")

_BATCH = 500
_UNREAD_LIMIT = 10_000  # deliveries without their answer at which reading pauses
_FRESH_MS = 1_000  # a body holds how long the message is valid: what was encoded longer ago is encoded again
_TRY_AGAIN = 0x64  # ESME_RX_T_APPN
_UNBIND_S = 2.0  # how long a peer that unbinds may take to answer what is in flight

Prepared = tuple[Encoder, int, bytes | Outcome]
"""`Submission.prepared` here: who encoded it, when (ms), and the body or why there is none."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a connection ended. `refused`: the status of a refused bind; `bound`: it had been bound."""

    why: str
    bound: bool = False
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """What all connections of one carrier share."""

    carrier: str
    encoder: Encoder
    reader: DeliveryReader
    reports: Reports
    on_room: Callable[[], None]
    plain: Encoder | None = None
    """For SMSCs that say they speak less than 3.4: without optional parameters. None: `encoder` serves them too."""
    codes: Codes = STANDARD


class Wire(asyncio.Protocol):
    """Life: made, connected by an event loop, `ended` resolves when the connection is gone. Not to be used again."""

    def __init__(self, line: Line, bind: str, command: int, request: pdu.Bind, session: Session[Submission]) -> None:
        self.session = session
        self.bind = bind
        self._line, self._bind, self._command, self._request = line, bind, command, request
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._inbox: deque[Delivery] = deque()
        self._arrived, self._quiet = asyncio.Event(), asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.deliveries: asyncio.Task[None] | None = None
        """Ends by itself after `ended`, when all that was delivered is durable."""
        self._encoder = line.encoder
        self._asked: dict[int, asyncio.Future[Answered | None]] = {}
        self._busy = 0  # deliveries that are being made durable
        self._reading, self._leaving = True, False
        self._was_bound, self._why, self._refused = False, "", 0
        self.bound: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[Ended] = self._loop.create_future()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bind at once."""
        self._transport = cast(asyncio.Transport, transport)
        self.deliveries = self._loop.create_task(self._deliver(), name=f"deliveries {self._line.carrier} {self._bind}")
        self._write(self.session.bind(self._command, self._request, self._loop.time()))
        self._tick()

    def data_received(self, data: bytes) -> None:
        """One read: outcomes first, so that a receipt never overtakes the answer that it belongs to."""
        now = self._loop.time()
        self._take(self.session.feed(data, now), now)

    def connection_lost(self, exc: Exception | None) -> None:
        """What is in flight is uncertain; what was delivered is still made durable, and the carrier repeats it."""
        self.drop()
        self._why = self._why or (f"the connection broke: {exc}" if exc else "the peer closed the connection")
        for timer in self._timers.values():
            timer.cancel()
        self._arrived.set()
        if not self.ended.done():
            self.ended.set_result(Ended(self._why, self._was_bound, self._refused))

    # The owner's verbs

    def prepare(self, batch: Sequence[Submission]) -> None:
        """Encode what will be submitted soon, so that it leaves at once when there is room."""
        now_ms, by = self._line.reports.clock_ms(), self._encoder
        encode = by.body
        for s in batch:
            s.prepared = (by, now_ms, encode(s, now_ms))

    def submit(self, batch: Sequence[Submission]) -> list[tuple[Submission, Outcome]]:
        """Write them in one piece. Returns those that cannot be said in SMPP."""
        sent: list[Submission] = []
        bodies: list[bytes] = []
        refused: list[tuple[Submission, Outcome]] = []
        now_ms, encode, name = self._line.reports.clock_ms(), self._encoder.body, self._bind
        by, fresh_ms = self._encoder, now_ms - _FRESH_MS
        for s in batch:
            made: Prepared | None = s.prepared
            body = made[2] if made is not None and made[0] is by and made[1] >= fresh_ms else encode(s, now_ms)
            if isinstance(body, Outcome):
                refused.append((s, body))
                continue
            s.sent_ms = now_ms
            s.bind = name
            sent.append(s)
            bodies.append(body)
        if bodies:
            self._quiet.clear()
            self._write(self.session.submit(sent, bodies, self._loop.time()))
        return refused

    async def ask(self, command: int, body: bytes, timeout_s: float) -> Answered | None:
        """A request beside the window; None when no answer came in time or the connection went."""
        if self.session.state != "bound":
            return None
        sequence, data = self.session.ask(command, body)
        answer = self._asked[sequence] = self._loop.create_future()
        self._write(data)
        try:
            await asyncio.wait((answer, self.ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            del self._asked[sequence]

    async def drain(self, until: float) -> None:
        """Wait until all is answered, both ways, or the loop's clock shows `until`."""
        try:
            async with asyncio.timeout_at(until):
                while (self.session.in_flight or self._inbox or self._busy) and not self.ended.done():
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            pass

    async def unbind(self, until: float) -> None:
        """End the session in order, until the loop's clock shows `until`; then without order."""
        if self.session.state == "bound":
            self._write(self.session.unbind())
            await asyncio.wait((self.ended,), timeout=max(0.0, min(_UNBIND_S, until - self._loop.time())))
        self.abort("we closed the connection")
        await self.ended

    def abort(self, why: str) -> None:
        """Close now; `ended` follows."""
        self._why = self._why or why
        self.drop()
        if self._transport is not None:
            self._transport.abort()
        elif not self.ended.done():
            self.ended.set_result(Ended(self._why))

    def drop(self) -> None:
        """No answer will be believed any more: report what is in flight as uncertain."""
        lost = self.session.lose()
        if lost:
            self._line.reports.on_outcomes(lost)
        self._quiet.set()

    # What happened

    def _take(self, fed: Fed[Submission], now: float) -> None:
        if fed.output:
            self._write(b"".join(fed.output))
        if fed.answers:
            self._line.reports.on_outcomes(fed.answers)
        if fed.deliveries:
            self._inbox.extend(fed.deliveries)
            self._arrived.set()
            self._read(len(self._inbox) <= _UNREAD_LIMIT)
        for event in fed.events:
            self._event(event)
        if not self.session.in_flight:
            self._quiet.set()
            if self._leaving and not self._inbox and not self._busy:
                self._close(self._why)
        if fed.answers:
            paused_until = self.session.pace.paused_until
            if paused_until > now:
                self._at("resume", paused_until, self._line.on_room)
            self._line.on_room()

    def _event(self, event: Event) -> None:
        match event:
            case Bound():
                if 0 <= self.session.peer_version < pdu.VERSION_3_4 and self._line.plain is not None:
                    self._encoder = self._line.plain
                self._was_bound = True
                if not self.bound.done():
                    self.bound.set_result(None)
            case BindRefused(code):
                self._refused = code
                self._close(f"the bind was refused: {status.words(code)}")
            case PeerUnbinds():
                self._leave("the peer ended the session")
            case Forgotten():
                self._leave("the peer says that we are not bound (0x04): it has lost the session")
            case Answered(sequence):
                if (answer := self._asked.get(sequence)) is not None and not answer.done():
                    answer.set_result(event)
            case Unbound():
                self._close("we ended the session")
            case Broken(why):
                log.warning("link broken", extra={"carrier": self._line.carrier, "bind": self._bind, "why": why})
                self._close(why)

    def _leave(self, why: str) -> None:
        """Close once all is answered, or soon."""
        self._leaving, self._why = True, why
        self._at("unbind", self._loop.time() + _UNBIND_S, lambda: self._close(why))

    def _close(self, why: str) -> None:
        """Close once what was written is out."""
        self._why = self._why or why
        self.drop()
        if self._transport is not None:
            self._transport.close()
            self._at("abort", self._loop.time() + _UNBIND_S, self._transport.abort)

    def _tick(self) -> None:
        now = self._loop.time()
        self._take(self.session.sweep(now), now)
        if not self.ended.done():
            self._at("sweep", now + self.session.sweep_s, self._tick)

    def _at(self, name: str, when: float, call: Callable[[], None]) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = self._loop.call_at(when, call)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _read(self, wanted: bool) -> None:
        """Stop reading from a carrier that delivers faster than we can make durable, and go on later."""
        if wanted != self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # Deliveries

    async def _deliver(self) -> None:
        """Make deliveries durable, batch by batch, and only then answer them; ends with the connection."""
        while True:
            while self._inbox:
                batch = [self._inbox.popleft() for _ in range(min(_BATCH, len(self._inbox)))]
                self._busy = len(batch)
                self._write(self.session.acknowledge(batch, await self._keep(batch)))
                self._busy = 0
                if len(self._inbox) <= _UNREAD_LIMIT // 2:
                    self._read(True)
            self._quiet.set()
            if self.ended.done():
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def _keep(self, batch: Sequence[Delivery]) -> int:
        """Hand deliveries over; the status for their answers."""
        try:
            receipts, inbound = self._line.reader.sort(batch, self._bind)
            if receipts:
                await self._line.reports.on_receipts(receipts)
            if inbound:
                await self._line.reports.on_inbound(inbound)
        except Exception:
            # Not durable: the carrier is asked to keep them and to deliver them again.
            log.exception("deliveries not kept", extra={"carrier": self._line.carrier, "bind": self._bind})
            return _TRY_AGAIN
        return pdu.OK
