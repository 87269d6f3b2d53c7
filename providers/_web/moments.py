"""When something happened, as carriers write it: ISO 8601, Unix seconds or milliseconds, or a format of their own.

In: text. Out: milliseconds since the epoch, 0 for what cannot be read. Never: an exception because of a date.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from providers._web.reading import Fault

_LAST_S = 253_402_300_799


def moment_reader(form: str, timezone: str, name: str) -> Callable[[str], int]:
    """A function that reads moments of this form. Raises Fault."""
    try:
        zone = UTC if timezone == "UTC" else ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Fault(f"{name}.timezone", "is not a known zone, such as Europe/Moscow") from None
    if form == "iso":
        return lru_cache(4096)(lambda text: _ms(lambda: datetime.fromisoformat(text.strip()), zone))
    if form in ("unix", "unix_ms"):
        return lambda text: _unix(text, 1000 if form == "unix" else 1)
    if "%" not in form:
        raise Fault(f"{name}.done_format", "must be iso, unix, unix_ms, or a format of strptime such as %y%m%d%H%M")
    return lru_cache(4096)(lambda text: _ms(lambda: datetime.strptime(text.strip(), form), zone))


def _ms(read: Callable[[], datetime], zone: tzinfo) -> int:
    try:
        moment = read()
        return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        return 0


def _unix(text: str, factor: int) -> int:
    try:
        moment = float(text)
    except ValueError:
        return 0
    return int(moment * factor) if 0 < moment * factor < _LAST_S * 1000 else 0
