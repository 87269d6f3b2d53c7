"""What the handset shows of submits that were kept."""

from __future__ import annotations

from gateway.embedded.sandbox.handset import Handset, Kept, decode
from gateway.embedded.sandbox.wire import Submit
from gateway.smpp import tlv
from gateway.text import gsm7, ucs2


def put(
    handset: Handset,
    at: float,
    body: bytes,
    *,
    to: str = "79161234567",
    sender: bytes = b"\5\0Sluice\0",
    esm: int = 0,
    coding: int = 0,
    tlvs: bytes = b"",
) -> None:
    recipient = b"\1\1" + to.encode() + b"\0"
    handset.keep(Kept(at, b"%d" % at, Submit(sender, recipient, esm, 1, coding, body, b"", tlvs)))


def udh8(reference: int, total: int, number: int) -> bytes:
    return bytes((5, 0, 3, reference, total, number))


def test_a_short_message_is_shown_whole_with_its_sender_and_time() -> None:
    handset = Handset(10)
    put(handset, 5, gsm7.encode("5 € [for you]"))
    [shown] = handset.show("+79161234567")
    assert (shown.text, shown.sender, shown.to, shown.at, shown.parts) == (
        "5 € [for you]",
        "Sluice",
        "+79161234567",
        5,
        1,
    )
    assert handset.show("79160000000") == []


def test_parts_with_an_8_bit_reference_are_joined_in_any_order_and_the_parts_come_from_one_sender() -> None:
    handset = Handset(10)
    halves = "Съешь ещё этих мягких французских булок 🥐", " да выпей чаю"
    put(handset, 1, udh8(7, 2, 2) + ucs2.encode(halves[1]), esm=0x40, coding=8)
    put(handset, 2, udh8(7, 2, 1) + b"not the same sender", esm=0x40, sender=b"\5\0Other\0")
    put(handset, 3, udh8(7, 2, 1) + ucs2.encode(halves[0]), esm=0x40, coding=8)
    whole, lone = sorted(handset.show(), key=lambda m: m.sender, reverse=True)
    assert (whole.text, whole.missing, whole.parts, whole.first_at, whole.at) == ("".join(halves), [], 2, 1, 3)
    assert (lone.text, lone.missing) == ("not the same sender", [2])


def test_parts_with_a_16_bit_reference_are_joined_as_numbers_not_as_strings() -> None:
    handset = Handset(20)
    for number in range(12, 0, -1):
        head = bytes((6, 8, 4, 0x12, 0x34, 12, number))
        put(handset, number, head + b"<%d>" % number, esm=0x40)
    [shown] = handset.show()
    assert shown.text == "".join(f"<{n}>" for n in range(1, 13))


def test_parts_told_by_sar_parameters_are_joined() -> None:
    handset = Handset(10)
    for number, text in ((2, b"world"), (1, b"hello ")):
        tags = (
            (tlv.SAR_MSG_REF_NUM, b"\1\2"),
            (tlv.SAR_TOTAL_SEGMENTS, b"\2"),
            (tlv.SAR_SEGMENT_SEQNUM, bytes((number,))),
        )
        put(handset, number, text, tlvs=b"".join(tlv.encode(*tag) for tag in tags))
    assert [m.text for m in handset.show()] == ["hello world"]


def test_the_same_parts_once_more_are_a_second_message_as_on_a_phone() -> None:
    handset = Handset(10)
    for at in (1, 2, 3, 4):
        put(handset, at, udh8(1, 2, (at - 1) % 2 + 1) + b"x", esm=0x40)
    assert [m.text for m in handset.show()] == ["xx", "xx"]


def test_a_header_without_concatenation_is_not_shown_as_text() -> None:
    handset = Handset(10)
    put(handset, 1, bytes((4, 0x24, 1, 1, 0)) + b"text", esm=0x40)
    put(handset, 2, bytes((200, 0)) + b"x", esm=0x40)
    assert handset.show()[0].text == "text"


def test_memory_is_bounded_and_the_newest_are_kept() -> None:
    handset = Handset(3)
    for n in range(10):
        put(handset, n, b"%d" % n)
    assert [m.text for m in handset.show()] == ["7", "8", "9"]
    assert [m.text for m in handset.show(limit=1)] == ["9"]
    handset.clear()
    assert handset.show() == []


def test_every_alphabet_is_decoded_and_an_unknown_one_is_shown_as_hex() -> None:
    assert decode(0, b"\x00\x1b\x65") == "@€"
    assert decode(1, b"plain") == "plain"
    assert decode(3, b"\xe9") == "é"
    assert decode(8, "ж".encode("utf-16-be")) == "ж"
    assert decode(4, b"\x01\xff") == "01ff"
    assert decode(0xF0, b"flash") == "flash"
    assert decode(0x18, "ж".encode("utf-16-be")) == "ж"


def test_a_flash_message_and_a_numeric_sender_are_told() -> None:
    handset = Handset(3)
    put(handset, 1, b"now", coding=0x10, sender=b"\1\x01" + b"74951234567\0")
    [shown] = handset.show()
    assert (shown.class_, shown.sender) == (0, "+74951234567")
