"""Receipts in the dialects that carriers speak (the numbers are lines of the list of quirks)."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.provider import RECEIPT_STATES, Receipt
from gateway.smpp import pdu, tlv
from gateway.smpp.receipt import STATES, ReceiptReader

BOOK = (
    b"id:1234567890 sub:001 dlvrd:001 submit date:2401312358 done date:2401312359 stat:DELIVRD err:000 Text:Your code"
)
DONE_MS = int(datetime(2024, 1, 31, 23, 59, tzinfo=UTC).timestamp() * 1000)


def read(
    text: bytes, *, esm_class: int = 4, tlvs: bytes = b"", coding: int = 0, reader: ReceiptReader | None = None
) -> Receipt | None:
    m = pdu.ShortMessage(
        source=b"79161234567", dest=b"Sluice", esm_class=esm_class, message=text, data_coding=coding, tlvs=tlvs
    )
    return (reader or ReceiptReader()).read(m, "trx1")


def receipt(text: bytes, *, esm_class: int = 4, tlvs: bytes = b"", coding: int = 0) -> Receipt:
    found = read(text, esm_class=esm_class, tlvs=tlvs, coding=coding)
    assert found is not None
    return found


def test_a_receipt_by_the_book_is_read_whole_without_the_messages_own_text() -> None:
    assert receipt(BOOK) == Receipt(
        "1234567890",
        "delivered",
        "000",
        "",
        DONE_MS,
        "79161234567",
        "Sluice",
        -1,
        BOOK[: BOOK.index(b" Text:")].decode(),
        "trx1",
    )


@pytest.mark.parametrize("word", sorted(STATES))
def test_every_spelling_of_stat_has_one_state_in_capitals_or_not(word: str) -> None:  # 8
    for spelt in (word, word.lower(), word.title()):
        found = receipt(BOOK.replace(b"DELIVRD", spelt.encode()))
        assert found.state == STATES[word] and found.state in RECEIPT_STATES
        assert found.carrier_message_id == "1234567890"


def test_an_unmapped_stat_is_unknown_never_failed_and_is_counted() -> None:  # 8
    reader = ReceiptReader()
    for _ in range(3):
        found = read(BOOK.replace(b"DELIVRD", b"PARKED"), reader=reader)
        assert found is not None and (found.state, found.reason) == ("unknown", "")
    assert reader.unmapped == {"PARKED": 3}


def test_the_count_of_unmapped_words_is_bounded() -> None:
    reader = ReceiptReader()
    for number in range(500):
        read(b"id:1 stat:W%d err:0" % number, reader=reader)
    assert len(reader.unmapped) == 100


def test_a_carrier_may_add_its_own_words_and_change_the_meaning_of_others() -> None:  # 8
    reader = ReceiptReader(states={"PARKED": "enroute", "UNKNOWN": "undeliverable"})
    assert [read(b"id:1 stat:%b err:0" % w, reader=reader).state for w in (b"PARKED", b"parked", b"UNKNOWN")] == [  # type: ignore[union-attr]
        "enroute",
        "enroute",
        "undeliverable",
    ]
    assert not reader.unmapped


@pytest.mark.parametrize(
    ("text", "message_id", "state", "code"),
    [
        (b"id:42 submit date:2401312358 done date:2401312359 stat:DELIVRD err:000 text:x", "42", "delivered", "000"),
        (b"id:42 stat:DELIVRD", "42", "delivered", ""),
        (b"id:42 sub:001 dlvrd:001 done date:2401312359 stat:DELIVRD err: 0 text:", "42", "delivered", "0"),
        (b"id:42 done date:2401312359 stat:DELIVRD err:0000", "42", "delivered", "0000"),
        (b"id:42 done date:2401312359 stat:UNDELIV err:1A Text:x", "42", "undeliverable", "1A"),
        (b"id:42 done date:2401312359 stat:UNDELIV err:EC_99 Text:x", "42", "undeliverable", "EC_99"),
        (b"id:42 done date:2401312359 stat:DELIVRD err:002 text:x", "42", "delivered", "002"),
        (b"id:42 err: stat:DELIVRD", "42", "delivered", ""),
        (b"stat:EXPIRED err:5 id:ab-CD_9", "ab-CD_9", "expired", "5"),
        (b"ID:42 SUB:001 STAT:Rejectd ERR:12 TEXT:hi", "42", "rejected", "12"),
        (b"id: 42, stat: DELETED, err: 7", "42", "deleted", "7"),
        (b"id=42;stat=ACCEPTD;err=0", "42", "accepted", "0"),
        (b"id:5f3a:99=x stat:DELIVRD err:0", "5f3a:99=x", "delivered", "0"),
        (b"message_id:42 status:DELIVERED error:3", "42", "delivered", "3"),
    ],
)
def test_fields_may_be_missing_oddly_spelt_or_in_any_order(  # 9
    text: bytes, message_id: str, state: str, code: str
) -> None:
    found = receipt(text)
    assert (found.carrier_message_id, found.state, found.code) == (message_id, state, code)


def test_stat_wins_over_err() -> None:  # 9
    assert receipt(BOOK.replace(b"err:000", b"err:002")).reason == ""


@pytest.mark.parametrize(
    "text",
    [
        b"id:42 sub:001 dlvrd:000 done date:2401312359 stat:UNDELIV err:001 text:id:43 stat:DELIVRD err:000",
        b"id:42 stat:UNDELIV err:001 Text: id:43 stat:DELIVRD",
        b"id:42 stat:UNDELIV TEXT:stat:DELIVRD err:5",
    ],
)
def test_fields_inside_the_messages_own_text_are_not_the_receipts(text: bytes) -> None:
    found = receipt(text)
    assert (found.carrier_message_id, found.state) == ("42", "undeliverable")
    assert "DELIVRD" not in found.raw


@pytest.mark.parametrize(
    ("date", "done"),
    [
        (b"2401312359", datetime(2024, 1, 31, 23, 59)),
        (b"240131235958", datetime(2024, 1, 31, 23, 59, 58)),
        (b"20240131235958", datetime(2024, 1, 31, 23, 59, 58)),
        (b"0000000000", None),
        (b"000000000000", None),
        (b"2402302359", None),
        (b"24013123", None),
        (b"", None),
        (b"soon", None),
        (b"-1", None),
        ("٢٤٠١٣١٢٣٥٩".encode(), None),
    ],
)
def test_dates_are_read_in_the_carriers_own_time_zone_or_are_null(date: bytes, done: datetime | None) -> None:  # 10
    moscow = ZoneInfo("Europe/Moscow")
    found = read(BOOK.replace(b"2401312359", date), reader=ReceiptReader(moscow))
    assert found is not None and (found.carrier_message_id, found.state) == ("1234567890", "delivered")
    assert found.done_ms == (int(done.replace(tzinfo=moscow).timestamp() * 1000) if done else 0)


def test_only_so_many_dates_are_remembered() -> None:
    reader = ReceiptReader()
    for second in range(5000):
        date = b"%d" % (20240101000000 + second // 60 * 100 + second % 60)
        assert read(BOOK.replace(b"2401312359", date), reader=reader) is not None


ID = tlv.encode(tlv.RECEIPTED_MESSAGE_ID, b"9308878062554710043\0")
STATE = tlv.encode(tlv.MESSAGE_STATE, b"\5")


def test_a_receipt_only_in_parameters_is_read() -> None:  # 11
    found = receipt(b"", tlvs=ID + STATE + tlv.encode(tlv.NETWORK_ERROR_CODE, b"\3\0\1"))
    assert (found.carrier_message_id, found.state) == ("9308878062554710043", "undeliverable")
    assert (found.code, found.reason) == ("1", "unknown_subscriber")


def test_an_id_in_a_parameter_and_the_rest_in_text_are_merged() -> None:  # 11
    found = receipt(b"sub:001 dlvrd:001 done date:2401312359 stat:EXPIRED err:7", tlvs=ID + STATE)
    assert (found.carrier_message_id, found.state, found.code) == ("9308878062554710043", "expired", "7")
    assert found.done_ms == DONE_MS


def test_our_reference_comes_back() -> None:
    assert receipt(BOOK, tlvs=tlv.encode_short(tlv.USER_MESSAGE_REFERENCE, 0xBEEF)).echo == 0xBEEF


def test_an_unreadable_parameter_does_not_spoil_the_text() -> None:  # 20
    for tail in ("0423 0001 03", "0427 0000", "0427 0002 0005", "001e 00ff 41", "1401 0002"):
        found = receipt(BOOK, tlvs=bytes.fromhex(tail))
        assert (found.carrier_message_id, found.state) == ("1234567890", "delivered")


def test_the_text_may_be_in_message_payload() -> None:  # 12
    assert receipt(b"", tlvs=tlv.encode(tlv.MESSAGE_PAYLOAD, BOOK)).carrier_message_id == "1234567890"


def test_the_text_may_be_ucs2() -> None:
    assert receipt(BOOK.decode().encode("utf-16-be"), coding=8).carrier_message_id == "1234567890"


def test_a_data_coding_does_not_spoil_plain_text() -> None:
    for coding in (1, 3, 4, 8, 0xF5):
        assert receipt(BOOK, coding=coding).state == "delivered"


@pytest.mark.parametrize("text", [BOOK, b"\x05\x00\x03\x01\x01\x01" + BOOK], ids=["without a header", "with one"])
def test_esm_class_0x44_is_a_receipt(text: bytes) -> None:  # 13
    assert receipt(text, esm_class=0x44).carrier_message_id == "1234567890"


def test_a_subscribers_text_that_looks_like_a_receipt_is_none() -> None:  # 13
    for esm_class in (0, 0x40, 0x08, 0x10, 0x03):
        assert read(BOOK, esm_class=esm_class) is None


def test_a_receipt_without_its_flag_is_known_by_its_parameter() -> None:
    assert receipt(BOOK, esm_class=0, tlvs=ID).carrier_message_id == "9308878062554710043"


def test_an_intermediate_notification_is_under_way() -> None:
    assert receipt(b"id:42 err:0", esm_class=0x20).state == "enroute"


def test_a_receipt_without_anything_readable_is_kept_as_unknown() -> None:
    found = receipt(b"\xff\xfe garbage")
    assert (found.carrier_message_id, found.state, found.raw) == ("", "unknown", "\xff\xfe garbage")


def test_what_did_not_succeed_has_a_reason() -> None:
    reasons = {w: receipt(b"id:1 stat:%b err:0" % w).reason for w in (b"UNDELIV", b"EXPIRED", b"DELETED", b"REJECTD")}
    assert list(reasons.values()) == ["unreachable", "carrier_expired", "carrier_deleted", "carrier_error"]
    assert receipt(b"id:1 stat:ENROUTE err:0").reason == ""


@given(st.binary(max_size=200), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60))
def test_no_content_of_a_receipt_raises(text: bytes, esm_class: int, coding: int, tail: bytes) -> None:
    for content in (text, BOOK[:60] + text, b"id:" + text + b" stat:DELIVRD err:" + text):
        read(content, esm_class=esm_class | 4, tlvs=tail, coding=coding)


def test_a_huge_payload_is_cut_for_the_ledger() -> None:
    assert len(receipt(b"", tlvs=tlv.encode(tlv.MESSAGE_PAYLOAD, b"x" * 60_000)).raw) == 300
