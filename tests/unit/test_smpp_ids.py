"""Carrier message ids in their many spellings (the list of quirks, 3 and 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp import pdu
from gateway.smpp.ids import spellings, usual
from providers.smpp.findings import Findings, Tried, about_receipts
from providers.smpp.probe import Answer, Delivered


def test_an_unsigned_id_of_64_bits_is_known_in_hex_and_decimal() -> None:
    assert "9308878062554710043" in spellings("812FC7470000001B")
    assert "812FC7470000001B" in spellings("9308878062554710043")


@pytest.mark.parametrize(("one", "other"), [("0000123", "123"), ("7b", "7B"), ("0x7B", "123"), ("123", "0000007b")])
def test_leading_zeros_and_case_do_not_matter(one: str, other: str) -> None:
    assert other in spellings(one)


@pytest.mark.parametrize("text", ["", "5f3a-99", "x" * 20, "9" * 65, "٣"])
def test_what_is_no_number_has_one_spelling(text: str) -> None:
    assert spellings(text) == []


@given(st.integers(0, 2**128 - 1))
def test_hex_and_decimal_find_each_other_at_any_length(number: int) -> None:
    assert f"{number:X}" in [str(number), *spellings(str(number))]
    assert str(number) in [f"{number:x}", *spellings(f"{number:x}")]


@given(st.text(max_size=40))
def test_no_spelling_is_the_id_itself(text: str) -> None:
    assert text not in spellings(text)


def of(numbers: list[int], spelling: str) -> list[tuple[str, str]]:
    return [(str(number), format(number, spelling)) for number in numbers]


def test_the_form_is_the_one_that_fits_every_id_not_the_first_that_fits_most() -> None:
    assert usual(of([0x12, 0x13, 0x1A], "x"))[0] == "hex_lower"
    assert usual(of([0x12, 0x13, 0x1A], "X"))[0] == "hex"
    assert usual(of([0x12345678, 0x1A], "08x"))[0] == "hex_lower_padded_8"
    assert usual([("12", "12"), ("0013", "0013")]) == ["same"]
    assert usual([("12", "xyz")]) == usual([]) == []


def test_hexadecimal_ids_without_a_letter_do_not_tell_their_case() -> None:
    assert usual(of([0x12, 0x13], "x"))[:2] == ["hex", "hex_lower"]


@pytest.mark.parametrize(("last", "settings"), [(0x19, {}), (0x1A, {"message_ids": "hex_lower"})])
def test_what_was_not_seen_of_ids_is_not_proposed_but_told(last: int, settings: dict[str, str]) -> None:
    numbers, found = [0x12, 0x13, last], Findings(lines=[], settings={})
    tried = [Tried("short", [Answer(0, b"%x\0" % number)]) for number in numbers]
    texts = [f"id:{number} stat:DELIVRD".encode() for number in numbers]
    about_receipts(
        found, tried, [Delivered(pdu.DELIVER_SM, pdu.ShortMessage(esm_class=4, message=text), 0.0) for text in texts]
    )
    assert {k: v for k, v in found.settings.items() if k == "message_ids"} == settings
    assert "receipts write 18 for 12: hex" in dict(found.lines)["message ids"]
