"""Hours of the recipient's day in which a message may be sent. Pure.

In: the plan's windows, whose number it is, the time. Out: now, or when next. Of the windows that match a message those
that name most exactly whom they are for count, and one of them must be open; of a recipient who may be in several time
zones, in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from gateway.plan.document import Plan, Window
from gateway.plan.surroundings import Whose

NEVER: Final = 1 << 62
"""Instead of a time: within the days that are looked ahead there is no moment that all zones allow."""

SPREAD_MS: Final = 600_000
"""What waited for an opening goes within this time after it, not in one moment."""

_AHEAD_DAYS: Final = 9
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
_MOST: Final = 20_000  # answers remembered


class Hours(msgspec.Struct, frozen=True):
    """When a window is open: minutes of the day, and days of the week (0 is Monday) on which it opens."""

    begin: int
    end: int
    days: frozenset[int]

    def hold(self, at: datetime) -> bool:
        """Whether a local time is inside. A window over midnight belongs to the day on which it opens."""
        minute, day = at.hour * 60 + at.minute, at.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


def hours_of(window: Window) -> Hours:
    """The hours of a plan's window; from a time until the same time is a whole day."""
    return Hours(_minutes(window.from_), _minutes(window.until), frozenset(map(_DAYS.index, window.days or _DAYS)))


class _Answer(msgspec.Struct, gc=False):
    """What holds from `since_ms` until `until_ms`: `opens_ms`, 0 while it is open, and when that opening ends again."""

    hours: tuple[Hours, ...]
    zones: tuple[str, ...]
    since_ms: int = 0
    until_ms: int = 0
    opens_ms: int = 0
    closes_ms: int = 0


class _Matched(msgspec.Struct, gc=False):
    """What counts for messages of one kind. The answer is shared by all that have the same hours and zones."""

    names: str
    answer: _Answer


class Windows:
    """The windows of a plan. Remembers what it found until it changes, so that nearly every answer is a lookup."""

    def __init__(self, plan: Plan) -> None:
        self._windows = plan.windows
        self._zone = plan.defaults.timezone
        self.classes: Final = frozenset(klass for window in plan.windows for klass in window.classes)
        """Classes that any window holds back."""
        self._clients = frozenset(client for window in plan.windows for client in window.clients)
        self._matched: dict[tuple[str, str, Whose], _Matched] = {}
        self._answers: dict[tuple[tuple[Hours, ...], tuple[str, ...]], _Answer] = {}

    def opens_ms(self, klass: str, client: str, whose: Whose | None, now_ms: int) -> int:
        """0: it may be sent now; else when it may be next, or NEVER."""
        if klass not in self.classes:
            return 0
        answer = self._match(klass, client, whose).answer
        if not answer.since_ms <= now_ms < answer.until_ms:
            _look(answer, now_ms)
        return answer.opens_ms

    def closes_ms(self, klass: str, client: str, whose: Whose | None) -> int:
        """When it closes again after the opening that was told last."""
        return self._match(klass, client, whose).answer.closes_ms

    def names(self, klass: str, client: str, whose: Whose | None) -> str:
        """The windows that count for such a message, for people; empty: none does."""
        return self._match(klass, client, whose).names

    def zones(self, klass: str, client: str, whose: Whose | None) -> tuple[str, ...]:
        """The time zones that count for such a message."""
        return self._match(klass, client, whose).answer.zones

    def _match(self, klass: str, client: str, whose: Whose | None) -> _Matched:
        key = klass, client if client in self._clients else "", whose or _NOBODY
        found = self._matched.get(key)
        if found is None:
            if len(self._matched) >= _MOST:
                self._matched.clear()
            found = self._matched[key] = self._make(klass, client, whose or _NOBODY)
        return found

    def _make(self, klass: str, client: str, whose: Whose) -> _Matched:
        fitting = [w for w in self._windows if _fits(w, klass, client, whose)]
        best = max(map(_exactness, fitting), default=(False, False, False))
        counting = [w for w in fitting if _exactness(w) == best]
        hours = tuple(map(hours_of, counting))
        known = tuple(filter(_exists, whose.zones))
        zones = known or tuple(dict.fromkeys(w.zone or self._zone for w in counting))
        if len(self._answers) >= _MOST:
            self._answers.clear()
        answer = self._answers.setdefault((hours, zones), _Answer(hours, zones))
        return _Matched(", ".join(w.name for w in counting), answer)


_NOBODY: Final = Whose("")


def _fits(window: Window, klass: str, client: str, whose: Whose) -> bool:
    return (
        klass in window.classes
        and (not window.clients or client in window.clients)
        and (not window.operators or whose.operator in window.operators)
        and (not window.countries or whose.country in window.countries)
    )


def _exactness(window: Window) -> tuple[bool, bool, bool]:
    return bool(window.clients), bool(window.operators), bool(window.countries)


@lru_cache(maxsize=4_096)
def _exists(zone: str) -> bool:
    """Numbering data may be newer than the list of time zones here."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return True


def is_open(hours: Iterable[Hours], zones: Iterable[str], at_ms: int) -> bool:
    """Whether one of the windows is open in each of the zones."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    hours = tuple(hours)
    return all(any(one.hold(local) for one in hours) for local in (at.astimezone(ZoneInfo(zone)) for zone in zones))


def due_ms(opens_ms: int, lot: bytes, until_ms: int) -> int:
    """When a message that waits for an opening is to go: soon after it, each at its own time, before `until_ms`.

    lot: the message's id, whose last bytes are chance.
    """
    spread = max(min(SPREAD_MS, (until_ms - opens_ms) // 2), 1)
    return opens_ms + int.from_bytes(lot[-4:], "big") % spread


def _look(answer: _Answer, now_ms: int) -> None:
    """Nothing changes but where some zone's wall clock passes a beginning or an end, or is put forward or back."""
    hours, zones = answer.hours, answer.zones
    now_open = not hours or is_open(hours, zones, now_ms)
    turns = _turns(hours, zones, now_ms) if hours else ()
    found = next((at for at in turns if is_open(hours, zones, at) is not now_open), None)
    answer.since_ms = now_ms - now_ms % _MINUTE_MS
    answer.until_ms = now_ms + _DAY_MS if found is None else found
    answer.opens_ms = 0 if now_open else NEVER if found is None else found
    answer.closes_ms = NEVER
    if not now_open and found is not None:
        answer.closes_ms = next((at for at in _turns(hours, zones, found) if not is_open(hours, zones, at)), NEVER)


def _turns(hours: tuple[Hours, ...], zones: tuple[str, ...], now_ms: int) -> Iterator[int]:
    """The moments after now at which anything may change, in order."""
    clocks = {minute for one in hours for minute in (one.begin, one.end, 0)}
    today = now_ms // _DAY_MS
    for day in range(today, today + _AHEAD_DAYS):
        low, high = max(day * _DAY_MS, now_ms + 1), (day + 1) * _DAY_MS
        found = {at for zone in zones for at in _of_zone(zone, frozenset(clocks), day) if low <= at < high}
        yield from sorted(found)


@lru_cache(maxsize=4_096)
def _of_zone(zone: str, clocks: frozenset[int], day: int) -> tuple[int, ...]:
    """When the wall clock shows one of these minutes around a day in UTC, and when it is put forward or back."""
    tz, middle = ZoneInfo(zone), date(1970, 1, 1) + timedelta(days=day)
    found: set[int] = set()
    for shift in (-1, 0, 1):
        midnight = datetime.combine(middle + timedelta(days=shift), time())
        for minute in clocks:
            for fold in (0, 1):
                wall = (midnight + timedelta(minutes=minute)).replace(tzinfo=tz, fold=fold)
                found.add(int(wall.timestamp()) * 1000)
    begin = day * _DAY_MS
    for hour in range(24):
        low, high = begin + hour * 3_600_000, begin + (hour + 1) * 3_600_000
        if (was := _offset(tz, low)) != _offset(tz, high):
            found.add(_change(tz, low, high, was))
    return tuple(found)


def _change(tz: ZoneInfo, low_ms: int, high_ms: int, was: timedelta) -> int:
    """The first second after `low_ms` at which the zone's offset is another one."""
    low, high = low_ms // 1000, high_ms // 1000
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(tz, middle * 1000) == was else (low, middle)
    return high * 1000


def _offset(tz: ZoneInfo, at_ms: int) -> timedelta:
    return datetime.fromtimestamp(at_ms / 1000, tz).utcoffset() or timedelta()


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
