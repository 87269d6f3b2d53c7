"""The country of a number by its calling code, fast enough for every message. Pure.

In: E.164 with its plus. Out: ISO 3166, two letters; "" for numbers of no country. Of countries that share a calling
code only those of +1 and +7 are told apart; elsewhere it is the largest one.
"""

from __future__ import annotations

from typing import Final

_WORLD: Final = "001"
_BY_AREA: Final = ("+1", "+7")
_DIGITS: Final = 5
_known: dict[str, str] = {}  # by a plus and four digits: at most ten thousand of them


def country_of(to: str) -> str:
    """Remembers what numbers that begin alike have in common."""
    known = _known.get(to[:_DIGITS])
    return _asked(to) if known is None else known


def _asked(to: str) -> str:
    begin = to[:_DIGITS]
    country = ""
    if begin[1:].isdigit() and len(begin) == _DIGITS:
        if begin.startswith(_BY_AREA):
            country = _by_area(to)
        country = country or _by_code(begin)
        _known[begin] = country
    return country


def _by_code(begin: str) -> str:
    # Loaded with the first number, not with the process.
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    for end in (2, 3, 4):
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(begin[1:end]))
        if regions:
            return "" if regions[0] == _WORLD else str(regions[0])
    return ""


def _by_area(to: str) -> str:
    import phonenumbers

    try:
        found = phonenumbers.region_code_for_number(phonenumbers.parse(to))
    except phonenumbers.NumberParseException:
        return ""
    return str(found or "")
