"""The GSM alphabet against a plain table lookup written a second time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text import gsm7

# 3GPP TS 23.038, section 6.2.1, row by row; the escape's place holds a character that no text of these tests has.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\ue000ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {"\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F, "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40}
EXTENSION["€"] = 0x65

gsm_text = st.text(alphabet=sorted((set(BASIC) - {"\ue000"}) | set(EXTENSION)))
any_text = st.text() | st.text(alphabet=BASIC + "".join(EXTENSION) + "ы`😀\x1b\0")


def encode_plainly(text: str) -> bytes | None:
    out = bytearray()
    for character in text:
        if character in EXTENSION:
            out += bytes((0x1B, EXTENSION[character]))
        elif character in BASIC and character != "\ue000":
            out.append(BASIC.index(character))
        else:
            return None
    return bytes(out)


@given(any_text)
def test_a_text_fits_and_encodes_exactly_as_the_specification_lists(text: str) -> None:
    codes = encode_plainly(text)
    assert gsm7.fits(text) == (codes is not None)
    assert gsm7.septets(text) == (-1 if codes is None else len(codes))
    if codes is None:
        with pytest.raises(UnicodeEncodeError):
            gsm7.encode(text)
    else:
        assert gsm7.encode(text) == codes


@given(gsm_text)
def test_what_was_encoded_decodes_to_the_same_text(text: str) -> None:
    assert gsm7.decode(gsm7.encode(text)) == text


@given(st.binary())
def test_no_octets_make_decoding_fail(data: bytes) -> None:
    assert len(gsm7.decode(data).encode("utf-8")) >= len(data) // 2


def test_the_empty_text_fits_and_has_no_codes() -> None:
    assert gsm7.fits("") and gsm7.encode("") == b"" and gsm7.decode(b"") == ""


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\x1bez", "a€z"),
        (b"\x1bA", "A"),
        (b"a\x1b", "a "),
        (b"\x1b\x1b", " "),
        (b"\x80\xff", "��"),
        (b"\x1b\x0a", "\f"),
    ],
    ids=["extension", "unknown code after an escape", "escape at the end", "two escapes", "over 7 bits", "form feed"],
)
def test_decoding_follows_the_specification_where_a_code_has_no_character(data: bytes, text: str) -> None:
    assert gsm7.decode(data) == text


def test_the_escape_itself_is_not_a_character_of_the_alphabet() -> None:
    assert not gsm7.fits("\x1b") and not gsm7.fits("a\x1be€")


@given(st.text())
def test_encoding_never_leaves_a_plain_escape_that_would_eat_the_next_character(text: str) -> None:
    if gsm7.fits(text):
        assert gsm7.encode(text).count(b"\x1b") == sum(c in EXTENSION for c in text)
