"""Mutated PDUs through our end of an SMPP link: `python -m tests.fuzz_smpp --pdus 1000000` (`make fuzz`).

In: PDUs as SMSCs send them, damaged in every way. Out: what was seen; an AssertionError where a PDU with a sound header
broke the link, went unanswered or raised, or where memory grew. Deterministic for a seed.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import psutil

from gateway.provider import Inbound, Receipt
from gateway.smpp import pdu, tlv
from gateway.smpp.ids import form, spellings
from gateway.smpp.session import Answered, Broken, Limits, PeerUnbinds, Session, Unbound
from providers.smpp.inbound import DeliveryReader
from providers.smpp.settings import read

SETTLED = 100_000
GROWTH_BYTES = 10 * 1024 * 1024
_ABSURD = 0.0005  # PDUs whose length is a lie
_UNBINDS = 0.0005
_REQUESTS = frozenset({pdu.DELIVER_SM, pdu.DATA_SM})
_TABLE = {"host": "smsc.example", "system_id": "a", "password": "p", "receipt_codes": {"001": "handset"}}


def message(text: bytes, **more: int | bytes) -> bytes:
    fields = {"source": b"79161234567", "source_ton": 1, "source_npi": 1, "dest": b"1234", "message": text}
    return pdu.encode_short_message(pdu.ShortMessage(**(fields | more)))  # type: ignore[arg-type]


RECEIPT = b"id:%b sub:001 dlvrd:001 submit date:2401010000 done date:2401010001 stat:%b err:000 text:hello"
TAIL = tlv.encode(tlv.RECEIPTED_MESSAGE_ID, b"0123456789\0") + tlv.encode(tlv.MESSAGE_STATE, b"\2")
NETWORK = tlv.encode(tlv.NETWORK_ERROR_CODE, b"\3\0\1")
CORPUS = (
    (pdu.SUBMIT_SM_RESP, b"0123456789\0"),
    (pdu.SUBMIT_SM_RESP, b""),
    (pdu.SUBMIT_SM_RESP, b"812FC7470000001B\0"),
    (pdu.DELIVER_SM, message(RECEIPT % (b"0123456789", b"DELIVRD"), esm_class=4)),
    (pdu.DELIVER_SM, message(RECEIPT % (b"1", b"UNDELIV"), esm_class=0x44, tlvs=TAIL + NETWORK)),
    (pdu.DELIVER_SM, message(b"", esm_class=4, tlvs=TAIL)),
    (pdu.DELIVER_SM, message(b"Yes, please")),
    (pdu.DELIVER_SM, message("Да 🎈".encode("utf-16-be"), data_coding=8)),
    (pdu.DELIVER_SM, message(b"\5\0\3\7\2\1part", esm_class=0x40)),
    (pdu.DELIVER_SM, message(b"\6\x08\4\0\7\2\1part", esm_class=0x40, tlvs=TAIL)),
    (pdu.DELIVER_SM, message(b"", tlvs=tlv.encode(tlv.MESSAGE_PAYLOAD, b"x" * 400))),
    (pdu.DATA_SM, b"\0\1\x0179161234567\0\5\0Sluice\0\4\0\0" + tlv.encode(tlv.MESSAGE_PAYLOAD, b"id:7 stat:DELIVRD")),
    (pdu.ENQUIRE_LINK, b""),
    (pdu.ENQUIRE_LINK_RESP, b""),
    (pdu.GENERIC_NACK, b""),
    (pdu.QUERY_SM_RESP, b"0123456789\0240101000000000+\0\2\0"),
    (pdu.CANCEL_SM_RESP, b""),
    (pdu.ALERT_NOTIFICATION, b"\1\x0179161234567\0\1\x011234\0"),
    (pdu.OUTBIND, b"smsc\0password\0"),
    (pdu.BIND_TRANSCEIVER | pdu.ANSWER, b"smsc\0\2\x10\0\1\x34"),
)
_STATUSES = (0, 0, 0, 0x14, 0x58, 0x0B, 0x45, 0x0401, 0xFFFFFFFF)
_EDGES = (b"", b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0" * 40, b"\xff" * 40, b":", b"id:", b" stat:")


@dataclass
class Seen:
    """What a run brought."""

    pdus: int = 0
    answers: int = 0
    receipts: int = 0
    inbound: int = 0
    unbinds: int = 0
    out_of_step: int = 0
    sessions: int = 0
    growth_bytes: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)


class Fuzz:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seen = Seen()
        self.readers = [DeliveryReader(read("fuzz", _TABLE | {"gsm7_alphabet": a})) for a in ("gsm7", "gsm7_packed")]
        self.session = self.fresh()
        self.now = 0.0

    def fresh(self) -> Session[int]:
        """A session that is bound and has submissions in flight."""
        made: Session[int] = Session(Limits(window=100), 0.0, self.seen.counts)
        made.bind(pdu.BIND_TRANSCEIVER, pdu.Bind(b"a", b"p"), 0.0)
        made.feed(pdu.encode_bind_answer(pdu.BIND_TRANSCEIVER, 1, b"smsc"), 0.0)
        self.seen.sessions += 1
        return made

    def run(self, pdus: int) -> Seen:
        """That many, and what was seen."""
        process, began, settled = psutil.Process(), time.monotonic(), 0
        while self.seen.pdus < pdus:
            self.round()
            if not settled and self.seen.pdus >= min(SETTLED, pdus // 2):
                settled = process.memory_info().rss
        self.seen.growth_bytes = process.memory_info().rss - settled
        self.seen.seconds = time.monotonic() - began
        return self.seen

    def round(self) -> None:
        """A few PDUs, cut anywhere, and perhaps one whose length is a lie behind them."""
        rng, session = self.random, self.session
        self.now += 0.01
        if room := session.room(self.now):
            session.submit(range(room), [b"body"] * room, self.now)
        sequence, _ = session.ask(pdu.QUERY_SM, b"")
        sound = [self.mutated(sequence) for _ in range(rng.randint(1, 20))]
        data = b"".join(raw for _, _, raw in sound)
        lie = rng.random() < _ABSURD * len(sound)
        if lie:
            length = rng.choice((0, 15, pdu.MAX_PDU_BYTES + 1, 0xFFFFFFFF))
            data += length.to_bytes(4, "big") + rng.randbytes(12)
        self.seen.pdus += len(sound) + lie
        self.feed(data, sound, lie)
        if rng.random() < 0.05:
            swept = self.session.sweep(self.now)
            self.seen.answers += len(swept.answers)
            assert not swept.events, swept.events

    def mutated(self, asked: int) -> tuple[int, int, bytes]:
        """Command, sequence and the PDU, whose header is sound."""
        rng = self.random
        command, body = rng.choice(CORPUS) if rng.random() >= _UNBINDS else (pdu.UNBIND, b"")
        if rng.random() < 0.02:
            command = rng.choice((rng.getrandbits(32), rng.getrandbits(5), rng.getrandbits(5) | pdu.ANSWER))
        for _ in range(rng.choice((0, 1, 1, 2, 5))):
            body = self.damaged(body)
        last = max(1, self.session._next)
        near = (asked, rng.randint(1, last), rng.randint(max(1, last - 100), last), rng.getrandbits(32))
        sequence = rng.choice(near)
        return command, sequence, pdu.encode(command, sequence, rng.choice(_STATUSES), body[: pdu.MAX_PDU_BYTES - 16])

    def damaged(self, body: bytes) -> bytes:
        """One damage."""
        rng = self.random
        at = rng.randint(0, len(body))
        match rng.randint(0, 5):
            case 0:
                return body[:at]
            case 1:
                return body[:at] + rng.randbytes(1) + body[at + 1 :]
            case 2:
                return body[:at] + rng.choice(_EDGES) + body[at:]
            case 3:
                return body[:at] + body[at : at + rng.randint(0, 40)] * rng.randint(0, 5) + body[at:]
            case 4:
                return rng.randbytes(rng.randint(0, 60))
            case _:
                return body + rng.choice(CORPUS)[1]

    def feed(self, data: bytes, sound: list[tuple[int, int, bytes]], lie: bool) -> None:
        """All of it in pieces; then what came out is looked at."""
        rng, session = self.random, self.session
        wanted: Counter[tuple[int, int]] = Counter()
        for command, sequence, _ in sound:
            if command in _REQUESTS:
                wanted[command | pdu.ANSWER, sequence] += 1
            elif command == pdu.ENQUIRE_LINK:
                wanted[pdu.ENQUIRE_LINK_RESP, sequence] += 1
        answered: Counter[tuple[int, int]] = Counter()
        broken = over = False
        at = 0
        while at < len(data):
            end = at + rng.choice((1, 7, 100, len(data)))
            fed = session.feed(data[at:end], self.now)
            at = end
            output = b"".join(fed.output) + session.acknowledge(fed.deliveries)
            answered.update((command, number) for command, _, number, _, _ in pdu.split(output)[0])
            self.seen.answers += len(fed.answers)
            for reader in self.readers:
                self.sort(reader, fed.deliveries)
            broken |= any(isinstance(event, Broken) for event in fed.events)
            over |= any(isinstance(event, PeerUnbinds | Unbound) for event in fed.events)
            assert all(isinstance(event, Answered | Broken | PeerUnbinds | Unbound) for event in fed.events), fed.events
        assert broken == lie, "a sound header broke the link" if broken else "a lie was believed"
        assert not wanted - answered, f"unanswered: {wanted - answered}"
        self.seen.unbinds += over
        self.seen.out_of_step += lie
        if broken or over:
            session.lose()
            self.session = self.fresh()

    def sort(self, reader: DeliveryReader, deliveries: list[tuple[int, int, pdu.ShortMessage | bytes]]) -> None:
        """As a connection does it."""
        receipts, inbound = reader.sort(deliveries, "trx1")
        assert all(type(receipt) is Receipt for receipt in receipts) and all(type(i) is Inbound for i in inbound)
        assert len(receipts) + len(inbound) == len(deliveries)
        for receipt in receipts[:1]:
            assert all(form(receipt.carrier_message_id, one) for one in spellings(receipt.carrier_message_id))
        self.seen.receipts += len(receipts)
        self.seen.inbound += len(inbound)


def main() -> None:
    """Run, and say what was seen."""
    parser = argparse.ArgumentParser(description="Mutated PDUs through our end of an SMPP link.")
    parser.add_argument("--pdus", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=34)
    given = parser.parse_args()
    seen = Fuzz(given.seed).run(given.pdus)
    print(
        f"{seen.pdus:,} PDUs in {seen.seconds:.0f} s: {seen.answers:,} answers, {seen.receipts:,} receipts, "
        f"{seen.inbound:,} inbound, {seen.unbinds:,} unbinds, {seen.out_of_step:,} links out of step, "
        f"memory grew by {seen.growth_bytes / 1024 / 1024:.1f} MiB"
    )
    assert seen.growth_bytes <= GROWTH_BYTES, "memory grows"


if __name__ == "__main__":
    main()
