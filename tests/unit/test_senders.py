"""Senders: what carriers can take, and sentences for what they cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text import gsm7
from gateway.text.senders import SenderError, is_numeric, parse


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("MyShop", "MyShop"),
        (" Bank 24/7 ", "Bank 24/7"),
        ("12345678901", "12345678901"),
        ("+7 (916) 123-45-67", "+79161234567"),
        ("7788", "7788"),
        ("123456789012345", "123456789012345"),
        ("ABCDEFGHIJK", "ABCDEFGHIJK"),
        ("Grün & Söhn", "Grün & Söhn"),
    ],
)
def test_senders_that_carriers_take_are_normalised(text: str, sender: str) -> None:
    assert parse(text) == sender


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "sender_empty", "empty"),
        ("   ", "sender_empty", "empty"),
        ("ABCDEFGHIJKL", "sender_too_long", "at most 11 GSM characters, and this one takes 12"),
        ("ABCDEFGHI[]", "sender_too_long", "takes 13"),
        ("1234567890123456", "sender_too_long", "at most 15 digits, and this one has 16"),
        ("Магазин", "sender_alphabet", "Cyrillic"),
        ("BАNK", "sender_alphabet", "Cyrillic"),  # the second letter is Cyrillic and looks Latin
        ("Shop😀", "sender_alphabet", "not in the GSM alphabet"),
        ("My\nShop", "sender_alphabet", "control"),
        ("My\0Shop", "sender_alphabet", "control"),
    ],
)
def test_senders_that_no_carrier_takes_are_refused_with_a_sentence(text: str, code: str, words: str) -> None:
    with pytest.raises(SenderError) as caught:
        parse(text)
    assert caught.value.code == code
    assert words in caught.value.sentence


def test_numbers_and_short_codes_are_told_from_names() -> None:
    assert is_numeric("+79161234567") and is_numeric("7788")
    assert not is_numeric("7788go") and not is_numeric("MyShop")


@given(st.text(max_size=20) | st.text("ABcd 01[€", max_size=14) | st.text("+0123456789 -", max_size=20))
def test_every_accepted_sender_fits_a_message_and_parses_to_itself(text: str) -> None:
    try:
        sender = parse(text)
    except SenderError:
        return
    assert parse(sender) == sender
    if is_numeric(sender):
        assert 1 <= len(sender.lstrip("+")) <= 15
    else:
        assert 1 <= gsm7.septets(sender) <= 11
