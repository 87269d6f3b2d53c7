"""The pure parts of the SMPP provider: settings, encoding, what is delivered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest
from aiosmpplib import NPI, TON, SmppMessage, SubmitSm

from gateway.provider import Inbound, Outcome, Reason, SettingsError, Submission, refused
from gateway.smpp import pdu, tlv
from gateway.text import gsm7, parts
from providers.smpp.encoding import Encoder, absolute_time, relative_time
from providers.smpp.inbound import DeliveryReader
from providers.smpp.settings import SmppSettings, read

TABLE = {"host": "smsc.example", "system_id": "account", "password": "correct horse battery staple"}
NOW_MS = 1_700_000_000_000


def settings(**more: Any) -> SmppSettings:
    return read("acme", TABLE | more)


def submission(**given: Any) -> Submission:
    values: dict[str, Any] = {
        "message_id": bytes(16),
        "attempt": 1,
        "part": 1,
        "parts": 1,
        "to": "+79161234567",
        "sender": "Sluice",
        "text": "Your code is 1234",
        "encoding": "gsm7",
        "concat_ref": 0xABCD,
        "deadline_ms": NOW_MS + 3_600_000,
        "klass": "otp",
        "echo": 0xBEEF,
    }
    return Submission(**values | given)


def encode(s: Submission, **more: Any) -> pdu.ShortMessage:
    body = Encoder(settings(**more)).body(s, NOW_MS)
    assert isinstance(body, bytes)
    return pdu.decode_short_message(body, 0, len(body))


def refusal(s: Submission, **more: Any) -> Outcome:
    outcome = Encoder(settings(**more)).body(s, NOW_MS)
    assert isinstance(outcome, Outcome)
    return outcome


# Settings


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"port": 0}, "port"),
        ({"window": "many"}, "window"),
        ({"bind_mode": "correct horse battery staple"}, "bind_mode"),
        ({"colour": "red"}, "colour"),
        ({"system_id": "учётка"}, "system_id"),
        ({"password": "a\0b"}, "password"),
        ({"password": 12345}, "password"),
        ({"receipt_timezone": "Mars/Olympus"}, "receipt_timezone"),
        ({"receipt_timezone": "../../etc/passwd"}, "receipt_timezone"),
        ({"receipt_states": {"PARKED": "parked"}}, "receipt_states"),
    ],
)
def test_settings_that_cannot_work_are_named_without_their_value(more: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**more)
    assert words in str(caught.value) and "acme" in str(caught.value)
    assert "horse" not in str(caught.value) and "12345" not in str(caught.value)


@pytest.mark.parametrize("missing", ["host", "system_id", "password"])
def test_what_has_no_default_must_be_there(missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        read("acme", {k: v for k, v in TABLE.items() if k != missing})


def test_the_password_is_in_no_repr() -> None:
    found = settings()
    assert found.password.reveal() == TABLE["password"]
    assert "horse" not in f"{found!r}{found}{found.password!r}{found.password}"


def test_every_setting_has_a_description() -> None:
    for field in msgspec.inspect.type_info(SmppSettings).fields:  # type: ignore[attr-defined]
        assert field.type.extra_json_schema["description"], field.name


# Encoding


def test_a_submission_goes_out_with_everything_that_a_carrier_needs() -> None:
    m = encode(submission())
    assert (m.source_ton, m.source_npi, m.source) == (5, 0, b"Sluice")
    assert (m.dest_ton, m.dest_npi, m.dest) == (1, 1, b"79161234567")
    assert (m.esm_class, m.data_coding, m.registered_delivery) == (0, 0, 1)
    assert m.validity == b"000000010000000R"
    assert gsm7.decode(m.message) == "Your code is 1234"
    assert tlv.decode(m.tlvs) == {tlv.USER_MESSAGE_REFERENCE: b"\xbe\xef"}


def test_aiosmpplib_reads_our_submission() -> None:
    body = Encoder(settings()).body(submission(text="Ça fait 5 €"), NOW_MS)
    assert isinstance(body, bytes)
    data = pdu.encode(pdu.SUBMIT_SM, 1, pdu.OK, body)
    their = SubmitSm.from_pdu(data, SmppMessage.parse_header(data), "gsm0338")
    assert isinstance(their, SubmitSm) and their.short_message == "Ça fait 5 €"
    assert (their.destination.ton, their.destination.npi) == (TON.INTERNATIONAL, NPI.ISDN)


@pytest.mark.parametrize(
    ("sender", "kind", "written"),
    [
        ("Sluice", (5, 0), b"Sluice"),
        ("+79161234567", (1, 1), b"79161234567"),
        ("79161234567", (1, 1), b"79161234567"),
        ("1234", (3, 0), b"1234"),
        ("", (0, 0), b""),
        ("Café", (5, 0), b"Caf\xe9"),
    ],
)
def test_a_senders_type_follows_from_its_form(sender: str, kind: tuple[int, int], written: bytes) -> None:
    m = encode(submission(sender=sender))
    assert ((m.source_ton, m.source_npi), m.source) == (kind, written)


def test_types_of_number_may_be_set() -> None:
    m = encode(submission(), source_ton=0, source_npi=9, dest_ton=2, dest_npi=8)
    assert (m.source_ton, m.source_npi, m.dest_ton, m.dest_npi) == (0, 9, 2, 8)


LONG_GSM7 = "€uro [brackets] {everywhere} " * 15
LONG_UCS2 = "Привет, мир 🎈 " * 20


@pytest.mark.parametrize("encoding", ["gsm7", "ucs2"])
@pytest.mark.parametrize(("concatenation", "size"), [("udh8", 6), ("udh16", 7)])
def test_long_messages_carry_a_header_and_arrive_whole(encoding: str, concatenation: str, size: int) -> None:
    text = LONG_GSM7 if encoding == "gsm7" else LONG_UCS2
    texts = parts.split(text, encoding, size)
    decode = gsm7.decode if encoding == "gsm7" else (lambda data: data.decode("utf-16-be"))
    arrived = ""
    for number, part in enumerate(texts, 1):
        m = encode(submission(text=part, encoding=encoding, part=number, parts=len(texts)), concatenation=concatenation)
        assert m.esm_class == 0x40
        header = b"\5\0\3\xcd" if concatenation == "udh8" else b"\6\x08\4\xab\xcd"
        assert m.message[:size] == header + bytes((len(texts), number))
        assert len(m.message) <= (size + 153 if encoding == "gsm7" else 140)
        arrived += decode(m.message[size:])
    assert arrived == text


def test_long_messages_may_be_concatenated_by_parameters() -> None:
    m = encode(submission(part=2, parts=3), concatenation="sar", user_message_reference=False)
    assert m.esm_class == 0
    assert tlv.decode(m.tlvs) == {
        tlv.SAR_MSG_REF_NUM: b"\xab\xcd",
        tlv.SAR_TOTAL_SEGMENTS: b"\3",
        tlv.SAR_SEGMENT_SEQNUM: b"\2",
    }


def test_the_default_alphabet_is_what_the_carrier_says() -> None:
    assert encode(submission(text="é@"), gsm7_alphabet="latin1", gsm7_data_coding=3).message == b"\xe9@"
    assert encode(submission(text="é@")).message == b"\x05\x00"
    assert encode(submission(text="hi"), gsm7_data_coding=1).data_coding == 1
    assert encode(submission(text="я", encoding="ucs2"), ucs2_data_coding=24).data_coding == 24


@pytest.mark.parametrize(
    ("given", "more", "outcome"),
    [
        ({"text": "Ω"}, {"gsm7_alphabet": "latin1"}, refused(Reason.UNSUPPORTED, "alphabet")),
        ({"text": "я"}, {}, refused(Reason.UNSUPPORTED, "alphabet")),
        ({"text": "\ud800", "encoding": "ucs2"}, {}, refused(Reason.UNSUPPORTED, "alphabet")),
        ({"text": "x" * 255}, {}, refused(Reason.INVALID_CONTENT, "length")),
        ({"sender": "Магазин"}, {}, refused(Reason.INVALID_SENDER, "alphabet")),
        ({"sender": "1" * 21}, {}, refused(Reason.INVALID_SENDER, "length")),
        ({"sender": "a\0b"}, {}, refused(Reason.INVALID_SENDER, "length")),
    ],
)
def test_what_cannot_be_said_is_refused(given: dict[str, Any], more: dict[str, Any], outcome: Outcome) -> None:
    assert refusal(submission(**given), **more) == outcome


@pytest.mark.parametrize(
    ("left_ms", "validity"),
    [
        (3_600_000, b"000000010000000R"),
        (299_001, b"000000000500000R"),
        (259_200_000, b"000003000000000R"),
        (-5_000, b"000000000010000R"),
    ],
)
def test_the_carrier_learns_the_messages_own_deadline(left_ms: int, validity: bytes) -> None:
    assert encode(submission(deadline_ms=NOW_MS + left_ms)).validity == validity


def test_the_deadline_may_be_absolute_or_left_out() -> None:
    assert encode(submission(), validity_period="absolute").validity == b"231114231320000+"
    assert encode(submission(), validity_period="none").validity == b""


def test_times_are_what_aiosmpplib_reads() -> None:
    read_time = SubmitSm.smpp_time_to_datetime
    assert read_time(relative_time(90_061).decode()).total_seconds() == 90_061  # type: ignore[union-attr]
    moment = read_time(absolute_time(NOW_MS).decode())
    assert isinstance(moment, datetime)
    assert moment.replace(year=2000 + moment.year).timestamp() == NOW_MS / 1000  # it takes 23 for the year 23


def test_what_an_encoder_remembers_is_bounded() -> None:
    encoder = Encoder(settings())
    for number in range(25_000):
        sender = f"S{number}"
        assert isinstance(encoder.body(submission(sender=sender, deadline_ms=NOW_MS + number * 10_000), NOW_MS), bytes)
    assert max(len(v) for v in vars(encoder).values() if isinstance(v, dict)) <= 10_000


# Deliveries


def arrive(message: bytes, **given: Any) -> Inbound:
    m = pdu.ShortMessage(source=b"79161234567", dest=b"1234", message=message, **given)
    receipts, inbound = DeliveryReader(settings()).sort([(pdu.DELIVER_SM, 1, m)], "trx1")
    assert receipts == [] and len(inbound) == 1
    return inbound[0]


@pytest.mark.parametrize(
    ("message", "coding", "text"),
    [
        (gsm7.encode("Stop, it costs 5 €"), 0, "Stop, it costs 5 €"),
        ("СТОП 🎈".encode("utf-16-be"), 8, "СТОП 🎈"),
        (b"caf\xe9", 3, "café"),
        (b"stop", 1, "stop"),
        ("СТОП".encode("iso8859_5"), 6, "СТОП"),
        (gsm7.encode("flash"), 0x10, "flash"),
        (gsm7.encode("class 1"), 0xF1, "class 1"),
        ("вспышка".encode("utf-16-be"), 0x18, "вспышка"),
        ("СТОП".encode("utf-16-be") + b"\x04", 8, "СТОП\ufffd"),
    ],
)
def test_a_subscribers_text_is_read_by_its_coding(message: bytes, coding: int, text: str) -> None:
    assert arrive(message, data_coding=coding) == Inbound("79161234567", "1234", text, (), "trx1", b"")


def test_octets_that_are_no_text_are_kept_raw() -> None:
    assert arrive(b"\1\2\3", data_coding=4) == Inbound("79161234567", "1234", "", (), "trx1", b"\1\2\3")


@pytest.mark.parametrize(
    ("header", "segment"),
    [
        (b"\5\0\3\x2a\3\2", (42, 3, 2)),
        (b"\6\x08\4\x01\x02\3\2", (258, 3, 2)),
        (b"\x0b\5\4\x0b\x84\x23\xf0\0\3\x2a\3\2", (42, 3, 2)),
        (b"\5\0\3\x2a\3\4", ()),
        (b"\5\0\3\x2a\1\1", ()),
        (b"\3\x25\1\0", ()),
        (b"\5\0\2\x2a\3\2", ()),
    ],
)
def test_segments_of_a_long_message_are_known_by_their_header(header: bytes, segment: tuple[int, ...]) -> None:
    found = arrive(header + gsm7.encode("part"), esm_class=0x40)
    assert (found.text, found.segment) == ("part", segment)


def test_segments_may_be_known_by_parameters() -> None:
    tail = (
        tlv.encode_short(tlv.SAR_MSG_REF_NUM, 500)
        + tlv.encode(tlv.SAR_TOTAL_SEGMENTS, b"\2")
        + tlv.encode(tlv.SAR_SEGMENT_SEQNUM, b"\1")
    )
    assert arrive(b"part", tlvs=tail).segment == (500, 2, 1)
    assert arrive(b"part", tlvs=tail[:6]).segment == ()


def test_a_text_in_message_payload_is_read() -> None:
    assert arrive(b"", tlvs=tlv.encode(tlv.MESSAGE_PAYLOAD, b"long")).text == "long"


def test_a_damaged_delivery_is_an_inbound_message_of_raw_bytes() -> None:
    receipts, inbound = DeliveryReader(settings()).sort([(pdu.DELIVER_SM, 1, b"whole pdu")], "trx1")
    assert (receipts, inbound) == ([], [Inbound("", "", "", (), "trx1", b"whole pdu")])


def test_receipts_and_messages_are_told_apart_in_order() -> None:
    receipt = pdu.ShortMessage(esm_class=4, message=b"id:1 stat:DELIVRD err:0")
    message = pdu.ShortMessage(message=b"id:2 stat:DELIVRD err:0")
    receipts, inbound = DeliveryReader(settings()).sort(
        [(pdu.DELIVER_SM, n, m) for n, m in enumerate([receipt, message, receipt])], "trx1"
    )
    assert (len(receipts), len(inbound)) == (2, 1)
