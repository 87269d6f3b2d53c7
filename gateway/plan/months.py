"""Days and months of a time zone as moments. In: texts of the plan, ms since the epoch. Out: ms. Pure."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=4096)
def moment_ms(text: str, zone: str) -> int:
    """A day such as "2026-12-01" (its beginning in the zone), or a moment with its offset.

    Raises ValueError for a day that no calendar has, ZoneInfoNotFoundError (a KeyError) for an unknown zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return int(moment.timestamp()) * 1000


def month_start_ms(now_ms: int, zone: str) -> int:
    """When the month of a moment began there."""
    day = datetime.fromtimestamp(now_ms // 1000, ZoneInfo(zone))
    return int(day.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()) * 1000


def next_month_ms(now_ms: int, zone: str) -> int:
    """When the month after that of a moment begins there."""
    return month_start_ms(month_start_ms(now_ms, zone) + 32 * 86_400_000, zone)
