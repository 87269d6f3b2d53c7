"""The contract suite's SMPP carrier: a small SMSC on a real socket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

from aiosmpplib import SmppCommandStatus as Status

from gateway.provider import Provider, Reports
from gateway.smpp import pdu, tlv
from gateway.text import gsm7
from providers import smpp
from tests.contract.carrier import Answer, Arrived, Delivery, Watch

STATS = {"delivered": "DELIVRD", "undeliverable": "UNDELIV", "expired": "EXPIRED", "enroute": "ENROUTE"}


class Peer(asyncio.Protocol):
    """One connection, from the SMSC's side."""

    def __init__(self, carrier: SmppCarrier) -> None:
        self.carrier = carrier
        self.buffer = b""
        self.mode = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.carrier.peers.append(self)
        if self.carrier.away:  # it was accepted before, and made only now
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.carrier.peers.remove(self)
        self.carrier.unanswered = {a for a in self.carrier.unanswered if a.handle[0] is not self}
        self.carrier.watch.touch()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        pdus, used, bad = pdu.split(self.buffer)
        assert bad is None
        data, self.buffer = self.buffer, self.buffer[used:]
        for command, status, sequence, begin, end in pdus:
            if command == pdu.SUBMIT_SM:
                self.carrier.submitted(self, sequence, pdu.decode_short_message(data, begin, end))
            elif command in pdu.BINDS:
                self.bind(command, sequence, pdu.decode_bind(data, begin, end))
            elif command == pdu.DELIVER_SM_RESP:
                self.carrier.deliveries.pop((self, sequence)).kept.set_result(status == pdu.OK)
            elif command in (pdu.QUERY_SM, pdu.CANCEL_SM):
                self.asked(command, sequence, data[begin:end])
            elif command in (pdu.ENQUIRE_LINK, pdu.UNBIND):
                self.transport.write(pdu.encode(command | pdu.ANSWER, sequence))
                if command == pdu.UNBIND:
                    self.transport.close()
        self.carrier.watch.touch()

    def asked(self, command: int, sequence: int, body: bytes) -> None:
        """query_sm has the id first, cancel_sm after the service type. What is known is told; silence for `None`."""
        name = body.split(b"\0")[command == pdu.CANCEL_SM].decode()
        self.carrier.questions.append((command, name))
        state = self.carrier.known.get(name, -1)
        if state is None:
            return
        status = Status.ESME_RQUERYFAIL if command == pdu.QUERY_SM else Status.ESME_RCANCELFAIL
        if state < 0 or (command == pdu.CANCEL_SM and state != 1):
            self.transport.write(pdu.encode(command | pdu.ANSWER, sequence, status))
        else:
            answer = b"%b\0\0%c\0" % (name.encode(), state) if command == pdu.QUERY_SM else b""
            self.transport.write(pdu.encode(command | pdu.ANSWER, sequence, 0, answer))

    def bind(self, command: int, sequence: int, bind: pdu.Bind) -> None:
        self.carrier.logins += 1
        good = bind.system_id == b"account" and bind.password == self.carrier.secret.encode() and self.carrier.welcome
        status = Status.ESME_ROK if good else Status.ESME_RINVPASWD
        self.mode = command if good else 0
        self.transport.write(pdu.encode_bind_answer(command, sequence, b"smsc", status))


class SmppCarrier:
    """Fulfils `carrier.Carrier`; subclasses bind in other ways."""

    settings: ClassVar[dict[str, Any]] = {}
    binds = 1
    hears = True
    alphabet = "utf-8"

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.secret = "correct-horse-battery"  # longer than the standard's eight characters
        self.capacity = 10 * self.binds
        self.most = self.logins = 0
        self.script: Callable[[Arrived], Answer] = lambda arrived: Answer.ACCEPT
        self.arrived: list[Arrived] = []
        self.welcome, self.away = True, False
        self.peers: list[Peer] = []
        self.unanswered: set[Arrived] = set()
        self.deliveries: dict[tuple[Peer, int], Delivery] = {}
        self._server: asyncio.Server | None = None
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self.known: dict[str, int | None] = {}
        """message_state by id, for query_sm; 1 can be cancelled."""
        self.questions: list[tuple[int, str]] = []
        self._sequence = 0

    async def start(self) -> None:
        loop, self.away = asyncio.get_running_loop(), False
        self._server = await loop.create_server(
            lambda: Peer(self), "127.0.0.1", self.port, ssl=self.tls, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def leave(self) -> None:
        assert self._server is not None
        self.away = True
        self._server.close()
        for peer in self.peers:
            peer.transport.abort()
        await self.watch.until(lambda: not self.peers)

    def open(self, reports: Reports, **more: Any) -> Provider:
        return smpp.open("acme", self._table() | more, reports)

    def wrong_settings(self) -> Sequence[dict[str, Any]]:
        wrong = {"port": self.secret}, {"bind_mode": self.secret}, {"window": -1}, {self.secret[:7]: 1}, {"host": None}
        return [self._table() | more for more in wrong]

    def _table(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.port or 2775,
            "system_id": "account",
            "password": self.secret,
            "window": 10,
            "answer_timeout_s": 0.3,
            "reconnect_s": 0.02,
            "reconnect_max_s": 0.1,
            **self.settings,
        }

    def submitted(self, peer: Peer, sequence: int, m: pdu.ShortMessage) -> None:
        whole = m.message or tlv.decode(m.tlvs).get(tlv.MESSAGE_PAYLOAD, b"")
        header, payload = (whole[:6], whole[6:]) if m.esm_class & 0x40 else (b"", whole)
        arrived = Arrived(
            payload.decode("utf-16-be") if m.data_coding == 8 else gsm7.decode(payload),
            "+" + m.dest.decode(),
            m.source.decode(),
            header[5] if header else 1,
            header[4] if header else 1,
            f"id-{len(self.arrived) + 1}",
            (peer, sequence),
        )
        self.arrived.append(arrived)
        self.unanswered.add(arrived)
        self.most = max(self.most, len(self.unanswered))
        self.answer(arrived, self.script(arrived))

    def answer(self, arrived: Arrived, answer: Answer) -> None:
        peer, sequence = arrived.handle
        if answer is Answer.SILENCE:
            return
        self.unanswered.discard(arrived)
        if answer is Answer.ACCEPT:
            peer.transport.write(pdu.encode_submit_answers([(sequence, arrived.message_id.encode())]))
        else:
            status = Status.ESME_RTHROTTLED if answer is Answer.THROTTLE else Status.ESME_RINVDSTADR
            peer.transport.write(pdu.encode(pdu.SUBMIT_SM_RESP, sequence, status))

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        text = (
            f"id:{message_id} sub:001 dlvrd:001 submit date:2401010000 done date:2401010001 stat:{STATS[state]} err:000"
        )
        return self._deliver(
            pdu.ShortMessage(source=b"79161234567", dest=b"Sluice", esm_class=4, message=text.encode())
        )

    def send_inbound(self, text: str) -> Delivery:
        return self._deliver(pdu.ShortMessage(source=b"79161234567", dest=b"1234", message=gsm7.encode(text)))

    def _deliver(self, m: pdu.ShortMessage) -> Delivery:
        peer = next(p for p in self.peers if p.mode in (pdu.BIND_TRANSCEIVER, pdu.BIND_RECEIVER))
        self._sequence += 1
        delivery = self.deliveries[peer, self._sequence] = Delivery()
        peer.transport.write(pdu.encode(pdu.DELIVER_SM, self._sequence, pdu.OK, pdu.encode_short_message(m)))
        return delivery


class SmppPairCarrier(SmppCarrier):
    """Transmitter and receiver binds."""

    settings: ClassVar[dict[str, Any]] = {"bind_mode": "pair"}


class SmppPayloadCarrier(SmppCarrier):
    """Takes a message as a whole."""

    settings: ClassVar[dict[str, Any]] = {"concatenation": "message_payload"}


class SmppManyBindsCarrier(SmppCarrier):
    """Three transceivers that share the load."""

    settings: ClassVar[dict[str, Any]] = {"binds": 3}
    binds = 3
