"""What was seen to go wrong in an SMPP engine under a gateway, one test each: ours does not.

Two more need sockets: the loop that runs on under a flood is in the contract suite, TLS in the integration tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.provider import Inbound, Kind, Outcome, Reason, Submission, uncertain
from gateway.smpp import pdu, tlv
from gateway.smpp.receipt import ReceiptReader
from gateway.smpp.session import Bound, Broken, Fed, Limits, Session
from gateway.text import gsm7, parts
from providers.smpp.encoding import Encoder
from providers.smpp.inbound import DeliveryReader
from providers.smpp.settings import SmppSettings, read


def settings(**more: Any) -> SmppSettings:
    return read("acme", {"host": "smsc.example", "system_id": "account", "password": "x" * 24} | more)


def bound(limits: Limits | None = None) -> Session[str]:
    session: Session[str] = Session(limits or Limits(), 0.0)
    session.bind(pdu.BIND_TRANSCEIVER, pdu.Bind(b"account", b"password"), 0.0)
    assert session.feed(pdu.encode_bind_answer(pdu.BIND_TRANSCEIVER, 1, b"smsc"), 0.0).events == [Bound()]
    return session


def deliver(session: Session[str], body: bytes) -> Fed[str]:
    fed = session.feed(pdu.encode(pdu.DELIVER_SM, 7, pdu.OK, body), 1.0)
    assert session.state == "bound" and not fed.events
    assert [p[:3] for p in pdu.split(session.acknowledge(fed.deliveries))[0]] == [(pdu.DELIVER_SM_RESP, 0, 7)]
    return fed


def receipt_body(text: bytes, tail: bytes = b"") -> bytes:
    return pdu.encode_short_message(pdu.ShortMessage(source=b"79161234567", esm_class=4, message=text, tlvs=tail))


def submission(text: str, part: int = 1, total: int = 1) -> Submission:
    return Submission(bytes(16), 1, part, total, "+79161234567", "Sluice", text, "gsm7", 0x1234, 2**42, "otp", 1)


def segments(messages: Sequence[tuple[bytes, bytes]]) -> list[Inbound]:
    """Inbound messages of (sender, header with text)."""
    bodies = [pdu.ShortMessage(source=s, dest=b"1234", esm_class=0x40, message=m) for s, m in messages]
    return DeliveryReader(settings()).sort([(pdu.DELIVER_SM, 1, m) for m in bodies], "trx1")[1]


def test_a_truncated_deliver_sm_kills_nothing() -> None:
    whole = receipt_body(b"id:1 stat:DELIVRD err:0")
    for size in range(len(whole)):
        deliver(bound(), whole[:size])


def test_an_integer_parameter_of_odd_length_kills_nothing() -> None:
    for size in (0, 1, 3, 5, 7):
        tail = tlv.encode(tlv.USER_MESSAGE_REFERENCE, bytes(size)) + tlv.encode(tlv.MESSAGE_STATE, bytes(size))
        ((_, _, m),) = deliver(bound(), receipt_body(b"id:1 stat:DELIVRD err:0", tail)).deliveries
        assert isinstance(m, pdu.ShortMessage)
        found = ReceiptReader().read(m)
        assert found is not None and (found.carrier_message_id, found.state) == ("1", "delivered")


def test_an_unknown_status_kills_nothing() -> None:
    session = bound()
    session.submit(["a"], [b""], 1.0)
    fed = session.feed(pdu.encode(pdu.SUBMIT_SM_RESP, 2, 0x0777), 1.0)
    assert fed.answers == [("a", Outcome(Kind.REFUSED, "", Reason.CARRIER_ERROR, "0x0777"))]
    assert session.state == "bound"


@pytest.mark.parametrize("text", [b"done date:240131235958 stat:DELIVRD err:000", b"stat:DELIVRD err:1A"])
def test_a_receipt_with_a_long_date_or_an_odd_error_costs_no_link(text: bytes) -> None:
    ((_, _, m),) = deliver(bound(), receipt_body(b"id:1 " + text)).deliveries
    assert isinstance(m, pdu.ShortMessage)
    found = ReceiptReader().read(m)
    assert found is not None and found.state == "delivered"


def test_a_command_length_without_measure_is_never_buffered() -> None:
    session = bound()
    fed = session.feed((150_000_000).to_bytes(4, "big") + bytes(12), 1.0)
    assert [type(event) for event in fed.events] == [Broken]


def test_an_answer_as_fast_as_the_write_finds_its_submission() -> None:
    session = bound()
    written = session.submit(["a"], [b""], 1.0)
    sequence = pdu.split(written)[0][0][2]
    assert session.feed(pdu.encode_submit_answers([(sequence, b"id")]), 1.0).answers[0][0] == "a"


def test_what_is_in_flight_at_a_disconnect_does_not_vanish() -> None:
    session = bound()
    names = [str(n) for n in range(50)]
    session.submit(names, [b""] * 50, 1.0)
    assert session.lose() == [(name, uncertain(Reason.DISCONNECTED)) for name in names]


def test_a_window_bounds_what_is_unanswered() -> None:
    session = bound(Limits(window=50))
    session.submit(["a"] * 50, [b""] * 50, 1.0)
    assert session.room(1.0) == session.window_left == 0


def test_two_throttling_answers_cost_well_under_a_second() -> None:
    session, now = bound(), 1.0
    for name in ("a", "b"):
        (sequence,) = [p[2] for p in pdu.split(session.submit([name], [b""], now))[0]]
        session.feed(pdu.encode(pdu.SUBMIT_SM_RESP, sequence, 0x58), now)
        now = session.pace.paused_until
    assert session.room(now) > 0 and now < 1.5


def test_concatenation_by_parameters_works() -> None:
    body = Encoder(settings(concatenation="sar")).body(submission("part", 2, 3), 0)
    assert isinstance(body, bytes)
    found = tlv.decode(pdu.decode_short_message(body, 0, len(body)).tlvs)
    assert (found[tlv.SAR_TOTAL_SEGMENTS], found[tlv.SAR_SEGMENT_SEQNUM]) == (b"\3", b"\2")


def test_a_16_bit_reference_is_read_as_one() -> None:
    (found,) = segments([(b"79161234567", b"\6\x08\4\x12\x34\2\1" + b"text")])
    assert (found.segment, found.text) == ((0x1234, 2, 1), "text")


def test_segments_of_two_senders_with_one_reference_are_told_apart() -> None:
    found = segments([(b"79160000001", b"\5\0\3\x07\2\1one"), (b"79160000002", b"\5\0\3\x07\2\2two")])
    assert len({(m.sender, m.segment[0]) for m in found}) == 2


def test_the_tenth_segment_comes_after_the_ninth() -> None:
    found = segments([(b"7916", b"\5\0\3\x07\x0c" + bytes((n,)) + b"x") for n in (10, 2, 12, 1, 9)])
    assert [m.segment[2] for m in sorted(found, key=lambda m: m.segment)] == [1, 2, 9, 10, 12]


def test_extension_characters_never_overflow_a_part() -> None:
    texts = parts.split("€" * 400, "gsm7")
    encoder = Encoder(settings())
    for number, text in enumerate(texts, 1):
        body = encoder.body(submission(text, number, len(texts)), 0)
        assert isinstance(body, bytes)
        message = pdu.decode_short_message(body, 0, len(body)).message
        assert len(message) <= 6 + 153 and set(gsm7.decode(message[6:])) == {"€"}


def test_passwords_of_any_length_are_taken() -> None:
    assert settings().password.reveal() == "x" * 24
