"""One connection to the sandbox SMSC, without its socket: parses many PDUs a read, answers them in one write.

In: bytes of a read. Out: bytes for `write`, gathered until `flush`. Never raises for what a peer sent; a length that
cannot be ends the connection, because nothing after it can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct

from gateway.embedded.sandbox import binding, trouble, wire
from gateway.embedded.sandbox.account import Account
from gateway.embedded.sandbox.garbage import JunkBody, make
from gateway.embedded.sandbox.intake import take_submits
from gateway.embedded.sandbox.single import Spot
from gateway.embedded.sandbox.smsc import Smsc
from gateway.smpp import pdu

REFUSED_AGAIN_S = 5.0  # a receipt that was answered with an error is sent again after this
HEADER = Struct(">IIII")


class Session:
    """Made when a connection opens; `closed` is called once it ended."""

    def __init__(
        self,
        smsc: Smsc,
        write: Callable[[bytes], None],
        close: Callable[[], None],
        reset: Callable[[], None] | None = None,
    ) -> None:
        """`reset` throws away what was to be written; without it `close` does."""
        self.account: Account | None = None
        self.kind = ""
        self.paused = False
        self.unanswered = 0
        self.submits = 0
        self._smsc = smsc
        self._write = write
        self._close = close
        self._reset = reset or close
        self._mute = False
        self._out: list[bytes] = []
        self._rest = b""
        self._sequence = 0
        self._awaiting: dict[int, bytes] = {}
        self._ending = False
        smsc.sessions.add(self)
        smsc.tally.counts.connections += 1

    @property
    def room(self) -> int:
        """How many more deliver_sm may be unacknowledged on this bind."""
        return (
            0 if self.paused or self._ending or self._mute else self._smsc.profile.receipt_window - len(self._awaiting)
        )

    @property
    def unacknowledged(self) -> int:
        """deliver_sm that wait for their answer."""
        return len(self._awaiting)

    def receive(self, data: bytes, waited_s: float = 0.0) -> None:
        """Take the bytes of one read, which came in `waited_s` ago."""
        if self._mute:
            return
        arrived = self._smsc.monotonic() - waited_s
        if self._rest:
            data = self._rest + data
        pdus, taken, absurd = pdu.split(data)
        self._rest = data[taken:]
        submits: list[Spot] = []
        counts = self._smsc.tally.counts
        acknowledged = counts.receipts_acked
        for command, status, sequence, begin, end in pdus:
            if command == pdu.SUBMIT_SM:
                submits.append((sequence, begin, end))
            elif command in (pdu.DELIVER_SM_RESP, pdu.DATA_SM_RESP):
                self._acknowledge(sequence, status)
            elif not self._ending:
                take_submits(self._smsc, self, data, submits, arrived)
                submits.clear()
                self._take_other(command, sequence, data, begin, end)
        if not self._ending:
            take_submits(self._smsc, self, data, submits, arrived)
            if absurd is not None:
                self._refuse_length()
        if counts.receipts_acked != acknowledged:
            counts.last_receipt_acked = self._smsc.wall()
        if self.account is not None and self.account.waiting:
            self.account.pump()

    def begin(self) -> None:
        """From here on the profile's `links` hold."""
        if not self._smsc.profile.links.are_plain:
            trouble.begin(self._smsc, self)

    def send(self, data: bytes) -> None:
        """Bytes for the next flush."""
        self._out.append(data)
        self._smsc.dirty[self] = None

    def answer(self, answers: bytes, count: int) -> None:
        """The answers of `count` submits."""
        self.unanswered = max(0, self.unanswered - count)
        if not self._ending:
            self.send(answers)

    def deliver(self, bodies: Sequence[bytes]) -> None:
        """Send each as a deliver_sm and remember it until it is acknowledged."""
        pack, awaiting, out, sequence = HEADER.pack, self._awaiting, self._out, self._sequence
        for body in bodies:
            sequence = sequence % pdu.MAX_SEQUENCE + 1
            awaiting[sequence] = body
            command = pdu.DELIVER_SM if type(body) is not wire.DataBody else pdu.DATA_SM
            out.append(pack(16 + len(body), command, pdu.OK, sequence))
            out.append(body)
        self._sequence = sequence
        self._smsc.dirty[self] = None

    def enquire(self) -> None:
        """Ask the peer whether it is there."""
        self.send(pdu.encode(pdu.ENQUIRE_LINK, self._number()))

    def spoil(self, kind: str) -> None:
        """Send something that cannot be understood."""
        sequence = self._number()
        data, is_asked = make(kind, sequence, self._smsc.random)
        if is_asked:
            self._awaiting[sequence] = JunkBody(data)
        self._smsc.tally.counts.garbage_sent += 1
        self.send(data)

    def end(self, how: str) -> None:
        """`unbind` asks, `close` closes, `reset` throws away what was to be sent, `half_open` does nothing any more."""
        if how == "half_open":
            self._fall_silent()
        elif how == "unbind" and self.account is not None and not self._mute:
            self.send(pdu.encode(pdu.UNBIND, self._number()))
        elif how == "reset":
            self._reset()
        else:
            self._close()

    def _number(self) -> int:
        self._sequence = self._sequence % pdu.MAX_SEQUENCE + 1
        return self._sequence

    def _fall_silent(self) -> None:
        """The connection stays, and nothing goes either way."""
        self._mute = True
        self._out.clear()
        self._part()

    def flush(self) -> None:
        """Write what there is, in one piece."""
        if self._out and not self._mute:
            data = b"".join(self._out)
            self._out.clear()
            self._write(data)
        if self._ending:
            self._close()

    def closed(self) -> None:
        """The connection is gone: what was not acknowledged goes to the account's next bind."""
        self._ending = True
        self._smsc.sessions.discard(self)
        self._smsc.dirty.pop(self, None)
        self._part()

    def _part(self) -> None:
        """Leave the account's binds."""
        if self.account is not None:
            if self in self.account.receivers:
                self.account.receivers.remove(self)
            self.account.give_back(body for body in self._awaiting.values() if type(body) is not JunkBody)
            self._awaiting.clear()
            self.account.pump()

    def _end(self) -> None:
        self._ending = True
        self._smsc.dirty[self] = None

    def _acknowledge(self, sequence: int, status: int) -> None:
        body = self._awaiting.pop(sequence, None)
        counts = self._smsc.tally.counts
        if type(body) is JunkBody:
            return
        if body is None or self.account is None:
            counts.malformed += 1
        elif status:
            counts.receipts_refused += 1
            self._smsc.send_later(self._smsc.monotonic() + REFUSED_AGAIN_S, self.account, None, [body])
        elif type(body) is wire.InboundBody:
            counts.inbound_acked += 1
        else:
            counts.receipts_acked += 1

    def _take_other(self, command: int, sequence: int, data: bytes, begin: int, end: int) -> None:
        counts = self._smsc.tally.counts
        if command in binding.KINDS:
            self._bind(command, sequence, data, begin, end)
        elif command == pdu.ENQUIRE_LINK:
            counts.enquire_links += 1
            if self._smsc.profile.links.enquire_link == "answer":
                self.send(pdu.encode(pdu.ENQUIRE_LINK_RESP, sequence))
        elif command == pdu.UNBIND:
            counts.unbinds += 1
            self.send(pdu.encode(pdu.UNBIND_RESP, sequence))
            self._end()
        elif command == pdu.UNBIND_RESP:
            self._end()
        elif command == pdu.QUERY_SM and self._smsc.profile.query and self.account is not None:
            status, body = self._smsc.taken.query(data[begin:end], self._smsc.wall())
            self.send(pdu.encode(pdu.QUERY_SM_RESP, sequence, status, body))
        elif command == pdu.CANCEL_SM and self._smsc.profile.cancel and self.account is not None:
            status = self._smsc.taken.cancel(data[begin:end], self._smsc.wall())
            self.send(pdu.encode(pdu.CANCEL_SM_RESP, sequence, status))
        elif command == pdu.GENERIC_NACK:
            counts.nacks += 1
        elif not command & pdu.ANSWER:
            counts.malformed += 1
            self.send(pdu.encode(pdu.GENERIC_NACK, sequence, wire.BAD_COMMAND))

    def _bind(self, command: int, sequence: int, data: bytes, begin: int, end: int) -> None:
        status, account = binding.examine(self._smsc, self.account, command, data, begin, end)
        self.send(binding.answer(self._smsc, command, sequence, status))
        counts = self._smsc.tally.counts
        if account is None:
            counts.binds_refused += 1
            if self.account is None:
                self._end()
            return
        counts.binds += 1
        self.account = account
        self.kind = binding.KINDS[command]
        if command != pdu.BIND_TRANSMITTER:
            account.receivers.append(self)
        self.begin()

    def _refuse_length(self) -> None:
        self._smsc.tally.counts.malformed += 1
        self.send(pdu.encode(pdu.GENERIC_NACK, 0, wire.BAD_LENGTH))
        self._end()
