"""One connection over a transport that only remembers: what is written when, and what is reported in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.provider import Inbound, Kind, Outcome, Reason, Receipt, Reports, Submission, accepted, uncertain
from gateway.smpp import pdu
from gateway.smpp.session import Limits, Session
from providers.smpp.encoding import Encoder
from providers.smpp.inbound import DeliveryReader
from providers.smpp.settings import read
from providers.smpp.wire import Ended, Line, Wire

SETTINGS = read("acme", {"host": "smsc.example", "system_id": "account", "password": "password"})
RECEIPT = pdu.encode_short_message(
    pdu.ShortMessage(source=b"79161234567", esm_class=4, message=b"id:1 stat:DELIVRD err:0")
)


class Paper(asyncio.Transport):
    """A transport that keeps what is written. `on_write` may answer before the write has returned."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = self.reading = True
        self.closed = False
        self.on_write: Callable[[bytes], None] = lambda data: None
        self.wire: Wire | None = None

    def write(self, data: Any) -> None:
        self.writes.append(data)
        self.on_write(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed and self.wire is not None:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.wire.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def pdus(self) -> list[tuple[int, int, int]]:
        """Command, status and sequence of all that was written since the last time."""
        data, self.writes = b"".join(self.writes), []
        return [p[:3] for p in pdu.split(data)[0]]


class Bench:
    """A bound wire, and a list of all that happened in order."""

    def __init__(self, window: int = 100, version: bytes = b"\x34") -> None:
        self.happened: list[tuple[str, Any]] = []
        self.on_outcomes: Callable[[], None] = lambda: None
        self.durable = asyncio.Event()
        self.durable.set()
        reports = Reports(self._outcomes, self._receipts, self._inbound, lambda link: None)
        line = Line(
            "acme", Encoder(SETTINGS), DeliveryReader(SETTINGS), reports, lambda: self.happened.append(("room", 0)),
            Encoder(SETTINGS, optional=False),
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        self.session: Session[Submission] = Session(Limits(window=window), loop.time())
        self.wire = Wire(line, "trx1", pdu.BIND_TRANSCEIVER, pdu.Bind(b"account", b"password"), self.session)
        self.paper = Paper()
        self.paper.wire = self.wire
        self.wire.connection_made(self.paper)
        answer = b"smsc\0" + (b"\x02\x10\0\x01" + version if version else b"")
        self.wire.data_received(pdu.encode(pdu.BIND_TRANSCEIVER | pdu.ANSWER, 1, 0, answer))
        self.paper.pdus()
        self.happened.clear()

    def _outcomes(self, batch: Sequence[tuple[Submission, Outcome]]) -> None:
        self.happened.append(("outcomes", list(batch)))
        self.on_outcomes()

    async def _receipts(self, batch: Sequence[Receipt]) -> None:
        self.happened.append(("receipts", list(batch)))
        await self.durable.wait()

    async def _inbound(self, batch: Sequence[Inbound]) -> None:
        self.happened.append(("inbound", list(batch)))
        await self.durable.wait()

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.happened]

    async def quiet(self) -> None:
        """Until all that was delivered is durable."""
        await asyncio.wait_for(self.wire.drain(asyncio.get_running_loop().time() + 5), 6)

    async def close(self) -> Ended:
        self.durable.set()
        self.wire.abort("over")
        ended = await self.wire.ended
        assert self.wire.deliveries is not None
        await self.wire.deliveries
        return ended


@pytest.fixture
async def bench() -> Any:
    made = Bench()
    yield made
    await made.close()


def make(count: int) -> list[Submission]:
    return [
        Submission(bytes(16), 1, 1, 1, "+79161234567", "Sluice", f"text {n}", "gsm7", 0, 2**42, "otp", n)
        for n in range(count)
    ]


def submit(bench: Bench, count: int) -> list[int]:
    assert bench.wire.submit(make(count)) == []
    return [sequence for _, _, sequence in bench.paper.pdus()]


def answers(sequences: Sequence[int]) -> bytes:
    return pdu.encode_submit_answers([(s, b"id-%d" % s) for s in sequences])


async def test_a_batch_is_one_write_and_its_answers_one_report(bench: Bench) -> None:
    bench.wire.submit(make(50))
    assert len(bench.paper.writes) == 1
    bench.wire.data_received(answers([s for _, _, s in bench.paper.pdus()]))
    assert bench.kinds() == ["outcomes", "room"] and len(bench.happened[0][1]) == 50


async def test_an_answer_that_comes_during_the_write_is_not_lost(bench: Bench) -> None:
    bench.paper.on_write = lambda data: bench.wire.data_received(answers([p[2] for p in pdu.split(data)[0]]))
    bench.wire.submit(make(3))
    ((_, batch), _) = bench.happened
    assert [outcome for _, outcome in batch] == [accepted(f"id-{s}") for s in (2, 3, 4)]


async def test_what_was_delivered_is_decoded_after_the_answers_are_reported(bench: Bench) -> None:
    """What the answers made room for leaves before that."""
    (one,) = submit(bench, 1)
    broken = pdu.encode_many(pdu.DELIVER_SM, 1, [RECEIPT[:10]])
    bench.on_outcomes = lambda: damaged.append(bench.session.counts["damaged delivery"])
    damaged: list[int] = []
    bench.wire.data_received(broken + answers([one]))
    await bench.quiet()
    assert damaged == [0] and bench.session.counts["damaged delivery"] == 1
    assert bench.kinds() == ["outcomes", "room", "inbound"]


async def test_what_was_prepared_is_encoded_once_and_what_is_written_is_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.wire.submit(make(3))
    plain = b"".join(bench.paper.writes)
    bench.paper.writes.clear()
    batch = make(3)
    bench.wire.prepare(batch)
    monkeypatch.setattr(Encoder, "body", lambda *_: pytest.fail("it was encoded before"))
    bench.wire.submit(batch)
    bodies = [[data[begin:end] for *_, begin, end in pdu.split(data)[0]] for data in (plain, bench.paper.writes[0])]
    assert bodies[0] == bodies[1] and len(bodies[0]) == 3


async def test_what_was_prepared_long_ago_is_encoded_again(bench: Bench) -> None:
    """The body says how long the message is valid."""
    batch = make(1)
    bench.wire.prepare(batch)
    by, at_ms, _ = batch[0].prepared
    batch[0].prepared = (by, at_ms - 60_000, b"stale")
    bench.wire.submit(batch)
    assert b"stale" not in bench.paper.writes[0]


async def test_what_was_prepared_for_another_kind_of_peer_is_encoded_again(bench: Bench) -> None:
    batch = make(1)
    bench.wire.prepare(batch)
    echo = bytes.fromhex("02040002")
    *_, body = batch[0].prepared
    assert echo in body
    older = Bench(version=b"\x33")
    older.wire.submit(batch)
    assert echo not in older.paper.writes[0]
    await older.close()


async def test_outcomes_are_reported_before_the_receipts_of_the_same_read(bench: Bench) -> None:
    (one,) = submit(bench, 1)
    bench.wire.data_received(pdu.encode_many(pdu.DELIVER_SM, 1, [RECEIPT]) + answers([one]))
    await bench.quiet()
    assert bench.kinds() == ["outcomes", "room", "receipts"]


async def test_receipts_of_one_read_are_one_report_and_their_answers_one_write(bench: Bench) -> None:
    bench.wire.data_received(pdu.encode_many(pdu.DELIVER_SM, 1, [RECEIPT] * 200))
    await bench.quiet()
    assert bench.kinds() == ["receipts"] and len(bench.paper.writes) == 1
    assert bench.paper.pdus() == [(pdu.DELIVER_SM_RESP, 0, n) for n in range(1, 201)]


async def test_no_report_is_longer_than_a_script_may_be(bench: Bench) -> None:
    bench.wire.data_received(pdu.encode_many(pdu.DELIVER_SM, 1, [RECEIPT] * 1200))
    await bench.quiet()
    assert [len(batch) for _, batch in bench.happened] == [500, 500, 200]


async def test_a_carrier_that_delivers_faster_than_we_can_keep_is_not_read_for_a_while(bench: Bench) -> None:
    bench.durable.clear()
    bench.wire.data_received(pdu.encode_many(pdu.DELIVER_SM, 1, [RECEIPT] * 10_001))
    assert not bench.paper.reading
    bench.durable.set()
    await bench.quiet()
    assert bench.paper.reading and len(bench.paper.pdus()) == 10_001


async def test_enquire_link_is_answered_while_the_store_is_slow(bench: Bench) -> None:
    bench.durable.clear()
    bench.wire.data_received(pdu.encode_many(pdu.DELIVER_SM, 1, [RECEIPT]))
    bench.wire.data_received(pdu.encode(pdu.ENQUIRE_LINK, 7))
    assert bench.paper.pdus() == [(pdu.ENQUIRE_LINK_RESP, 0, 7)]


async def test_a_peer_that_unbinds_in_mid_window_is_answered_drained_and_left(bench: Bench) -> None:
    one, two = submit(bench, 2)
    bench.wire.data_received(answers([one]) + pdu.encode(pdu.UNBIND, 9))
    assert bench.paper.pdus() == [(pdu.UNBIND_RESP, 0, 9)] and not bench.paper.closed
    assert bench.session.room(0) == 0
    bench.wire.data_received(answers([two]))
    assert bench.paper.closed
    ended = await bench.wire.ended
    assert (ended.bound, ended.why) == (True, "the peer ended the session")
    assert [o.kind for kind, batch in bench.happened if kind == "outcomes" for _, o in batch] == [Kind.ACCEPTED] * 2


async def test_a_peer_that_says_we_are_not_bound_is_left_and_called_again(bench: Bench) -> None:
    sequences = submit(bench, 4)
    bench.wire.data_received(b"".join(pdu.encode(pdu.SUBMIT_SM_RESP, n, 4) for n in sequences[:3]))
    assert bench.session.room(0) == 0 and not bench.paper.closed
    bench.wire.data_received(answers(sequences[3:]))
    assert bench.paper.closed
    ended = await bench.wire.ended
    assert ended.bound and "not bound (0x04)" in ended.why


async def test_a_lost_link_loses_no_receipt_that_it_brought(bench: Bench) -> None:
    bench.durable.clear()
    bench.wire.data_received(pdu.encode_many(pdu.DELIVER_SM, 1, [RECEIPT] * 700))
    bench.wire.connection_lost(ConnectionResetError("reset"))
    assert (await bench.wire.ended).why == "the connection broke: reset"
    bench.durable.set()
    assert bench.wire.deliveries is not None
    await bench.wire.deliveries
    assert [len(batch) for kind, batch in bench.happened if kind == "receipts"] == [500, 200]
    assert bench.paper.pdus() == []  # nobody is there to be answered; the carrier delivers them again


async def test_what_was_written_to_a_closing_transport_is_uncertain(bench: Bench) -> None:
    bench.paper.closed = True
    batch = make(2)
    assert bench.wire.submit(batch) == []
    bench.wire.connection_lost(None)
    assert bench.happened[0] == ("outcomes", [(s, uncertain(Reason.DISCONNECTED)) for s in batch])


async def test_a_stream_that_is_out_of_step_is_left_and_all_in_flight_is_uncertain(bench: Bench) -> None:
    submit(bench, 2)
    bench.wire.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert bench.paper.closed and bench.session.in_flight == 0
    assert bench.paper.pdus() == [(pdu.GENERIC_NACK, 2, 0)]
    assert [o for _, o in bench.happened[0][1]] == [uncertain(Reason.DISCONNECTED)] * 2


async def test_an_unbind_that_nobody_answers_does_not_hold_us(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    await bench.wire.unbind(before + 0.05)
    assert bench.paper.closed and loop.time() - before < 10  # and not the answer's whole time


async def test_a_refused_bind_is_left_with_its_status() -> None:
    bench = Bench()
    bench.session.state = "binding"
    bench.wire.data_received(pdu.encode_bind_answer(pdu.BIND_TRANSCEIVER, 1, b"", 0x0E))
    ended = await bench.wire.ended
    assert ended.refused == 0x0E and "ESME_RINVPASWD" in ended.why
    await bench.close()


@pytest.mark.parametrize(("version", "given"), [(b"", True), (b"\x33", False), (b"\x34", True), (b"\x50", True)])
async def test_a_peer_that_says_it_is_older_than_3_4_gets_no_optional_parameters(version: bytes, given: bool) -> None:
    bench = Bench(version=version)
    bench.wire.submit(make(1))
    (written,) = bench.paper.writes
    body = written[pdu.HEADER_BYTES :]
    assert bool(pdu.decode_short_message(body, 0, len(body)).tlvs) is given
    await bench.close()


async def test_a_question_waits_for_its_answer_and_no_longer_than_the_connection(bench: Bench) -> None:
    asking = asyncio.ensure_future(bench.wire.ask(pdu.QUERY_SM, b"", 5.0))
    await asyncio.sleep(0)
    ((_, _, sequence),) = bench.paper.pdus()
    bench.wire.data_received(pdu.encode(pdu.QUERY_SM_RESP, sequence, 0x67))
    answer = await asking
    assert answer is not None and answer.status == 0x67
    assert await bench.wire.ask(pdu.QUERY_SM, b"", 0.01) is None
    asking = asyncio.ensure_future(bench.wire.ask(pdu.QUERY_SM, b"", 5.0))
    await asyncio.sleep(0)
    bench.wire.abort("over")
    assert await asyncio.wait_for(asking, 5) is None and await bench.wire.ask(pdu.QUERY_SM, b"", 5.0) is None
