"""A plain SMPP client for `examine`: sees every answer and every delivery as it came, and believes nothing.

In: settings and bodies. Out: statuses, ids and raw deliveries with their times. Never: policy, `Reports`, a retry of a
message that may have been taken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, cast

import msgspec

from gateway.smpp import pdu, tlv
from gateway.smpp.status import words
from providers.smpp.bind import VERSIONS, tls
from providers.smpp.settings import SmppSettings

KINDS: Final = {
    "transceiver": pdu.BIND_TRANSCEIVER,
    "transmitter": pdu.BIND_TRANSMITTER,
    "receiver": pdu.BIND_RECEIVER,
}
SILENCE: Final = -1
"""The status of a request that was not answered."""
_PATIENCE_S: Final = 15.0
"""How long to try again at a carrier that was there a moment ago."""
_WHIMS: Final = frozenset({SILENCE, 0x05, 0x08, 0x14, 0x58})
"""Answers to a bind that may be another in a moment: our last session has not ended there yet, say."""


def said(status: int) -> str:
    """An answer's status in words."""
    return "no answer" if status == SILENCE else words(status)


class Answer(msgspec.Struct, frozen=True):
    """What came of a request, `took_s` after it was written."""

    status: int
    body: bytes = b""
    took_s: float = 0.0

    @property
    def message_id(self) -> str:
        """That of a submit."""
        return pdu.decode_message_id(self.body, 0, len(self.body))


class Delivered(msgspec.Struct, frozen=True):
    """A deliver_sm or data_sm, and when it came (seconds since the epoch)."""

    command: int
    message: pdu.ShortMessage
    at: float


class Line(asyncio.Protocol):
    """One connection. Requests of the SMSC are answered at once."""

    def __init__(self, delivered: list[Delivered]) -> None:
        self.delivered = delivered
        self.ended = asyncio.get_running_loop().create_future()
        self._sequence = 0
        self._rest = b""
        self._pending: dict[int, tuple[float, asyncio.Future[Answer]]] = {}
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        for _, answer in self._pending.values():
            if not answer.done():
                answer.set_result(Answer(SILENCE))
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        pdus, used, absurd = pdu.split(data)
        self._rest = data[used:]
        for command, status, sequence, begin, end in pdus:
            if command & pdu.ANSWER:
                self._answered(sequence, status, data[begin:end])
            else:
                self._asked(command, sequence, data[begin:end])
        if absurd is not None:
            self.close()

    def send(self, command: int, body: bytes = b"") -> asyncio.Future[Answer]:
        """Write a request; its answer, or silence when the connection ends."""
        self._sequence += 1
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[self._sequence] = (time.monotonic(), answer)
        if self.ended.done():
            answer.set_result(Answer(SILENCE))
        else:
            self._transport.write(pdu.encode(command, self._sequence, pdu.OK, body))
        return answer

    async def ask(self, command: int, body: bytes = b"", timeout_s: float = 10.0) -> Answer:
        """The same, waited for."""
        answer = self.send(command, body)
        await asyncio.wait((answer,), timeout=timeout_s)
        return answer.result() if answer.done() else Answer(SILENCE)

    def close(self) -> None:
        """At once."""
        self._transport.abort()

    async def leave(self) -> None:
        """In order, within a second."""
        if not self.ended.done():
            await self.ask(pdu.UNBIND, timeout_s=1.0)
        self.close()
        await self.ended

    def _answered(self, sequence: int, status: int, body: bytes) -> None:
        began, answer = self._pending.pop(sequence, (0.0, None))
        if answer is not None and not answer.done():
            answer.set_result(Answer(status, body, time.monotonic() - began))

    def _asked(self, command: int, sequence: int, body: bytes) -> None:
        answer = pdu.encode(command | pdu.ANSWER, sequence)
        if command in (pdu.DELIVER_SM, pdu.DATA_SM):
            answer = pdu.encode_deliver_answers([(command, sequence, None)])
            decode = pdu.decode_short_message if command == pdu.DELIVER_SM else pdu.decode_data_sm
            try:
                self.delivered.append(Delivered(command, decode(body, 0, len(body)), time.time()))
            except pdu.BodyError:
                pass  # counted by the gateway when it is in earnest; here it says nothing
        elif command not in (pdu.ENQUIRE_LINK, pdu.UNBIND):
            answer = pdu.encode(pdu.GENERIC_NACK, sequence, 0x03)
        if not self.ended.done() and command not in (pdu.ALERT_NOTIFICATION, pdu.OUTBIND):
            self._transport.write(answer)


class ProbeError(Exception):
    """The carrier cannot be reached or bound to; the text says why."""


class Probe:
    """Sessions with one carrier. Life: `try_bind` any number of times, `open`, requests, `close`."""

    def __init__(self, settings: SmppSettings) -> None:
        self.settings = settings
        self.delivered: list[Delivered] = []
        self.peer_version = SILENCE
        self.reconnected = 0
        self._was_there = False
        self._kinds: Sequence[str] = ()
        self._lines: list[Line] = []

    async def try_bind(self, kind: str) -> int:
        """The status of a bind that is ended again. Raises ProbeError."""
        line, status = await self._bind_patiently(kind)
        if status == 0:
            await line.leave()
        else:
            line.close()
        return status

    async def open(self, kinds: Sequence[str]) -> None:
        """Bind as all of these, the one that submits first. Raises ProbeError."""
        self._kinds = kinds
        for kind in kinds:
            line, status = await self._bind_patiently(kind)
            if status:
                line.close()
                raise ProbeError(f"the carrier refuses a {kind} now: {said(status)}")
            self._lines.append(line)

    async def _bind_patiently(self, kind: str) -> tuple[Line, int]:
        """Again for a while where a carrier that was there is not, or does not answer."""
        until, pause_s = time.monotonic() + _PATIENCE_S, 0.5
        while True:
            try:
                line, status = await self._bind(kind)
            except ProbeError:
                if not self._was_there or time.monotonic() + pause_s > until:
                    raise
            else:
                self._was_there |= status != SILENCE
                if status not in _WHIMS or time.monotonic() + pause_s > until:
                    return line, status
                line.close()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)

    async def line(self) -> Line:
        """The one that submits, connected again when the carrier has ended it. Raises ProbeError."""
        if any(line.ended.done() for line in self._lines):
            await self.close()
            self.reconnected += 1
            await asyncio.sleep(min(2.0, 0.5 * self.reconnected))
            await self.open(self._kinds)
        return self._lines[0]

    async def close(self) -> None:
        """End every session."""
        for line in self._lines:
            await line.leave()
        self._lines.clear()

    async def _bind(self, kind: str) -> tuple[Line, int]:
        c, loop = self.settings, asyncio.get_running_loop()
        line = Line(self.delivered)
        name = (c.tls_server_name or None) if c.tls else None
        try:
            async with asyncio.timeout(c.link_timeout_s):
                await loop.create_connection(lambda: line, c.host, c.port, ssl=tls(c), server_hostname=name)
        except (OSError, TimeoutError) as problem:
            raise ProbeError(f"cannot connect to {c.host}:{c.port}: {problem or 'no answer in time'}") from problem
        request = pdu.Bind(
            c.system_id.encode(), c.password.reveal().encode(), c.system_type.encode(), VERSIONS[c.interface_version],
            c.address_ton, c.address_npi, c.address_range.encode(),
        )  # fmt: skip
        body = pdu.encode_bind(KINDS[kind], 1, request)[pdu.HEADER_BYTES :]
        answer = await line.ask(KINDS[kind], body, c.link_timeout_s)
        tail = pdu.decode_bind_answer(answer.body, 0, len(answer.body))[1]
        if answer.status == 0:
            self.peer_version = tlv.number(tlv.decode(tail).get(tlv.SC_INTERFACE_VERSION))
        return line, answer.status
