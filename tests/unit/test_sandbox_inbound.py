"""Subscribers' messages that the sandbox sends: cut in every way, and damaged as asked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.embedded.sandbox.handset import segment
from gateway.embedded.sandbox.inbound import InboundAsk, bodies
from gateway.embedded.sandbox.wire import Submit
from gateway.smpp import pdu, tlv
from gateway.text import gsm7, ucs2

LONG = "Long enough for three parts, so that they can be mixed up. " * 7


def made(text: str = LONG, **wish: Any) -> list[pdu.ShortMessage]:
    ask = msgspec.convert({"from": "+79161234567", "to": "4004", "text": text, **wish}, InboundAsk)
    return [pdu.decode_short_message(body, 0, len(body)) for body in bodies(ask, 77)]


def place(m: pdu.ShortMessage) -> tuple[int, int, int, bytes]:
    found = segment(Submit(b"", b"", m.esm_class, 0, m.data_coding, m.message, b"", m.tlvs))
    return found.reference, found.total, found.number, found.body


@pytest.mark.parametrize("way", ["udh8", "udh16", "sar"])
def test_the_parts_of_a_long_one_make_the_text_again(way: str) -> None:
    found = [place(m) for m in made(concatenation=way, reference=300)]
    assert [(r, t, n) for r, t, n, _ in found] == [(300 & 0xFF if way == "udh8" else 300, 3, n) for n in (1, 2, 3)]
    assert gsm7.decode(b"".join(body for *_, body in found)) == LONG


def test_a_whole_one_may_travel_as_payload() -> None:
    [message] = made("Привет", concatenation="message_payload")
    assert message.message == b"" and ucs2.decode(tlv.decode(message.tlvs)[tlv.MESSAGE_PAYLOAD]) == "Привет"


def test_parts_come_reversed_twice_or_never() -> None:
    assert [place(m)[2] for m in made(order="reversed")] == [3, 2, 1]
    assert [place(m)[2] for m in made(double=[2])] == [1, 2, 2, 3]
    assert [place(m)[2] for m in made(leave_out=[1], order="reversed")] == [3, 2]
    assert len(made("short", double=[1])) == 2


def test_a_part_that_the_text_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="has 3 parts, and there is no part 4"):
        made(leave_out=[4])
