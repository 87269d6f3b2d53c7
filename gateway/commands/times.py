"""Times as people write and read them: spans, points, how long ago. Pure but for the local time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_SPAN = re.compile(r"(\d+)\s*(s|min|h|d)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}
SPAN_HINT = "write a span such as 30min, 24h or 7d, or a time such as 2030-01-31T09:00:00+03:00"


def clock(at: str, day: bool = False) -> str:
    """A time of the API in local time, to the millisecond."""
    local = datetime.fromisoformat(at).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S") + f".{local.microsecond // 1000:03d}"


def short(at: str, now: datetime | None = None) -> str:
    """The same in at most 11 characters: the clock today, else the day too."""
    local, today = datetime.fromisoformat(at).astimezone(), (now or datetime.now(UTC)).astimezone()
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%m-%d %H:%M")


def span(seconds: float) -> str:
    """A length of time in one or two units: `35 ms`, `1.2 s`, `3 min 4 s`, `2 d 5 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    for size, name, part, part_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{whole} s"


def seconds_between(earlier: str, later: str) -> float:
    """Between two times of the API."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def length(text: str) -> timedelta | None:
    """`30min`, `24h` or `7d`; None for anything else."""
    found = _SPAN.fullmatch(text.strip())
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def past(text: str) -> str:
    """A span back from now, or a time, as the API reads it. Anything else goes to the API, which says what is right."""
    back = length(text)
    return text if back is None else (datetime.now(UTC) - back).isoformat(timespec="seconds")


def future(text: str | None) -> str | None:
    """A span from now, or a time; without an offset it is local time. Raises click.BadParameter."""
    if text is None:
        return None
    if (ahead := length(text)) is not None:
        return (datetime.now(UTC) + ahead).isoformat(timespec="seconds")
    try:
        return datetime.fromisoformat(text).astimezone().isoformat(timespec="seconds")
    except ValueError:
        raise click.BadParameter(SPAN_HINT, param_hint="--send-at") from None
