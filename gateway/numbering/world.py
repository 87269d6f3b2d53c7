"""What the package `phonenumbers` knows of every country: carriers of mobile prefixes, countries and time zones.

In: its tables. Out: `Ranges`, built once a process when they are first needed, and the country of numbers whose calling
code several countries share.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from gateway.numbering.ranges import NOTHING, Piece, Ranges, Record, nested, span

SHARED: Final = "??"
"""Stands for the country in records of a calling code that several countries share: `country_of` tells."""

_UNKNOWN_ZONE: Final = "Etc/Unknown"
_TOO_MANY_ZONES: Final = 10
"""A number that may be in more of them is in none that is known."""
_NO_COUNTRY: Final = "001"  # satellite and other numbers of the whole world
_BY_AREA: Final = (1, 7)
"""Calling codes whose three next digits tell the country; others need more."""
_AREA: Final = 5
_EXCHANGE: Final = 10
_MAX_KNOWN: Final = 100_000
_known: dict[str, str] = {}


@cache
def ranges() -> Ranges:
    """The table. Each prefix has what the longest prefix above it says, field by field."""
    # Loaded here: a process that looks up no number does without these tables.
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
    from phonenumbers.carrierdata import CARRIER_DATA
    from phonenumbers.tzdata import TIMEZONE_DATA

    codes = {str(code): _country(regions) for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()}
    records: dict[tuple[str, str, tuple[str, ...]], int] = {("", "", ()): 0}
    pieces: list[Piece] = []
    # A prefix and what it says, below those that it begins with.
    above: list[tuple[str, str, str, tuple[str, ...]]] = [("", "", "", ())]
    for prefix in sorted({*codes, *TIMEZONE_DATA, *CARRIER_DATA}):
        while not prefix.startswith(above[-1][0]):
            above.pop()
        _, name, country, zones = above[-1]
        if prefix in CARRIER_DATA:
            name = _english(CARRIER_DATA[prefix])
        if prefix in codes:
            country = codes[prefix]
        if prefix in TIMEZONE_DATA:
            zones = _zones(prefix, TIMEZONE_DATA[prefix])
        above.append((prefix, name, country, zones))
        record = records.setdefault((name, country, zones), len(records))
        pieces.append((*span(prefix, prefix), record))
    made = [Record(name, country, "", zones) for name, country, zones in records]
    assert made[0] == NOTHING
    return nested(pieces, made)


def country_of(to: str) -> str:
    """The country of an E.164 number with its plus, by its first digits; "" when it has none. Remembers."""
    known = _known.get(to[:_AREA]) or _known.get(to[:_EXCHANGE])
    return _asked(to) if known is None else known


def is_of_area(to: str) -> bool:
    """Whether the number's area alone tells its country, as far as that was asked for already."""
    return bool(_known.get(to[:_AREA]))


def _asked(to: str) -> str:
    import phonenumbers

    if len(_known) >= _MAX_KNOWN:
        _known.clear()
    try:
        number = phonenumbers.parse(to)
    except phonenumbers.NumberParseException:
        return ""
    country = phonenumbers.region_code_for_number(number)
    digits = _AREA if country and number.country_code in _BY_AREA else _EXCHANGE
    if country is None:  # not in use as far as it knows: by the calling code alone
        country = phonenumbers.region_code_for_country_code(number.country_code or 0)
    known = _known[to[:digits]] = "" if country in (None, _NO_COUNTRY, "ZZ") else str(country)
    return known


def _english(names: Mapping[str, str]) -> str:
    return str(names.get("en") or next(iter(names.values()), ""))


def _country(regions: tuple[str, ...]) -> str:
    if len(regions) > 1:
        return SHARED
    return "" if not regions or regions[0] == _NO_COUNTRY else regions[0]


def _zones(prefix: str, zones: tuple[str, ...]) -> tuple[str, ...]:
    if prefix == "79" or len(zones) > _TOO_MANY_ZONES:
        return ()  # Russian mobile codes are of the whole country, though the table says Moscow
    return tuple(zone for zone in zones if zone != _UNKNOWN_ZONE)
