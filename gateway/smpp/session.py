"""An ESME's session without I/O: bytes and the time in, bytes to write and what happened out.

It knows which submission each sequence number stands for, from before its bytes are handed out; its window and pace;
what has waited too long; and whether the link and the submits still move. Never: sockets, clocks, text, receipts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, TypeVar

import msgspec

from gateway.provider import Kind, Outcome, Reason, uncertain
from gateway.smpp import pdu, tlv
from gateway.smpp.pace import Pace
from gateway.smpp.status import STANDARD, Codes

T = TypeVar("T")

_ACCEPTED: Final = Kind.ACCEPTED
_THROTTLED: Final = Reason.THROTTLED
_QUEUE_FULL: Final = Reason.QUEUE_FULL
_NOT_BOUND: Final = Reason.NOT_BOUND
_FORGOTTEN: Final = 3  # so many such answers in a row, and no other between them
_LATE_KEPT: Final = 50_000
_ASKED_KEPT: Final = 1_000
_INVALID_COMMAND: Final = 0x03
_INVALID_LENGTH: Final = 0x02


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session may have in flight and how long it waits, in seconds."""

    window: int = 100
    answer_timeout_s: float = 30.0
    stall_s: float = 60.0  # submits wait and not one was answered for so long: the link is replaced
    enquire_link_s: float = 30.0  # silence after which the peer is asked whether it is there
    link_timeout_s: float = 10.0  # and how long it may take to say anything; also for bind
    max_pdu_bytes: int = pdu.MAX_PDU_BYTES


@dataclass(frozen=True, slots=True)
class Bound:
    """The peer accepted the bind."""


@dataclass(frozen=True, slots=True)
class BindRefused:
    """The peer refused the bind."""

    status: int


@dataclass(frozen=True, slots=True)
class PeerUnbinds:
    """The peer wants to end the session; it has its answer. What is in flight may still be answered."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The peer answers submits as if nobody were bound: it has lost the session. What is in flight may be answered."""


@dataclass(frozen=True, slots=True)
class Unbound:
    """The peer answered our unbind."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The link is of no use any more and must be closed."""

    why: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to what was asked (query_sm, cancel_sm); `status` is not 0 and `body` empty for a no."""

    sequence: int
    status: int
    body: bytes


Event = Bound | BindRefused | PeerUnbinds | Forgotten | Unbound | Broken | Answered
Delivery = tuple[int, int, pdu.ShortMessage | bytes]
"""Command (deliver_sm or data_sm), sequence, and the body; the whole PDU as bytes where the body cannot be read."""


class Fed(msgspec.Struct, Generic[T], gc=False):
    """What one read, or one look at the clock, brought."""

    answers: list[tuple[T, Outcome]] = []
    events: list[Event] = []
    output: list[bytes] = []  # to be written, joined
    _counts: Counter[str] = msgspec.field(default_factory=Counter)
    _found: list[tuple[int, int, bytes, int, int]] = []  # command, sequence, and where the body lies
    _read: list[Delivery] = []

    @property
    def deliveries(self) -> list[Delivery]:
        """What was delivered. Decoded when first asked for: what the answers make room for does not wait for that."""
        if self._found:
            self._read += [self._delivery(*found) for found in self._found]
            self._found.clear()
        return self._read

    def _delivery(self, command: int, sequence: int, data: bytes, begin: int, end: int) -> Delivery:
        decode = pdu.decode_short_message if command == pdu.DELIVER_SM else pdu.decode_data_sm
        try:
            return command, sequence, decode(data, begin, end)
        except pdu.BodyError:
            self._counts["damaged delivery"] += 1
            return command, sequence, data[begin - pdu.HEADER_BYTES : end]


class Session(Generic[T]):
    """One session from connect to close; `T` is whatever the owner wants back with an answer. Not to be used again.

    `state` is connecting, binding, bound, unbinding or closed. `counts` counts what carriers should not do.
    """

    def __init__(
        self,
        limits: Limits,
        now: float,
        counts: Counter[str] | None = None,
        first_sequence: int = 1,
        codes: Codes = STANDARD,
    ) -> None:
        self.state = "connecting"
        self.peer_version = -1
        """The SMSC's sc_interface_version, such as 0x34; -1: it told none."""
        self.pace = Pace(limits.window)
        self.counts = Counter() if counts is None else counts
        self._limits, self._codes = limits, codes
        self._asked: dict[int, int] = {}  # sequence → the command of its answer
        self._pending: dict[int, T] = {}
        self._flights: deque[tuple[float, int, int]] = deque()  # written at, first sequence, how many
        self._late: dict[int, T] = {}
        self._overdue = 0  # timed out since the last answer
        self._unbound = 0  # answers in a row that say we are not bound
        self._next = first_sequence
        self._rest = bytearray()
        self._wanted = 0  # length at which `_rest` holds a whole PDU
        self._heard_at = self._progress_at = self._bind_at = now
        self._enquired_at: float | None = None
        self._bind_sequence = self._unbind_sequence = 0

    @property
    def in_flight(self) -> int:
        """Submissions on the wire without an answer."""
        return len(self._pending)

    def room(self, now: float) -> int:
        """How many submissions may be written now."""
        if self.state != "bound" or now < self.pace.paused_until:
            return 0
        return max(0, self.pace.allowed - len(self._pending))

    @property
    def window_left(self) -> int:
        """How many fit the window whatever the pace."""
        return max(0, self._limits.window - len(self._pending)) if self.state == "bound" else 0

    @property
    def sweep_s(self) -> float:
        """How often to look at the clock."""
        shortest = min(self._limits.answer_timeout_s, self._limits.enquire_link_s, self._limits.link_timeout_s)
        return min(1.0, max(0.01, shortest / 10))

    # What the owner does

    def bind(self, command: int, bind: pdu.Bind, now: float) -> bytes:
        """The bind request; `command` is one of pdu.BINDS."""
        self.state = "binding"
        self._bind_at = self._heard_at = now
        self._bind_sequence = self._sequence()
        return pdu.encode_bind(command, self._bind_sequence, bind)

    def submit(self, contexts: Sequence[T], bodies: Sequence[bytes], now: float) -> bytes:
        """The write that submits the bodies; each context comes back with its answer, or uncertain."""
        if not self._pending and not self._overdue:
            self._progress_at = now
        room = pdu.MAX_SEQUENCE - self._next + 1
        if len(bodies) > room:
            first = self._flight(contexts[:room], bodies[:room], now)
            return first + self._flight(contexts[room:], bodies[room:], now)
        return self._flight(contexts, bodies, now)

    def _flight(self, contexts: Sequence[T], bodies: Sequence[bytes], now: float) -> bytes:
        first, count = self._next, len(bodies)
        self._next = 1 if first + count > pdu.MAX_SEQUENCE else first + count
        self._pending.update(zip(range(first, first + count), contexts, strict=True))
        self._flights.append((now, first, count))
        return pdu.encode_many(pdu.SUBMIT_SM, first, bodies)

    def acknowledge(self, deliveries: Sequence[Delivery], status: int = pdu.OK) -> bytes:
        """The write that answers deliveries once they are durable. Empty when the session is over."""
        if self.state == "closed":
            return b""
        return pdu.encode_deliver_answers(deliveries, status)

    def ask(self, command: int, body: bytes) -> tuple[int, bytes]:
        """A request beside the window (query_sm, cancel_sm): its sequence and the write; `Answered` follows or not."""
        sequence = self._sequence()
        if len(self._asked) >= _ASKED_KEPT:
            del self._asked[next(iter(self._asked))]
        self._asked[sequence] = command | pdu.ANSWER
        return sequence, pdu.encode(command, sequence, pdu.OK, body)

    def unbind(self) -> bytes:
        """The write that ends the session in order; `Unbound` follows."""
        self.state = "unbinding"
        self._unbind_sequence = self._sequence()
        return pdu.encode(pdu.UNBIND, self._unbind_sequence)

    def lose(self) -> list[tuple[T, Outcome]]:
        """The link is gone: all that is in flight is uncertain."""
        self.state = "closed"
        lost = [(context, uncertain(Reason.DISCONNECTED)) for context in self._pending.values()]
        self._pending.clear()
        self._flights.clear()
        self._late.clear()
        return lost

    # What the peer does

    def feed(self, data: bytes, now: float) -> Fed[T]:
        """Bytes as they were read. Whole PDUs take effect, the rest is kept until it is whole."""
        fed: Fed[T] = Fed(_counts=self.counts)
        if self.state == "closed":
            return fed
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return fed
            data = bytes(self._rest)
            self._rest.clear()
        if alike := self._take_alike(data, fed, now):
            data = data[alike:]
        pdus, used, bad_length = pdu.split(data, self._limits.max_pdu_bytes)
        if pdus or alike:
            self._heard_at, self._enquired_at = now, None
        if pdus:
            self._take(data, pdus, fed, now)
        if bad_length is not None:
            self._reject_length(bad_length, fed)
        elif used < len(data):
            self._rest += memoryview(data)[used:]
            self._wanted = len(self._rest) + pdu.missing(self._rest)
        return fed

    def _take_alike(self, data: bytes, fed: Fed[T], now: float) -> int:
        """The answers at the start that are as the first, which is how most come; how many bytes that was."""
        answers, pop, head = fed.answers, self._pending.pop, data[: pdu.ALIKE_BYTES]
        for found, sequence, body in pdu.alike(data):
            message_id = body[:-1]
            if found != head or not message_id.isalnum() or body[-1]:
                break
            context = pop(sequence, None)
            if context is None:
                break
            answers.append((context, Outcome(_ACCEPTED, message_id.decode())))
        if not answers:
            return 0
        self._accepted(len(answers), now)
        return len(answers) * (pdu.HEADER_BYTES + len(body))

    def _accepted(self, count: int, now: float) -> None:
        self.pace.accepted(count)
        self._unbound = 0
        self._progress_at, self._overdue = now, 0

    def _take(self, data: bytes, pdus: list[pdu.Pdu], fed: Fed[T], now: float) -> None:
        answers, pop = fed.answers, self._pending.pop
        taken = 0
        for command, code, sequence, begin, end in pdus:
            if command == pdu.SUBMIT_SM_RESP:
                if code == 0 and (context := pop(sequence, None)) is not None:
                    answers.append((context, Outcome(_ACCEPTED, pdu.decode_message_id(data, begin, end))))
                    taken += 1
                else:
                    self._answered(sequence, code, data[begin:end], fed, now)
            elif command == pdu.DELIVER_SM:
                fed._found.append((command, sequence, data, begin, end))
            else:
                self._cold(command, code, sequence, data[begin:end], fed, now)
        if taken:
            self._accepted(taken, now)
        elif answers:
            self._progress_at, self._overdue = now, 0

    def _answered(self, sequence: int, code: int, body: bytes, fed: Fed[T], now: float) -> None:
        """A no, an answer after the time-out, or an answer to nothing."""
        context = self._pending.pop(sequence, None)
        if context is None:
            context = self._late.pop(sequence, None)
            if context is None:
                self.counts["answer to nothing"] += 1
                return
            self.counts["late answer"] += 1
            message_id = pdu.decode_message_id(body, 0, len(body))
            fed.answers.append((context, self._codes.late_outcome(code) if code else Outcome(_ACCEPTED, message_id)))
            return
        outcome = self._codes.outcome(code)
        fed.answers.append((context, outcome))
        self._unbound = self._unbound + 1 if outcome.reason is _NOT_BOUND else 0
        if self._unbound == _FORGOTTEN and self.state == "bound":
            self.state = "unbinding"
            self.counts["session forgotten"] += 1
            fed.events.append(Forgotten())
        if outcome.reason is _THROTTLED:
            self.pace.throttled(sequence, self._next, now)
        elif outcome.reason is _QUEUE_FULL:
            self.pace.queue_full(sequence, self._next, now)

    def _cold(self, command: int, code: int, sequence: int, body: bytes, fed: Fed[T], now: float) -> None:
        """Everything that is not a submit's answer or a deliver_sm."""
        if command == pdu.ENQUIRE_LINK:
            fed.output.append(pdu.encode(pdu.ENQUIRE_LINK_RESP, sequence))
        elif command == pdu.DATA_SM:
            whole = pdu.encode(command, sequence, code, body)
            fed._found.append((command, sequence, whole, pdu.HEADER_BYTES, len(whole)))
        elif command in pdu.BIND_RESPS or (command == pdu.GENERIC_NACK and self.state == "binding"):
            self._bind_answered(command, code, sequence, body, fed)
        elif command == pdu.UNBIND:
            fed.output.append(pdu.encode(pdu.UNBIND_RESP, sequence))
            self.state = "unbinding"
            fed.events.append(PeerUnbinds())
        elif command == pdu.UNBIND_RESP or (command == pdu.GENERIC_NACK and sequence == self._unbind_sequence != 0):
            if self.state == "unbinding":
                fed.events.append(Unbound())
        elif self._asked.get(sequence) == command or (command == pdu.GENERIC_NACK and sequence in self._asked):
            del self._asked[sequence]
            refused = code or (_INVALID_COMMAND if command == pdu.GENERIC_NACK else 0)
            fed.events.append(Answered(sequence, refused, body))
        elif command == pdu.GENERIC_NACK:
            self.counts["generic_nack"] += 1
            self._answered(sequence, code or _INVALID_COMMAND, b"", fed, now)
        elif command & pdu.ANSWER:
            if command != pdu.ENQUIRE_LINK_RESP:
                self.counts["answer to nothing"] += 1
        elif command not in (pdu.ALERT_NOTIFICATION, pdu.OUTBIND):  # these two have no answer
            self.counts["unknown command"] += 1
            fed.output.append(pdu.encode(pdu.GENERIC_NACK, sequence, _INVALID_COMMAND))

    def _bind_answered(self, command: int, code: int, sequence: int, body: bytes, fed: Fed[T]) -> None:
        # A nack may come without the sequence: while binding it can mean nothing else.
        if self.state != "binding" or sequence not in (self._bind_sequence, 0):
            self.counts["answer to nothing"] += 1
        elif code or command == pdu.GENERIC_NACK:
            fed.events.append(BindRefused(code))
        else:
            self.state = "bound"
            tail = pdu.decode_bind_answer(body, 0, len(body))[1]
            self.peer_version = tlv.number(tlv.decode(tail).get(tlv.SC_INTERFACE_VERSION))
            fed.events.append(Bound())

    def _reject_length(self, length: int, fed: Fed[T]) -> None:
        self.counts["absurd command_length"] += 1
        fed.output.append(pdu.encode(pdu.GENERIC_NACK, 0, _INVALID_LENGTH))
        self._break(f"a PDU claims {length} bytes", fed)

    # What time does

    def sweep(self, now: float) -> Fed[T]:
        """Call it now and then: reports what has waited too long, asks a silent peer, ends a dead or stuck link."""
        fed: Fed[T] = Fed(_counts=self.counts)
        limits = self._limits
        if self.state == "closed":
            return fed
        self._time_out(now, fed)
        if self.state == "binding" and now - self._bind_at >= limits.link_timeout_s:
            self._break("the bind was not answered", fed)
        elif (self._pending or self._overdue) and now - self._progress_at >= limits.stall_s:
            self._break("submits are not answered", fed)
        elif self._enquired_at is not None:
            if now - self._enquired_at >= limits.link_timeout_s:
                self._break("enquire_link was not answered", fed)
        elif self.state == "bound" and now - self._heard_at >= limits.enquire_link_s:
            self._enquired_at = now
            fed.output.append(pdu.encode(pdu.ENQUIRE_LINK, self._sequence()))
        return fed

    def _time_out(self, now: float, fed: Fed[T]) -> None:
        while self._flights and now - self._flights[0][0] >= self._limits.answer_timeout_s:
            _, first, count = self._flights.popleft()
            for sequence in range(first, first + count):
                context = self._pending.pop(sequence, None)
                if context is not None:
                    self._late[sequence] = context
                    self._overdue += 1
                    fed.answers.append((context, uncertain()))
        if len(self._late) > _LATE_KEPT:
            for sequence in list(islice(self._late, len(self._late) - _LATE_KEPT)):
                del self._late[sequence]

    def _break(self, why: str, fed: Fed[T]) -> None:
        self.counts["broken link"] += 1
        fed.events.append(Broken(why))

    def _sequence(self) -> int:
        sequence = self._next
        self._next = 1 if sequence >= pdu.MAX_SEQUENCE else sequence + 1
        return sequence
