"""Periods that limits and budgets count in: when one begins and ends, in the plan's time zone.

In: a moment in ms since the epoch. Out: the bounds of the second, minute, hour, day or month it lies in. Pure. Days and
months follow the calendar, so that one of them may have 23 hours, or 25.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

FIXED_MS: Final = {"second": 1_000, "minute": 60_000, "hour": 3_600_000}
"""Periods that are as long everywhere, counted from the epoch."""


def bounds(now_ms: int, per: str, zone: str) -> tuple[int, int]:
    """(begin, end) in ms; `begin <= now_ms < end`, and the end of a period is the beginning of the next."""
    length = FIXED_MS.get(per)
    if length is not None:
        begin = now_ms - now_ms % length
        return begin, begin + length
    local = datetime.fromtimestamp(now_ms // 1000, _zone(zone))
    begin, end = _day(local, zone) if per == "day" else _month(local.year, local.month, zone)
    if now_ms >= end:  # the clock was put back over midnight: this hour of the old day comes again
        return end, _after(end, per, zone)
    return begin, end


def _day(local: datetime, zone: str) -> tuple[int, int]:
    next_day = local.replace(tzinfo=None, fold=0) + timedelta(days=1)
    return _midnight(local.year, local.month, local.day, zone), _midnight(
        next_day.year, next_day.month, next_day.day, zone
    )


def _month(year: int, month: int, zone: str) -> tuple[int, int]:
    last = month == 12
    return _midnight(year, month, 1, zone), _midnight(year + last, 1 if last else month + 1, 1, zone)


def _after(begin_ms: int, per: str, zone: str) -> int:
    """The end of the day or month that begins at a midnight."""
    local = datetime.fromtimestamp(begin_ms // 1000, _zone(zone)) + timedelta(hours=12)
    return (_day(local, zone) if per == "day" else _month(local.year, local.month, zone))[1]


@lru_cache(maxsize=1024)
def _midnight(year: int, month: int, day: int, zone: str) -> int:
    """When a day begins: the first moment of it where its midnight does not exist."""
    return int(datetime(year, month, day, tzinfo=_zone(zone)).timestamp()) * 1000


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
