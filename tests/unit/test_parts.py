"""Parts: how many, where they are cut, and that nothing is lost; against a slow reference that grows parts greedily."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.text import gsm7, parts, ucs2

gsm_text = st.text(alphabet="aZ0 é\n€[]~Ω", max_size=500)
ucs_text = st.text(alphabet="aяж€😀🇷", max_size=300)
headers = st.sampled_from([0, 6, 7])


def size(text: str, encoding: str) -> int:
    return sum(2 if c in gsm7.EXTENSION else 1 for c in text) if encoding == "gsm7" else len(ucs2.encode(text)) // 2


def split_plainly(text: str, encoding: str, udh_bytes: int) -> list[str]:
    whole = {"gsm7": 160, "ucs2": 70}[encoding]
    room = {("gsm7", 0): 160, ("gsm7", 6): 153, ("gsm7", 7): 152, ("ucs2", 0): 70, ("ucs2", 6): 67, ("ucs2", 7): 66}
    if size(text, encoding) <= whole:
        return [text]
    out = [""]
    for character in text:
        if size(out[-1] + character, encoding) > room[encoding, udh_bytes]:
            out.append("")
        out[-1] += character
    return out


@given(gsm_text, headers)
@example("a" * 152 + "€" + "b" * 20, 6)
@example("a" * 159 + "€", 6)
@example("€" * 80, 6)
def test_gsm_parts_are_cut_as_the_slow_reference_cuts_them(text: str, udh_bytes: int) -> None:
    assert parts.split(text, "gsm7", udh_bytes) == split_plainly(text, "gsm7", udh_bytes)
    assert parts.count(text, "gsm7", udh_bytes) == len(split_plainly(text, "gsm7", udh_bytes))


@given(gsm_text | ucs_text, headers)
@example("я" * 66 + "😀" + "я" * 20, 6)
@example("я" * 69 + "😀", 6)
@example("😀" * 35, 6)
def test_ucs2_parts_are_cut_as_the_slow_reference_cuts_them(text: str, udh_bytes: int) -> None:
    assert parts.split(text, "ucs2", udh_bytes) == split_plainly(text, "ucs2", udh_bytes)
    assert parts.count(text, "ucs2", udh_bytes) == len(split_plainly(text, "ucs2", udh_bytes))


@given(st.text(max_size=600), headers)
def test_joined_parts_are_the_text_and_each_part_encodes_whole(text: str, udh_bytes: int) -> None:
    encoding = parts.choose(text)
    codec = gsm7 if encoding == "gsm7" else ucs2
    cut = parts.split(text, encoding, udh_bytes)
    assert "".join(cut) == text
    assert "".join(codec.decode(codec.encode(part)) for part in cut) == text
    assert parts.measure(text, udh_bytes) == (encoding, len(cut))


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("", "gsm7", 1),
        ("a" * 160, "gsm7", 1),
        ("a" * 161, "gsm7", 2),
        ("a" * 306, "gsm7", 2),
        ("a" * 307, "gsm7", 3),
        ("€" * 80, "gsm7", 1),
        ("€" * 81, "gsm7", 2),
        ("€" * 153, "gsm7", 3),  # 153 septets hold 76 pairs: the odd septet of each part stays empty
        ("я" * 70, "ucs2", 1),
        ("я" * 71, "ucs2", 2),
        ("я" * 134, "ucs2", 2),
        ("я" * 200, "ucs2", 3),
        ("😀" * 35, "ucs2", 1),
        ("😀" * 36, "ucs2", 2),
        ("😀" * 67, "ucs2", 3),
    ],
)
def test_the_limits_are_those_that_handsets_know(text: str, encoding: str, expected: int) -> None:
    assert parts.choose(text) == encoding
    assert parts.count(text, encoding) == expected


def test_one_character_outside_the_gsm_alphabet_makes_the_whole_text_ucs2() -> None:
    assert parts.choose("Total: 5€ {ok}") == "gsm7"
    assert parts.choose("Total: 5₽") == "ucs2"
    assert parts.choose("`") == "ucs2"


def test_a_text_that_does_not_fit_its_encoding_is_refused_rather_than_changed() -> None:
    for call in (parts.split, parts.count):
        with pytest.raises(ValueError, match="outside the GSM"):
            call("привет", "gsm7")
        with pytest.raises(ValueError, match="unknown encoding"):
            call("hello", "latin1")
        with pytest.raises(UnicodeEncodeError):
            call("\ud83d" * 40, "ucs2")


@given(st.binary(max_size=50))
def test_no_octets_make_ucs2_decoding_fail(data: bytes) -> None:
    assert 0 <= len(data) - len(ucs2.encode(ucs2.decode(data))) + 1 <= 2
