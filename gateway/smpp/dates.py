"""Moments as SMPP and its receipts write them: the standard's forms (SMPP 3.4, 7.1.1 and appendix B) and the field's.

In: octets and the carrier's time zone. Out: ms since the epoch, 0 for anything that is no moment. Never: an exception.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

_ZONED: Final = re.compile(r"(\d{10}|\d{12}|\d{14}) ?([+-]\d\d):?(\d\d)")
_SPELT: Final = re.compile(
    r"""(?:(?P<year>\d{4}|\d\d)[-/.](?P<month>\d\d)[-/.](?P<day>\d\d) | (?P<d>\d\d)[-.](?P<m>\d\d)[-.](?P<y>\d{4}))
    [ T]+(?P<time>\d\d:?\d\d(?::?\d\d)?)(?:\.\d+)?[ ]?(?P<zone>Z|[+-]\d\d:?\d\d)?""",
    re.VERBOSE,
)
_EPOCH_S: Final = range(1_577_836_800, 2_051_222_400)
"""Seconds since the epoch that a receipt may mean, 2020 to 2035: no YYMMDDhhmm of these years is such a number."""


def receipt_ms(octets: bytes, zone: tzinfo) -> int:
    """A date in a receipt: YYMMDDhhmm, YYMMDDhhmmss, both with a year of four digits, an absolute moment of the
    standard, ISO 8601 and its relatives, or seconds or ms since the epoch. `zone` where it names none."""
    text = octets.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return _digits_ms(text, zone)
    if len(text) == 16 and text[15] in "+-":
        return absolute_ms(text.encode())
    if found := _ZONED.fullmatch(text):
        digits, hours, minutes = found.groups()
        return _digits_ms(digits, _offset(hours, minutes))
    if found := _SPELT.fullmatch(text):
        part = found.groupdict(default="")
        day = (part["year"] + part["month"] + part["day"]) or (part["y"] + part["m"] + part["d"])
        named = part["zone"].replace(":", "")
        if named:
            zone = UTC if named == "Z" else _offset(named[:3], named[3:])
        return _digits_ms(day + part["time"].replace(":", ""), zone)
    return 0


def _offset(hours: str, minutes: str) -> tzinfo:
    away = timedelta(hours=abs(int(hours)), minutes=int(minutes))
    return timezone(-away if hours[0] == "-" else away) if away < timedelta(hours=24) else UTC


def _digits_ms(digits: str, zone: tzinfo) -> int:
    # The same twelve digits are a year of two with seconds or of four without: no month is 20 to 29.
    for length, form in ((10, "%y%m%d%H%M"), (12, "%y%m%d%H%M%S"), (12, "%Y%m%d%H%M"), (14, "%Y%m%d%H%M%S")):
        if len(digits) == length and (found := _moment_ms(digits, form, zone)):
            return found
    if len(digits) in (10, 13):
        moment_ms = int(digits.ljust(13, "0"))
        return moment_ms if moment_ms // 1000 in _EPOCH_S else 0
    return 0


def _moment_ms(digits: str, form: str, zone: tzinfo) -> int:
    if form.startswith("%y"):
        digits, form = f"20{digits}", f"%Y{form[2:]}"
    elif not digits.startswith(("19", "20")):
        return 0
    try:
        return int(datetime.strptime(digits, form).replace(tzinfo=zone).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


# YYMMDDhhmmss t nn p: tenths of a second, quarters of an hour from UTC, + or - (7.1.1.1)
def absolute_ms(text: bytes) -> int:
    """A moment as SMPP writes it; 0 for spans too."""
    digits, sign = text[:15], text[15:16]
    if len(text) != 16 or not digits.isdigit() or sign not in (b"+", b"-"):
        return 0
    try:
        local = datetime.strptime("20" + digits[:12].decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        away = timedelta(minutes=15 * int(digits[13:15]))
        return int((local - (away if sign == b"+" else -away)).timestamp() * 1000) + int(digits[12:13]) * 100
    except (ValueError, OverflowError):
        return 0
