"""Recipients' numbers: from what people write to E.164.

In: a number as typed and the region of numbers without a country code. Out: `+` and digits, or NumberError with a code
and a sentence. A number already written as `+digits` takes a fast path with the same answer. Never puts the number
itself into an error.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, NumberParseException, PhoneMetadata, ValidationResult

_PLUS: Final = ("+", "\uff0b")
_NOT_A_NUMBER: Final = "This is not a phone number: write it with its country code, such as +79161234567."

MAX_CHARACTERS: Final = 60
"""Longer input is not a number, whatever it is."""


_WRITTEN: Final = re.compile(r"[+\uff0b]?[\d\s().\u2010-\u2015/-]+")


class NumberError(ValueError):
    """The text is not a number that a message can be sent to. `code` is stable; the text says what would be right."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class _Country(msgspec.Struct, frozen=True, gc=False):
    """What `+` and three digits say about the rest: where the national part starts, which whole lengths are possible,
    and the national prefix that people write by mistake after a country code (`+7 8 …`)."""

    start: int
    lengths: frozenset[int]
    prefix: re.Pattern[str]


_countries: dict[str, _Country] = {}  # by the first four characters; at most a thousand


def parse(text: str, default_region: str) -> str:
    """E.164 of a number as people write it. `default_region` (ISO 3166 alpha-2) is that of numbers without a `+`.

    With a `+` it must be possible: a known country code and a length that this country has. Without one it is a guess,
    and a number of the region's own plan is asked for, so that `8 916 123-45-6` does not become +7 891 612-34-56.
    Whether the number is in use is the carrier's to say. Raises NumberError.
    """
    country = _countries.get(text[:4])
    if country is not None and len(text) in country.lengths and text.isascii() and text[1:].isdigit():
        prefix = country.prefix.match(text, country.start)
        if prefix is None or (prefix.end() == country.start and prefix.lastindex is None):
            return text
    return _parse_slowly(text, default_region)


def country_code_of(number: str) -> int:
    """The country calling code of an E.164 number, 0 when there is none such."""
    for end in (2, 3, 4):
        code = number[1:end]
        if code.isdigit() and int(code) in COUNTRY_CODE_TO_REGION_CODE:
            return int(code)
    return 0


def _parse_slowly(text: str, default_region: str) -> str:
    text = text.strip().lstrip("( ")
    if not text:
        raise NumberError("number_empty", "The number is empty: write it with its country code, such as +79161234567.")
    if len(text) > MAX_CHARACTERS:
        raise NumberError("number_too_long", "This is too long for a phone number: E.164 has at most 15 digits.")
    if not _WRITTEN.fullmatch(text):
        raise _not_written(text, default_region)
    try:
        number = phonenumbers.parse(text, default_region)
    except NumberParseException as e:
        raise _not_parsed(e, text, default_region) from None
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        digits = len(phonenumbers.national_significant_number(number))
        raise _not_possible(number.country_code or 0, digits)
    if not text.startswith(_PLUS) and not phonenumbers.is_valid_number(number):
        raise NumberError(
            "number_invalid",
            f"As a number of {default_region.upper()} this is not in the numbering plan: write it whole and with its "
            "country code, such as +79161234567.",
        )
    e164: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    _remember(e164)
    return e164


def _remember(e164: str) -> None:
    """Precomputes the fast path for numbers that begin like this one."""
    code = country_code_of(e164)
    metadata = _metadata(code)
    if metadata is None or metadata.general_desc is None or e164[:4] in _countries:
        return
    start = 1 + len(str(code))
    # A leading zero is kept by some countries and dropped by others: it always takes the slow path.
    prefixes = "|".join(p for p in ("0", metadata.national_prefix_for_parsing) if p)
    lengths = frozenset(start + length for length in metadata.general_desc.possible_length)
    _countries[e164[:4]] = _Country(start, lengths, re.compile(prefixes))


def _metadata(code: int) -> PhoneMetadata | None:
    if code not in COUNTRY_CODE_TO_REGION_CODE:
        return None
    return PhoneMetadata.metadata_for_region_or_calling_code(code, phonenumbers.region_code_for_country_code(code))


def _not_written(text: str, default_region: str) -> NumberError:
    try:
        if phonenumbers.parse(text, default_region).extension:
            return NumberError("number_has_extension", "A message cannot be sent to an extension: leave it out.")
    except NumberParseException:
        pass  # not a number even for a patient reader: the sentences below say so
    if any(c.isalpha() for c in text):
        return NumberError("number_has_letters", "A number has no letters: write it in digits, such as +79161234567.")
    return NumberError("number_invalid", _NOT_A_NUMBER)


def _not_parsed(error: NumberParseException, text: str, default_region: str) -> NumberError:
    if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
        if text.startswith(_PLUS):
            return NumberError("number_country_unknown", "No country has the code that follows the +.")
        if default_region.upper() not in phonenumbers.SUPPORTED_REGIONS:
            return NumberError(
                "number_country_missing", "Without a + the country is not known: write the number as +79161234567."
            )
    if error.error_type in (NumberParseException.TOO_SHORT_NSN, NumberParseException.TOO_SHORT_AFTER_IDD):
        return NumberError("number_too_short", "The number is too short: write it whole, such as +79161234567.")
    if error.error_type == NumberParseException.TOO_LONG:
        return NumberError("number_too_long", "The number is too long: E.164 has at most 15 digits.")
    return NumberError("number_invalid", _NOT_A_NUMBER)


def _not_possible(country_code: int, digits: int) -> NumberError:
    lengths = _mobile_lengths(country_code)
    if not lengths:
        return NumberError("number_country_unknown", f"No country has the code +{country_code}.")
    wanted = " or ".join((", ".join(map(str, lengths[:-1])), str(lengths[-1]))).removeprefix(" or ")
    if digits < lengths[0]:
        code, what = "number_too_short", "too short"
    elif digits > lengths[-1]:
        code, what = "number_too_long", "too long"
    else:
        code, what = "number_length", "of a length that is not in use"
    return NumberError(
        code, f"The number is {what}: after +{country_code} come {wanted} digits, and this one has {digits}."
    )


def _mobile_lengths(country_code: int) -> tuple[int, ...]:
    """How many digits mobile numbers of the country have after its code, else numbers of any kind."""
    metadata = _metadata(country_code)
    if metadata is None:
        return ()
    for description in (metadata.mobile, metadata.general_desc):
        if description is not None and description.possible_length and description.possible_length[0] > 0:
            return tuple(description.possible_length)
    return ()
