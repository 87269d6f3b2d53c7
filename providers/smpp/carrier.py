"""The Provider for SMPP: spreads submissions over a carrier's binds and keeps what the windows cannot take yet.

In: batches of submissions. Out: outcomes, receipts, inbound messages and states through `Reports`. Never: policy.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from gateway.provider import (
    Link,
    Outcome,
    Reason,
    Receipt,
    Reports,
    Sent,
    Submission,
    accepted,
    deferred,
    refused,
    uncertain,
)
from gateway.smpp import pdu, query, status
from gateway.text import parts
from providers.smpp import tables
from providers.smpp.bind import Bind
from providers.smpp.encoding import UDH_BYTES, Encoder, source_address
from providers.smpp.inbound import DeliveryReader
from providers.smpp.settings import LONGEST_PASSWORD, LONGEST_SYSTEM_ID, SmppSettings, read
from providers.smpp.wire import Line, Wire

log = logging.getLogger("smpp")

Outcomes = list[tuple[Submission, Outcome]]


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> SmppCarrier:
    """The provider of one SMPP account. Raises SettingsError."""
    return SmppCarrier(carrier, read(carrier, settings), reports)


class SmppCarrier:
    """One account with all its binds. `on_outcomes` is never called from inside `submit`."""

    def __init__(self, carrier: str, settings: SmppSettings, reports: Reports) -> None:
        self.carrier = carrier
        self._udh_bytes = UDH_BYTES[settings.concatenation]
        self._reports = reports
        self._wake: Callable[[], None] = _nothing
        self._reader = DeliveryReader(settings)
        self.whole = settings.concatenation == "message_payload"
        self.can_query, self.can_cancel = settings.query, settings.cancel
        self._settings = settings
        encoder, plain = Encoder(settings), Encoder(settings, optional=False)
        line = Line(carrier, encoder, self._reader, reports, self._room_grew, plain, tables.codes(settings.codes))
        pair = settings.bind_mode == "pair" or (settings.bind_mode == "auto" and settings.interface_version == "3.3")
        commands = {"tx": pdu.BIND_TRANSMITTER, "rx": pdu.BIND_RECEIVER} if pair else {"trx": pdu.BIND_TRANSCEIVER}
        self._binds = [
            Bind(f"{kind}{number}", command, settings, line, reports.on_state)
            for number in range(1, settings.binds + 1)
            for kind, command in commands.items()
        ]
        self._transmitters = [bind for bind in self._binds if bind.submits]
        self._backlog: deque[Submission] = deque()  # taken from the connector, not on any wire yet
        self._late: Outcomes = []  # outcomes known inside `submit`, reported right after it
        self._closing = False

    def __repr__(self) -> str:
        return f"<SMPP carrier {self.carrier!r}, {len(self._binds)} binds>"

    @property
    def warnings(self) -> Sequence[str]:
        """What may not work as it is meant, with the setting's name in backticks."""
        c = self._settings
        lengths = (
            ("system_id", len(c.system_id), LONGEST_SYSTEM_ID),
            ("password", len(c.password.reveal()), LONGEST_PASSWORD),
        )
        return [
            f"`{name}` is longer than the {longest} characters of the standard; it is sent whole, and the carrier must "
            "take it so"
            for name, length, longest in lengths
            if length > longest
        ]

    def split(self, text: str, encoding: str) -> Sequence[str]:
        """The parts' texts."""
        return parts.split(text, encoding, self._udh_bytes)

    async def start(self) -> None:
        """Begin to connect."""
        for warning in self.warnings:
            log.warning("carrier_settings", extra={"carrier": self.carrier, "warning": warning})
        for bind in self._binds:
            bind.start()

    @property
    def room(self) -> int:
        """The windows' room, less what waits for it: below zero when more waits than there is room."""
        if self._closing:
            return 0
        now = asyncio.get_running_loop().time()
        return sum(bind.room(now) for bind in self._transmitters) - len(self._backlog)

    @property
    def live(self) -> bool:
        """Whether a bind can submit."""
        return any(bind.live for bind in self._transmitters)

    def links(self) -> Sequence[Link]:
        """Every bind."""
        return [bind.link() for bind in self._binds]

    def on_room(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever room grew."""
        self._wake = wake

    def counts(self) -> Counter[str]:
        """What the carrier did that it should not do, and receipts' words that no table knows."""
        total: Counter[str] = Counter()
        for bind in self._binds:
            total.update(bind.counts)
        for word, count in self._reader.receipts.unmapped.items():
            total[f"receipt stat {word}"] += count
        return total

    def submit(self, batch: Sequence[Submission]) -> None:
        """Write what the windows take; the rest goes as they open, or comes back when nothing can be sent."""
        if self._closing or not self.live:
            self._report_soon(_unsent(batch, deferred(Reason.NOT_BOUND)))
        elif self._backlog:
            self._backlog.extend(batch)
            self._drain()
        else:
            sent = self._send(batch)
            if sent < len(batch):
                self._backlog.extend(islice(batch, sent, None))
                self._give_back()

    def prepare(self, batch: Sequence[Submission]) -> None:
        """Encode them for the binds as they are."""
        wire = self._wire("")
        if wire is not None:
            wire.prepare(batch)

    async def query(self, sent: Sent) -> Receipt | None:
        """Ask by query_sm."""
        source = source_address(self._settings, sent.sender)
        wire = self._wire(sent.bind)
        if isinstance(source, Outcome) or wire is None:
            return None
        body = pdu.encode_query(sent.carrier_message_id.encode("latin-1", "replace"), *source)
        answer = await wire.ask(pdu.QUERY_SM, body, self._settings.answer_timeout_s)
        if answer is None or answer.status:
            return None
        return query.answered(answer.body, sent.carrier_message_id, sent.to, sent.sender, wire.bind)

    async def cancel(self, sent: Sent) -> Outcome:
        """Take back by cancel_sm."""
        c = self._settings
        source = source_address(c, sent.sender)
        if isinstance(source, Outcome):
            return source
        wire = self._wire(sent.bind)
        if wire is None:
            return deferred(Reason.NOT_BOUND)
        message_id = sent.carrier_message_id.encode("latin-1", "replace")
        dest = (c.dest_ton, c.dest_npi, sent.to.removeprefix("+").encode("latin-1", "replace"))
        body = pdu.encode_cancel(c.service_type.encode(), message_id, source, dest)
        answer = await wire.ask(pdu.CANCEL_SM, body, c.answer_timeout_s)
        if answer is None:
            return uncertain(Reason.NO_ANSWER)
        if answer.status:
            return refused(Reason.CARRIER_ERROR, status.code(answer.status))
        return accepted(sent.carrier_message_id)

    def _wire(self, bind: str) -> Wire | None:
        """The connection of that bind, else any that may submit: ids belong to the account."""
        live = {b.name: b.wire for b in self._transmitters if b.live and b.wire is not None}
        return live.get(bind) or next(iter(live.values()), None)

    async def close(self, timeout_s: float) -> None:
        """Take no more, wait for answers, unbind, disconnect."""
        self._closing = True
        until = asyncio.get_running_loop().time() + timeout_s
        self._report_soon(_unsent(self._backlog, deferred(Reason.NOT_BOUND)))
        self._backlog.clear()
        await asyncio.gather(*(bind.close(until) for bind in self._binds))
        self._flush()

    def _send(self, batch: Sequence[Submission]) -> int:
        """Spread the batch over the binds by their room; how many of it were taken."""
        now = asyncio.get_running_loop().time()
        free = [(bind.room(now), bind) for bind in self._transmitters if bind.live]
        free.sort(key=lambda pair: pair[0])
        at, left = 0, len(batch)
        for others, (room, bind) in zip(range(len(free), 0, -1), free, strict=True):
            count = min(room, -(-left // others))  # the fullest first: what it cannot take goes to the emptier ones
            if count and bind.wire:
                self._report_soon(bind.wire.submit(batch[at : at + count]))
                at, left = at + count, left - count
        return at

    def _room_grew(self) -> None:
        """An answer, a bind, or the end of one."""
        if self._backlog:
            self._drain()
        self._wake()

    def _drain(self) -> None:
        now = asyncio.get_running_loop().time()
        room = sum(bind.room(now) for bind in self._transmitters)
        sent = self._send(list(islice(self._backlog, room)))
        for _ in range(sent):
            self._backlog.popleft()
        if self._backlog:
            self._give_back()

    def _give_back(self) -> None:
        """Keep no backlog behind a carrier that is away or says "slow down": others may take it."""
        now = asyncio.get_running_loop().time()
        pauses = [b.wire.session.pace.paused_until - now for b in self._transmitters if b.wire and b.live]
        if not pauses:
            outcome = deferred(Reason.NOT_BOUND)
        elif min(pauses) > 0:
            outcome = deferred(Reason.THROTTLED, min(pauses))
        else:
            return
        self._report_soon(_unsent(self._backlog, outcome))
        self._backlog.clear()

    def _report_soon(self, outcomes: Outcomes) -> None:
        if outcomes:
            if not self._late:
                asyncio.get_running_loop().call_soon(self._flush)
            self._late += outcomes

    def _flush(self) -> None:
        if self._late:
            late, self._late = self._late, []
            self._reports.on_outcomes(late)


def _unsent(batch: Iterable[Submission], outcome: Outcome) -> Outcomes:
    return [(s, outcome) for s in batch]


def _nothing() -> None:
    pass
