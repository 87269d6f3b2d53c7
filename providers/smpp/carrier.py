"""The Provider for SMPP: spreads submissions over a carrier's binds and keeps what the windows cannot take yet.

In: batches of submissions. Out: outcomes, receipts, inbound messages and states through `Reports`. Never: policy.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from gateway.provider import Link, Outcome, Reason, Reports, Submission, deferred
from gateway.smpp import pdu
from gateway.text import parts
from providers.smpp.bind import Bind
from providers.smpp.encoding import UDH_BYTES, Encoder
from providers.smpp.inbound import DeliveryReader
from providers.smpp.settings import SmppSettings, read
from providers.smpp.wire import Line

Outcomes = list[tuple[Submission, Outcome]]


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> SmppCarrier:
    """The provider of one SMPP account. Raises SettingsError."""
    return SmppCarrier(carrier, read(carrier, settings), reports)


class SmppCarrier:
    """One account with all its binds. `on_outcomes` is never called from inside `submit`."""

    whole = False

    def __init__(self, carrier: str, settings: SmppSettings, reports: Reports) -> None:
        self.carrier = carrier
        self._udh_bytes = UDH_BYTES[settings.concatenation]
        self._reports = reports
        self._wake: Callable[[], None] = _nothing
        self._reader = DeliveryReader(settings)
        line = Line(carrier, Encoder(settings), self._reader, reports, self._room_grew)
        commands = (
            {"trx": pdu.BIND_TRANSCEIVER}
            if settings.bind_mode == "transceiver"
            else {"tx": pdu.BIND_TRANSMITTER, "rx": pdu.BIND_RECEIVER}
        )
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

    def split(self, text: str, encoding: str) -> Sequence[str]:
        """The parts' texts."""
        return parts.split(text, encoding, self._udh_bytes)

    async def start(self) -> None:
        """Begin to connect."""
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
