"""Recipients' numbers, held equal to the `phonenumbers` library, whose slow answer is the truth."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberFormat, PhoneNumberType, ValidationResult

from gateway.text.numbers import NumberError, country_code_of, parse

CODES = sorted(COUNTRY_CODE_TO_REGION_CODE)
REGIONS = ["RU", "KZ", "US", "DE", "AR", "IT"]


def parse_plainly(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not text.strip("( ").startswith("+") and not phonenumbers.is_valid_number(number):
        return None
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def parsed(text: str, region: str) -> str | None:
    try:
        return parse(text, region)
    except NumberError as e:
        assert e.code.startswith("number_") and e.sentence[0].isupper() and e.sentence.endswith(".")
        return None


plus_digits = st.builds(
    lambda code, rest: f"+{code}{rest}",
    st.sampled_from(CODES) | st.integers(0, 999),
    st.text("0123456789", max_size=15),
)


@given(plus_digits, st.sampled_from(REGIONS))
def test_numbers_with_a_plus_are_parsed_as_phonenumbers_parses_them(text: str, region: str) -> None:
    expected = parse_plainly(text, region)
    assert parsed(text, region) == expected
    assert parsed(text, region) == expected  # the second time by the precomputed table


@given(
    st.builds(str.__add__, st.sampled_from(["", "+", "(+"]), st.text("0123456789 -().", max_size=20)),
    st.sampled_from(REGIONS),
)
def test_numbers_as_people_type_them_are_parsed_as_phonenumbers_parses_them(text: str, region: str) -> None:
    assert parsed(text, region) == parse_plainly(text, region)


@given(st.sampled_from(CODES), st.data())
def test_variations_of_every_countrys_example_numbers_are_parsed_as_phonenumbers_parses_them(
    code: int, data: st.DataObject
) -> None:
    region = phonenumbers.region_code_for_country_code(code)
    kind = data.draw(st.sampled_from([PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.TOLL_FREE]))
    number = phonenumbers.example_number_for_type(region, kind) or phonenumbers.example_number_for_non_geo_entity(code)
    if number is None:
        return
    national = phonenumbers.national_significant_number(number)
    prefix = data.draw(st.sampled_from(["", "", "0", "1", "8", "9", "15", "031"]))
    end = data.draw(st.sampled_from([None, None, -1]))
    text = f"+{code}{prefix}{national[:end]}{data.draw(st.text('0123456789', max_size=2))}"
    assert parsed(text, "RU") == parse_plainly(text, "RU")
    assert parsed(text, "RU") == parse_plainly(text, "RU")
    assert country_code_of(f"+{code}{national}") == code


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("+79161234567", "US"),
        ("8 916 123-45-67", "RU"),
        ("8 (916) 123 45 67", "RU"),
        ("9161234567", "RU"),
        ("79161234567", "RU"),
        (" +7 916 123-45-67 ", "DE"),
        ("+7 8 916 123 45 67", "RU"),
        ("(+7) 916 123 45 67", "DE"),
        ("810 7 916 123 45 67", "RU"),
    ],
)
def test_the_ways_in_which_russians_write_a_mobile_number_give_one_e164_number(text: str, region: str) -> None:
    assert parse(text, region) == "+79161234567"


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("", "number_empty", "The number is empty: write it with its country code, such as +79161234567."),
        ("+7916123456", "number_too_short", "The number is too short: after +7 come 10 digits, and this one has 9."),
        ("+791612345678", "number_too_long", "The number is too long: after +7 come 10 digits, and this one has 11."),
        ("8 916 123-45-6", "number_invalid", None),  # else it would go to +7 891 612-34-56
        ("123-45-67", "number_too_short", None),
        ("+", "number_invalid", None),
        ("+999 1234567", "number_country_unknown", "No country has the code that follows the +."),
        ("+7 FLOWERS", "number_has_letters", None),
        ("+79161234567 доб. 5", "number_has_extension", None),
        ("+79161234567 #5", "number_has_extension", None),
        ("1" * 61, "number_too_long", None),
        ("+7" + "9" * 30, "number_too_long", None),
        ("+1 2530000", "number_too_short", None),  # a local number of one American city
        ("+79161234567,+79161234568", "number_invalid", None),
    ],
)
def test_what_is_not_a_number_gets_a_code_and_a_sentence_that_says_what_would_be_right(
    text: str, code: str, sentence: str | None
) -> None:
    with pytest.raises(NumberError) as caught:
        parse(text, "RU")
    assert caught.value.code == code
    if sentence:
        assert caught.value.sentence == sentence


def test_a_national_number_needs_a_region() -> None:
    with pytest.raises(NumberError) as caught:
        parse("8 916 123-45-67", "ZZ")
    assert caught.value.code == "number_country_missing"


def test_errors_never_repeat_the_number() -> None:
    with pytest.raises(NumberError) as caught:
        parse("+7916123456", "RU")
    assert "916123456" not in caught.value.sentence
