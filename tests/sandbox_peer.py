"""A client of the sandbox SMSC without sockets, and a clock that the test moves."""

from __future__ import annotations

from typing import Any

from gateway.embedded.sandbox.profile import make_profile
from gateway.embedded.sandbox.session import Session
from gateway.embedded.sandbox.smsc import Smsc
from gateway.smpp import pdu

Answer = tuple[int, int, int, bytes]  # command, status, sequence, body


class Peer:
    """A client of one session: sends PDUs, reads what came back."""

    def __init__(self, smsc: Smsc) -> None:
        self.smsc = smsc
        self.closed = False
        self.writes: list[bytes] = []
        self.session = Session(smsc, self.writes.append, self._close)

    def _close(self) -> None:
        self.closed = True

    def send(self, *pdus: bytes) -> list[Answer]:
        """Send them in one read; what came back."""
        self.session.receive(b"".join(pdus))
        return self.read()

    def read(self) -> list[Answer]:
        self.smsc.flush()
        data = b"".join(self.writes)
        self.writes.clear()
        return [(c, status, sequence, data[b:e]) for c, status, sequence, b, e in pdu.split(data)[0]]

    def bind(self, password: bytes = b"secret", kind: int = pdu.BIND_TRANSCEIVER, system_id: bytes = b"me") -> int:
        """The status of the answer."""
        [(command, status, _, _)] = self.send(pdu.encode_bind(kind, 1, pdu.Bind(system_id, password)))
        assert command == kind | pdu.ANSWER
        return status

    def drop(self) -> None:
        """The connection breaks."""
        self.session.closed()
        self.smsc.flush()


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000 + self.now


def make(clock: Clock, keep: int = 100, **profile: Any) -> Smsc:
    profile_ = make_profile(profile)
    return Smsc({"me": "secret"}, profile_, keep=keep, monotonic=clock.monotonic, wall=clock.wall)


def submit(sequence: int, to: str = "79161234567", text: bytes = b"hello", **fields: Any) -> bytes:
    """A submit_sm that asks for a receipt."""
    given: dict[str, Any] = {
        "source_ton": 5,
        "source": b"Sluice",
        "dest_ton": 1,
        "dest_npi": 1,
        "registered_delivery": 1,
    }
    message = pdu.ShortMessage(**(given | fields), dest=to.encode(), message=text)
    return pdu.encode(pdu.SUBMIT_SM, sequence, pdu.OK, pdu.encode_short_message(message))


def acknowledge(answers: list[Answer], status: int = 0) -> list[bytes]:
    return [pdu.encode(pdu.DELIVER_SM_RESP, s, status, b"\0") for c, _, s, _ in answers if c == pdu.DELIVER_SM]


def texts(answers: list[Answer]) -> list[bytes]:
    """The receipts' texts."""
    return [pdu.decode_short_message(b, 0, len(b)).message for c, _, _, b in answers if c == pdu.DELIVER_SM]
