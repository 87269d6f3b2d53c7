"""A row of a numbering plan as anybody may write it: `prefix` or `first` and `last`, `operator`, what else is known.

In: the columns of a header, the fields of a line. Out: a range, or a sentence that says what is wrong. What a row
leaves out (country, zones) comes from `phonenumbers` and, for Russian regions, from zones.py. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.numbering import world
from gateway.numbering.ranges import DIGITS, Record, fill_up
from gateway.numbering.zones import of_region

_NAMES: Final = {
    "prefix": "prefix",
    "code": "prefix",
    "first": "first",
    "start": "first",
    "from": "first",
    "last": "last",
    "end": "last",
    "to": "last",
    "operator": "operator",
    "network": "operator",
    "carrier": "operator",
    "country": "country",
    "region": "region",
    "zone": "zones",
    "zones": "zones",
    "timezone": "zones",
    "mcc_mnc": "mcc_mnc",
    "mccmnc": "mcc_mnc",
    "plmn": "mcc_mnc",
}
WANTED: Final = "`prefix`, or `first` and `last`; `operator`; and if known `country`, `region`, `zones`, `mcc_mnc`"
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_CODE: Final = re.compile(r"[0-9]{5,6}")
_ZONE: Final = re.compile(r"[A-Za-z]+(/[A-Za-z0-9_+-]+)+|UTC")


class Columns:
    """The header. `missing` says what it lacks."""

    def __init__(self, header: Sequence[str]) -> None:
        names = [_NAMES.get(name.casefold().replace(" ", "_").replace("-", "_"), "") for name in header]
        self._places = {name: place for place, name in enumerate(names) if name}
        bounds = "prefix" in self._places or {"first", "last"} <= self._places.keys()
        named = "operator" in self._places or "mcc_mnc" in self._places
        self.missing = "" if bounds and named else f"the first line has to name the columns: {WANTED}"
        self.count = len(header)

    def row(self, fields: Sequence[str]) -> tuple[str, str, Record] | str:
        """First, last and record of a line; else what is wrong."""
        if len(fields) != self.count:
            return f"{len(fields)} fields where the header has {self.count}"

        def of(name: str) -> str:
            place = self._places.get(name)
            return "" if place is None else fields[place]

        first = (of("prefix") or of("first")).removeprefix("+")
        last = (of("prefix") or of("last")).removeprefix("+") or first
        if wrong := _wrong_bounds(first, last):
            return wrong
        country, mcc_mnc = of("country").upper(), of("mcc_mnc").replace("-", "").replace(" ", "")
        if country and not _COUNTRY.fullmatch(country):
            return f"the country is `{country[:20]}`: two letters (ISO 3166), such as RU, are right"
        if mcc_mnc and not _CODE.fullmatch(mcc_mnc):
            return f"MCC and MNC are `{mcc_mnc[:20]}`: five or six digits, such as 25001, are right"
        zones = tuple(of("zones").replace(",", " ").replace("|", " ").split())
        if strange := next((zone for zone in zones if not _ZONE.fullmatch(zone)), None):
            return f"`{strange[:40]}` is no time zone: a name such as Europe/Moscow is right"
        if not of("operator") and not mcc_mnc:
            return "the operator is missing"
        place = world.ranges().records[world.ranges().find(fill_up(first))]
        if not country:
            country = world.country_of("+" + first.ljust(11, "0")) if place.country == world.SHARED else place.country
        region = of("region")
        if not zones:
            zones = (of_region(region) if country == "RU" else ()) or place.zones
        return first, last, Record(of("operator"), country, region, zones, mcc_mnc)


def _wrong_bounds(first: str, last: str) -> str:
    for bound in (first, last):
        if not (bound.isascii() and bound.isdigit() and len(bound) <= DIGITS):
            return f"`{bound[:20]}` is no beginning of a number: digits with the country code, such as 7916, are right"
    if len(first) != len(last):
        return f"{first} and {last} are not of the same length: write both ends of a range with all digits"
    if first > last:
        return f"the range ends at {last}, before it begins at {first}"
    return ""
