"""What a plan may ask of a submit_sm, and what an SMSC that knows no optional parameters gets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.provider import Kind, Outcome, Reason, SettingsError, Submission, refused
from gateway.smpp import dates, pdu, query, septets, tlv
from gateway.smpp.ids import form, respell
from gateway.text import gsm7, parts
from providers.smpp import tables
from providers.smpp.carrier import SmppCarrier
from providers.smpp.encoding import Encoder
from providers.smpp.inbound import DeliveryReader
from providers.smpp.settings import SmppSettings, read
from tests.contract.carrier import Desk, Watch

TABLE = {"host": "smsc.example", "system_id": "account", "password": "password"}
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


def encode(s: Submission, optional: bool = True, **more: Any) -> pdu.ShortMessage:
    body = Encoder(settings(**more), optional).body(s, NOW_MS)
    assert isinstance(body, bytes)
    return pdu.decode_short_message(body, 0, len(body))


def test_priority_protocol_and_receipts_are_as_the_plan_says() -> None:
    more = {"priority": {"otp": 3}, "protocol_id": 64, "registered_delivery": 17, "service_type": "CMT"}
    m = encode(submission(), **more)
    assert (m.priority, m.protocol_id, m.registered_delivery, m.service_type) == (3, 64, 17, b"CMT")
    assert encode(submission(klass="marketing"), **more).priority == 0


def test_optional_parameters_of_every_type_go_out() -> None:
    values = {
        "0x1400": {"string": "1101"},
        "0x1401": {"cstring": "ab"},
        "5122": {"octets": "0A0b"},
        "0x1403": {"uint8": 7},
        "0x1404": {"uint16": 258},
        "0x1405": {"uint32": 1},
    }
    found = tlv.decode(encode(submission(), tlvs=values).tlvs)
    assert [found.pop(tag) for tag in range(0x1400, 0x1406)] == [
        b"1101",
        b"ab\0",
        b"\n\x0b",
        b"\7",
        b"\1\2",
        b"\0\0\0\1",
    ]
    assert list(found) == [tlv.USER_MESSAGE_REFERENCE]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tlvs": {"0x0204": {"uint16": 1}}}, "user_message_reference"),
        ({"tlvs": {"tag": {"uint16": 1}}}, "tlvs.tag"),
        ({"tlvs": {"0x1400": {}}}, "exactly one"),
        ({"tlvs": {"0x1400": {"uint8": 1, "uint16": 1}}}, "exactly one"),
        ({"tlvs": {"0x1400": {"octets": "xy"}}}, "hexadecimal"),
        ({"tlvs": {"0x1400": {"string": "я"}}}, "Latin-1"),
        ({"tlvs": {"0x1400": {"uint8": 256}}}, "tlvs"),
        ({"codes": {"0x45": {"reason": "tired"}}}, "codes.0x45"),
        ({"codes": {"many": {"reason": "temporary"}}}, "codes.many"),
        ({"codes": {"0x45": {"reason": "no_route"}}}, "codes.0x45"),
        ({"receipt_codes": {"045": "tired"}}, "receipt_codes.045"),
        ({"priority": {"otp": 4}}, "priority"),
        ({"message_ids": "octal"}, "message_ids"),
        ({"tls_key": "key.pem"}, "tls_key"),
        ({"interface_version": "3.3", "concatenation": "sar"}, "concatenation"),
        ({"interface_version": "3.3", "tlvs": {"0x1400": {"uint8": 1}}}, "tlvs"),
        ({"interface_version": "3.3", "flash_by": "dest_addr_subunit", "flash_classes": ["otp"]}, "flash_by"),
    ],
)
def test_tables_that_cannot_work_are_named(more: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings(**more)


@pytest.mark.parametrize(("encoding", "coding"), [("gsm7", 0x10), ("ucs2", 0x18)])
def test_flash_classes_are_shown_at_once_by_their_data_coding(encoding: str, coding: int) -> None:
    assert encode(submission(encoding=encoding), flash_classes=["otp"]).data_coding == coding
    assert encode(submission(encoding=encoding, klass="alert"), flash_classes=["otp"]).data_coding in (0, 8)


def test_flash_classes_may_be_told_by_a_parameter() -> None:
    m = encode(submission(), flash_classes=["otp"], flash_by="dest_addr_subunit")
    assert m.data_coding == 0 and tlv.decode(m.tlvs)[tlv.DEST_ADDR_SUBUNIT] == b"\1"
    other = encode(submission(klass="alert"), flash_classes=["otp"], flash_by="dest_addr_subunit")
    assert tlv.DEST_ADDR_SUBUNIT not in tlv.decode(other.tlvs)


def test_a_message_as_a_whole_travels_in_message_payload() -> None:
    text = "Привет 🎈 " * 60
    m = encode(submission(text=text, encoding="ucs2", part=0, parts=9), concatenation="message_payload")
    assert (m.message, m.esm_class, m.data_coding) == (b"", 0, 8)
    assert tlv.decode(m.tlvs)[tlv.MESSAGE_PAYLOAD].decode("utf-16-be") == text
    short = encode(submission(part=0), concatenation="message_payload")
    assert short.message == b"Your code is 1234" and tlv.MESSAGE_PAYLOAD not in tlv.decode(short.tlvs)


def test_a_carrier_with_message_payload_takes_messages_whole() -> None:
    reports = Desk(Watch()).reports()
    assert SmppCarrier("acme", settings(concatenation="message_payload"), reports).whole
    assert not SmppCarrier("acme", settings(), reports).whole


def test_a_peer_below_3_4_gets_no_optional_parameters() -> None:
    more: dict[str, Any] = {"tlvs": {"0x1400": {"uint8": 1}}, "concatenation": "sar"}
    m = encode(submission(part=2, parts=3), optional=False, **more)
    assert m.tlvs == b"" and m.esm_class == 0x40 and m.message[:6] == b"\5\0\3\xcd\3\2"
    assert encode(submission(), interface_version="3.3").tlvs == b""
    outcome = Encoder(settings(concatenation="message_payload"), False).body(submission(part=0, parts=2), NOW_MS)
    assert outcome == refused(Reason.UNSUPPORTED, "message_payload")


@given(st.binary(max_size=200), st.integers(0, 20))
def test_packed_septets_survive_the_way_there_and_back(octets: bytes, header_bytes: int) -> None:
    codes = bytes(code & 0x7F for code in octets).rstrip(b"\r")
    packed = septets.pack(codes, header_bytes)
    assert septets.unpack(packed, header_bytes) == codes
    assert len(packed) == -(-(len(codes) * 7 + septets.fill_bits(header_bytes)) // 8) if codes else not packed


def test_septets_are_packed_as_the_standard_shows() -> None:
    assert septets.pack(b"hellohello").hex() == "e8329bfd4697d9ec37"
    assert septets.pack(b"1234567").hex() == "31d98c56b3dd1a"  # 3GPP TS 23.038, 6.1.2.3.1: the carriage return


def test_long_messages_in_packed_septets_fit_and_arrive() -> None:
    text = "€uro [brackets] {everywhere} " * 15
    texts = parts.split(text, "gsm7")
    reader = DeliveryReader(settings(gsm7_alphabet="gsm7_packed"))
    arrived = ""
    for number, part in enumerate(texts, 1):
        m = encode(submission(text=part, part=number, parts=len(texts)), gsm7_alphabet="gsm7_packed")
        assert len(m.message) <= 140
        found = reader.inbound(m, "trx1")
        assert found.segment == (0xCD, len(texts), number)
        arrived += found.text
    assert arrived == text
    assert gsm7.decode(septets.unpack(encode(submission(), gsm7_alphabet="gsm7_packed").message)) == "Your code is 1234"


def test_a_carriers_own_row_stands_over_the_table() -> None:
    rows = {"0x45": tables.Code(reason="temporary"), "1025": tables.Code(reason="no_credit", retry=True)}
    codes = tables.codes(rows)
    assert (codes.outcome(0x45).kind, codes.outcome(0x45).reason) == (Kind.DEFERRED, Reason.TEMPORARY)
    assert (codes.outcome(0x0401).kind, codes.outcome(0x0401).reason) == (Kind.DEFERRED, Reason.NO_CREDIT)
    assert codes.outcome(0x0B) == Outcome(Kind.REFUSED, "", Reason.INVALID_RECIPIENT, "0x0B")
    assert codes.late_outcome(0x45).kind is Kind.REFUSED


def test_a_receipts_own_code_gives_its_reason() -> None:
    reader = DeliveryReader(settings(receipt_codes={"045": "unknown_subscriber", "0x1A": "handset"}))
    for err, reason in (
        ("45", "unknown_subscriber"),
        ("0045", "unknown_subscriber"),
        ("0X1a", "handset"),
        ("7", "unreachable"),
    ):
        m = pdu.ShortMessage(esm_class=4, message=b"id:1 stat:UNDELIV err:" + err.encode())
        assert reader.receipts.read(m).reason == reason  # type: ignore[union-attr]
    delivered = pdu.ShortMessage(esm_class=4, message=b"id:1 stat:DELIVRD err:045")
    assert reader.receipts.read(delivered).reason == ""  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("receipt_id", "submit_id", "name"),
    [
        ("9308878062554710043", "812FC7470000001B", "hex"),
        ("9308878062554710043", "812fc7470000001b", "hex_lower"),
        ("812FC7470000001B", "9308878062554710043", "decimal"),
        ("26", "0000001A", "hex_padded_8"),
        ("26", "0000001a", "hex_lower_padded_8"),
        ("123", "0000000123", "padded_10"),
        ("m1", "m1", "same"),
        ("m1", "m2", "auto"),
    ],
)
def test_the_form_of_ids_is_learnt_from_a_hit_and_makes_the_next_one(
    receipt_id: str, submit_id: str, name: str
) -> None:
    assert form(receipt_id, submit_id) == name
    if name not in ("auto", "same"):
        assert respell(receipt_id, name) == submit_id
        reader = DeliveryReader(settings(message_ids=name))
        m = pdu.ShortMessage(esm_class=4, message=f"id:{receipt_id} stat:DELIVRD".encode())
        assert reader.receipts.read(m).carrier_message_id == submit_id  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "no number", "1_0", "١٢", "0x"])
def test_an_id_that_is_no_number_stays_as_it_is(text: str) -> None:
    assert respell(text, "decimal") == respell(text, "hex") == text


def test_what_query_sm_answers_is_a_receipt() -> None:
    found = query.answered(b"id1\x00231114221320000+\x00\x05\x22", "id1", "+79161234567", "Sluice", "trx1")
    assert found is not None and (found.state, found.code, found.reason) == ("undeliverable", "34", "unreachable")
    assert found.done_ms == NOW_MS
    assert query.answered(b"id1\0\0\7\0", "id1", "", "", "") is None  # unknown says nothing
    assert query.answered(b"damaged", "id1", "", "", "") is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"231114221320000+", NOW_MS),
        (b"231115011320012+", NOW_MS),
        (b"231114171320020-", NOW_MS),
        (b"231114221320500+", NOW_MS + 500),
        (b"000000010000000R", 0),
        (b"2311142213", 0),
        (b"231399221320000+", 0),
    ],
)
def test_moments_are_read_with_their_distance_from_utc(text: bytes, moment: int) -> None:
    assert dates.absolute_ms(text) == moment


@pytest.mark.parametrize(
    ("more", "binds"),
    [
        ({}, ["trx1"]),
        ({"bind_mode": "pair", "binds": 2}, ["tx1", "rx1", "tx2", "rx2"]),
        ({"interface_version": "3.3"}, ["tx1", "rx1"]),
        ({"interface_version": "3.3", "bind_mode": "transceiver"}, ["trx1"]),
    ],
)
async def test_binds_are_transceivers_or_pairs(more: dict[str, Any], binds: list[str]) -> None:
    carrier = SmppCarrier("acme", settings(**more), Desk(Watch()).reports())
    assert [link.bind for link in carrier.links()] == binds


def test_a_password_longer_than_the_standards_is_taken_with_a_warning() -> None:
    reports = Desk(Watch()).reports()
    (warning,) = SmppCarrier("acme", settings(password="correct horse battery"), reports).warnings
    assert "`password`" in warning and "horse" not in warning
    assert not SmppCarrier("acme", settings(), reports).warnings


def test_a_system_id_longer_than_the_standards_is_taken_with_a_warning() -> None:
    reports = Desk(Watch()).reports()
    (warning,) = SmppCarrier("acme", settings(system_id="a" * 16), reports).warnings
    assert "`system_id` is longer than the 15 characters" in warning
    assert not SmppCarrier("acme", settings(system_id="a" * 15), reports).warnings


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"windw": 5}, "`windw` is none of its settings. Did you mean `window`?"),
        ({"window": "5"}, "`window` must be a whole number from 1 to 100000 (submits"),
        ({"answer_timeout_s": 0}, "`answer_timeout_s` must be a number above 0 (then"),
        ({"concatenation": "udh"}, "`concatenation` must be one out of message_payload, sar, udh16, udh8 (long"),
        ({"tls": "yes"}, "`tls` must be true or false (speak TLS)"),
        (
            {"flash_classes": ["x"]},
            "`flash_classes[0]` must be one out of alert, marketing, otp, transactional (classes",
        ),
        (
            {"priority": {"otpp": 1}},
            "a name in `priority` must be one out of alert, marketing, otp, transactional (pri",
        ),
        ({"priority": {"otp": 9}}, "`priority[...]` must be a whole number from 0 to 3 (priority_flag by class"),
        ({"codes": {"0x45": {"resn": "x"}}}, "`codes[...]`: object contains unknown field `resn`"),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_what_would_be_right(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        settings(**more)
    assert str(wrong.value).startswith(f"carrier acme: {sentence}")


def test_a_setting_that_is_missing_is_named_with_its_meaning() -> None:
    with pytest.raises(SettingsError, match="`password` is needed: the account's password"):
        read("acme", {"host": "smsc.example", "system_id": "a"})
