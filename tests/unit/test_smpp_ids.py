"""Carrier message ids in their many spellings (the list of quirks, 3 and 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp.ids import spellings


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
