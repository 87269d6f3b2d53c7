"""The Provider for carriers that are reached by HTTP: requests over a few connections, one outcome for each message.

In: batches of submissions. Out: outcomes and states through `Reports`. Never: policy, and never the same request twice:
what may have been taken is `uncertain`, and a late answer settles it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from gateway.provider import (
    RULES,
    Balance,
    Kind,
    Link,
    Outcome,
    Reason,
    Receipt,
    Reports,
    Sent,
    Submission,
    deferred,
    refused,
    uncertain,
)
from gateway.smpp.pace import Pace
from gateway.text import parts
from providers._web.answers import AnswerReader
from providers._web.callbacks import ReceiptMap
from providers._web.errands import ErrandMaker
from providers._web.line import BIND, Line
from providers._web.placeholders import Context, Facts
from providers._web.polling import Poller, Translate
from providers._web.purse import Purse
from providers._web.requests import RequestMaker
from providers._web.settings import WebSettings
from providers._web.spots import Answer

Outcomes = list[tuple[Submission, Outcome]]

_UNAUTHORIZED_IN_A_ROW = 3
_UDH_BYTES = 6


class WebCarrier:
    """One account. `on_outcomes` is never called from inside `submit`."""

    def __init__(
        self,
        carrier: str,
        settings: WebSettings,
        maker: RequestMaker,
        reader: AnswerReader,
        reports: Reports,
        translate: Translate | None = None,
    ) -> None:
        """`translate`: what the carrier answers to questions, as the settings' places expect it."""
        self.carrier = carrier
        self.whole = settings.long_messages == "whole"
        self._settings, self._maker, self._reader = settings, maker, reader
        self._reports = reports
        self._wake: Callable[[], None] = _nothing
        check = None
        if settings.check is not None:
            checks = ErrandMaker(maker.head, settings.check, "check")
            check = lambda: checks.make(reports.clock_ms())  # noqa: E731
        self._line = Line(carrier, settings, maker.target, check, self._changed, self._pump, reports.clock_ms)
        self._poller = self._purse = None
        if settings.ask is not None:
            asks = ErrandMaker(maker.head, settings.ask, "ask", asks=True)
            receipts = ReceiptMap(settings.ask.receipts, "ask.receipts")
            self._poller = Poller(
                carrier,
                settings.ask,
                asks,
                receipts,
                translate,
                self._line.visit,
                reports.on_receipts,
                reports.clock_ms,
                reports.polls,
            )
        if settings.balance is not None:
            balances = ErrandMaker(maker.head, settings.balance, "balance")
            self._purse = Purse(carrier, settings.balance, balances, self._line.visit, reports.clock_ms)
        self._tasks: list[asyncio.Task[None]] = []
        self.can_query, self.can_cancel = self._poller is not None, False
        self._pace = Pace(settings.window * maker.size)
        self._backlog: deque[Submission] = deque()  # taken from the connector, not on the wire yet
        self._flying: set[_Flying] = set()
        self._in_flight = 0  # messages
        self._numbers = itertools.count(1)
        self._refusals = 0
        self._ready: Outcomes = []  # reported when the loop turns
        self._resume: asyncio.TimerHandle | None = None
        self._closing = False
        self._quiet = asyncio.Event()

    def __repr__(self) -> str:
        return f"<HTTP carrier {self.carrier!r} at {self._maker.target.host}>"

    def split(self, text: str, encoding: str) -> Sequence[str]:
        """The parts' texts, as a phone counts them."""
        return parts.split(text, encoding, _UDH_BYTES)

    async def start(self) -> None:
        """Begin to connect."""
        self._line.start()
        for errands, name in ((self._poller, "questions to"), (self._purse, "balance at")):
            if errands is not None:
                self._tasks.append(asyncio.create_task(errands.run(), name=f"{name} {self.carrier}"))

    @property
    def balance(self) -> Balance | None:
        """What the account has left, as last read."""
        return self._purse.balance if self._purse is not None else None

    async def query(self, sent: Sent) -> Receipt | None:
        """What became of it; None: the carrier did not say."""
        if self._poller is None or self._closing or not self._tasks:
            return None
        return await self._poller.ask(sent)

    async def cancel(self, sent: Sent) -> Outcome:
        """Nothing that is reached by HTTP can be taken back yet."""
        return refused(Reason.UNSUPPORTED)

    @property
    def room(self) -> int:
        """What the window leaves, less what waits for it."""
        if self._closing or not self._line.up or self._pause_s() > 0:
            return 0 - len(self._backlog)
        return self._pace.allowed - self._in_flight - len(self._backlog)

    @property
    def live(self) -> bool:
        """Whether the carrier is there."""
        return self._line.up

    def links(self) -> Sequence[Link]:
        """One link, however many connections."""
        return [self._line.link(self._in_flight, self._pace.allowed)]

    def on_room(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever room grew."""
        self._wake = wake

    def submit(self, batch: Sequence[Submission]) -> None:
        """Send what the window takes; the rest goes as answers come, or comes back when nothing can be sent."""
        if self._closing or not self._line.up:
            self._report_soon((s, deferred(Reason.NOT_BOUND)) for s in batch)
            return
        self._backlog.extend(batch)
        self._push()

    async def close(self, timeout_s: float) -> None:
        """Take no more, wait for answers, report the rest uncertain, close every connection."""
        self._closing = True
        until = asyncio.get_running_loop().time() + timeout_s
        self._line.leave()
        self._give_back(deferred(Reason.NOT_BOUND))
        try:
            async with asyncio.timeout_at(until):
                while any(flight.open for flight in self._flying):
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            pass
        for flight in list(self._flying):
            flight.broken("we closed the connection")
        if self._resume is not None:
            self._resume.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._poller is not None:
            self._poller.close()
        await self._line.close()
        self._flush()

    # Sending

    def _pause_s(self) -> float:
        return self._pace.paused_until - asyncio.get_running_loop().time()

    def _pump(self) -> None:
        """A connection is free, or there is one more or less."""
        if not self._closing:
            self._push()
            self._wake()

    def _push(self) -> None:
        """Put what waits on free connections, make connections for the rest, give back what cannot go."""
        if not self._line.up:
            self._give_back(deferred(Reason.NOT_BOUND))
        elif (pause_s := self._pause_s()) > 0:
            self._give_back(deferred(Reason.THROTTLED, pause_s))
        else:
            self._send()
            waiting = min(len(self._backlog), max(0, self._pace.allowed - self._in_flight))
            wanted = -(-waiting // self._maker.size) - self._line.dialing
            for _ in range(min(wanted, self._settings.window - self._line.connections)):
                self._line.dial()

    def _send(self) -> None:
        while self._backlog and self._in_flight < self._pace.allowed:
            connection = self._line.take()
            if connection is None:
                return
            count = min(self._maker.size, self._pace.allowed - self._in_flight, len(self._backlog))
            flight = self._make([self._backlog.popleft() for _ in range(count)])
            if flight is None:
                self._line.put_back(connection)
                continue
            self._flying.add(flight)
            self._in_flight += len(flight.batch)
            connection.send(flight.request, flight)
            flight.watch(self._settings.answer_timeout_s, self._settings.late_answer_s, connection.close)

    def _make(self, batch: Sequence[Submission]) -> _Flying | None:
        """The request, without those that cannot be said; None when nothing is left."""
        now_ms, context = self._reports.clock_ms(), self._maker.context
        facts = [Facts(s, now_ms, context, index) for index, s in enumerate(batch)]
        try:
            request = self._maker.make(facts)
        except UnicodeEncodeError:
            if len(batch) == 1:
                self._report_soon([(batch[0], refused(Reason.UNSUPPORTED, "alphabet"))])
                return None
            good = [s for s in batch if self._sayable(s, now_ms, context)]
            return self._make(good) if good else None
        for s in batch:
            s.sent_ms, s.bind = now_ms, BIND
        return _Flying(self, list(batch), [f.reference for f in facts], request, next(self._numbers))

    def _sayable(self, s: Submission, now_ms: int, context: Context) -> bool:
        try:
            self._maker.make([Facts(s, now_ms, context)])
        except UnicodeEncodeError:
            self._report_soon([(s, refused(Reason.UNSUPPORTED, "alphabet"))])
            return False
        return True

    def _give_back(self, outcome: Outcome) -> None:
        if self._backlog:
            self._report_soon((s, outcome) for s in self._backlog)
            self._backlog.clear()

    # What comes back

    def answered(self, flight: _Flying, answer: Answer) -> None:
        """An answer, in time or late. Late ones settle what was uncertain, unless they are uncertain themselves."""
        outcomes = self._reader.read(answer, flight.references)
        if flight.open:
            self._report_soon(zip(flight.batch, outcomes, strict=True))
        else:
            healing = (Kind.ACCEPTED, Kind.REFUSED)
            self._report_soon((s, o) for s, o in zip(flight.batch, outcomes, strict=True) if o.kind in healing)
        self._learn(flight, outcomes)
        self.landed(flight)
        if self._poller is not None:
            self._poller.watch(
                [
                    Sent(o.carrier_message_id, s.sender, s.to, BIND)
                    for s, o in zip(flight.batch, outcomes, strict=True)
                    if o.carrier_message_id
                ]
            )

    def landed(self, flight: _Flying) -> None:
        """Nothing more will come for this request."""
        if flight in self._flying:
            self._flying.discard(flight)
            self._in_flight -= len(flight.batch)
            self._quiet.set()

    def doubt(self, flight: _Flying, reason: Reason) -> None:
        """No answer in time, or none at all."""
        self._report_soon((s, uncertain(reason)) for s in flight.batch)
        self._quiet.set()

    def _learn(self, flight: _Flying, outcomes: Sequence[Outcome]) -> None:
        """Slow down, speed up, or stop for refused credentials."""
        now, taken, after_s = asyncio.get_running_loop().time(), 0, 0.0
        for outcome in outcomes:
            taken += outcome.kind is Kind.ACCEPTED
            if outcome.kind is Kind.DEFERRED and outcome.reason is not None:
                after_s = max(after_s, outcome.after_s)
                if outcome.after_s or RULES[outcome.reason].slow:
                    self._slow(flight, outcome, now)
        if taken:
            self._pace.accepted(taken)
            self._line.proved()
            self._refusals = 0
        elif all(outcome.reason is Reason.UNAUTHORIZED for outcome in outcomes):
            self._refusals += 1
            if self._refusals >= _UNAUTHORIZED_IN_A_ROW:
                self._refusals = 0
                self._line.fall("refused", f"the carrier refused our credentials ({outcomes[0].code})")
        if after_s:
            self._pace.paused_until = max(self._pace.paused_until, now + after_s)
        if self._pace.paused_until > now and not self._closing:
            if self._resume is not None:
                self._resume.cancel()
            self._resume = asyncio.get_running_loop().call_at(self._pace.paused_until, self._pump)

    def _slow(self, flight: _Flying, outcome: Outcome, now: float) -> None:
        following = next(self._numbers)
        if outcome.reason is Reason.QUEUE_FULL:
            self._pace.queue_full(flight.number, following, now)
        else:
            self._pace.throttled(flight.number, following, now)

    # Reports

    def _changed(self, line: Line) -> None:
        self._reports.on_state(line.link(self._in_flight, self._pace.allowed))
        if not line.up:
            self._pump()

    def _report_soon(self, outcomes: Iterable[tuple[Submission, Outcome]]) -> None:
        if not self._ready:
            asyncio.get_running_loop().call_soon(self._flush)
        self._ready.extend(outcomes)

    def _flush(self) -> None:
        if self._ready:
            ready, self._ready = self._ready, []
            self._reports.on_outcomes(ready)


class _Flying:
    """One request on the wire with the messages that it carries. `open`: their outcomes are not reported yet."""

    __slots__ = ("_carrier", "_timer", "batch", "number", "open", "references", "request")

    def __init__(
        self, carrier: WebCarrier, batch: list[Submission], references: list[str], request: bytes, number: int
    ) -> None:
        self._carrier, self.batch, self.references = carrier, batch, references
        self.request, self.number, self.open = request, number, True
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, timeout_s: float, late_s: float, give_up: Callable[[], None]) -> None:
        """In doubt after `timeout_s`, given up `late_s` later."""
        self.request = b""
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._overdue, late_s, give_up)

    def _overdue(self, late_s: float, give_up: Callable[[], None]) -> None:
        if self.open:
            self._carrier.doubt(self, Reason.NO_ANSWER)
            self.open = False
        self._timer = asyncio.get_running_loop().call_later(late_s, give_up)

    def answered(self, answer: Answer) -> None:
        """The connection has an answer."""
        self._stop()
        self._carrier.answered(self, answer)
        self.open = False

    def broken(self, why: str) -> None:
        """The connection is gone."""
        self._stop()
        if self.open:
            self._carrier.doubt(self, Reason.DISCONNECTED)
            self.open = False
        self._carrier.landed(self)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _nothing() -> None:
    pass
