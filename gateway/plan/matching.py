"""Which routes match a message, as sets of routes in the bits of an integer: bit n is the plan's nth route.

In: the plan's routes; the facts of a message and whose number it is. Out: a key made of nothing but what some route
asks for, and the routes that match it, first to last. Never: carriers, prices, what is live. Pure.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import msgspec

from gateway.plan.document import Plan, Route
from gateway.plan.surroundings import Whose

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHOLE: Final = 1 << 64


class Asked(Protocol):
    """What routes may ask of a message; `gateway.message.Message` has it all."""

    @property
    def to(self) -> str:
        """E.164 with its plus."""

    @property
    def klass(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def sender(self) -> str: ...
    @property
    def tag(self) -> str: ...
    @property
    def encoding(self) -> str: ...
    @property
    def parts(self) -> int: ...
    @property
    def test(self) -> bool: ...


class Facts(msgspec.Struct, frozen=True, gc=False):
    """The same for a message that need not exist."""

    to: str
    klass: str
    client: str = ""
    sender: str = ""
    tag: str = ""
    encoding: str = "gsm7"
    parts: int = 1
    test: bool = False


Key = tuple[str, str, str, str, str, str, str, int, str, int, str, str]
"""Operator, country, class, client, sender, tag, encoding, step of parts, prefix, time: each "" or 0 where no route
asks for it, but for operator and class, on which prices depend. Then, for who remembers decisions by it, how the
operator is known and what prices ask of the number beside its operator."""


def stable(text: str) -> int:
    """32 bits of a text, the same in every process and release."""
    return zlib.crc32(text.encode())


def mixed(number: int) -> int:
    """64 bits in which every bit depends on every bit of 64 given ones (the finish of MurmurHash3)."""
    number = (number ^ number >> 33) * 0xFF51AFD7ED558CCD & 0xFFFFFFFFFFFFFFFF
    number = (number ^ number >> 33) * 0xC4CEB9FE1A85EC53 & 0xFFFFFFFFFFFFFFFF
    return number ^ number >> 33


def seed(text: str) -> int:
    """64 bits to tell apart what is drawn for the same number at different things."""
    return mixed(stable(text) << 32 | len(text))


class Drawn:
    """A route's share of the recipients: the same ones each time."""

    __slots__ = ("_below", "_seed")

    def __init__(self, route: Route) -> None:
        self._seed = seed("route " + route.name)
        self._below = int((route.percent or 100) / 100 * _WHOLE)

    def has(self, to: str) -> bool:
        """Whether the recipient belongs to it."""
        return mixed(stable(to) ^ self._seed) < self._below


class Matching:
    """The conditions of all routes, made ready. Immutable but for what it remembers of one minute and of prefixes."""

    def __init__(self, plan: Plan) -> None:
        self.routes: Final[Sequence[Route]] = plan.routes
        routes, zone = plan.routes, plan.defaults.timezone
        self._zone = ZoneInfo(zone)
        self._classes = _Sets(routes, lambda route: route.classes)
        self._operators = _Sets(routes, lambda route: route.operators)
        self._countries = _Sets(routes, lambda route: route.countries)
        self._clients = _Sets(routes, lambda route: route.clients)
        self._senders = _Sets(routes, lambda route: route.senders)
        self._tags = _Sets(routes, lambda route: route.tags)
        self._encodings = _Sets(routes, lambda route: route.encodings)
        self._steps, self._parts = _parts(routes)
        self._prefixes = _Prefixes(routes)
        self._timed = [(1 << n, route) for n, route in enumerate(routes) if route.hours is not None or route.days]
        self._untimed = _bits(route.hours is None and not route.days for route in routes)
        self._minute, self._time = -1, 0
        self._times: list[int] = []  # sets of routes, by their number in keys
        self.drawn: Final = tuple(Drawn(route) if route.percent is not None else None for route in routes)
        """By route, who belongs to its `percent`; None: everybody."""
        every = any(route.unregistered != "send" for route in routes)
        self.every_sender: Final = every
        """Whether what becomes of a message depends on its very sender and client, named by a route or not."""
        self.key: Final = self._maker()
        self.is_coarse: Final = self._is_short and not any(self.drawn)
        """Whether routes ask for nothing but operator, class and client, and none has a share of the recipients."""

    def _maker(self) -> Callable[[Asked, Whose, str, int], Key]:
        countries, clients, senders = self._countries.named, self._clients.named, self._senders.named
        tags, encodings, steps, every = self._tags.named, self._encodings.named, self._steps, self.every_sender
        prefixes = self._prefixes.longest if self._prefixes else None
        time_of = self.time if self._timed else None

        def short(facts: Asked, whose: Whose, digits: str, now_ms: int) -> Key:
            """The same where no route asks for more than these."""
            client = clients.get(facts.client, "")
            return (whose.operator, "", facts.klass, client, "", "", "", 0, "", 0, whose.source, digits)

        self._is_short = not (countries or senders or tags or encodings or steps or prefixes or time_of or every)
        if self._is_short:
            return short

        def key(facts: Asked, whose: Whose, digits: str, now_ms: int) -> Key:
            """What the routes can tell apart."""
            client, sender = facts.client, facts.sender
            return (
                whose.operator,
                countries.get(whose.country, ""),
                facts.klass,
                client if every else clients.get(client, ""),
                sender if every else senders.get(sender, ""),
                tags.get(facts.tag, ""),
                encodings.get(facts.encoding, ""),
                bisect_right(steps, facts.parts) if steps else 0,
                prefixes(facts.to) if prefixes is not None else "",
                time_of(now_ms) if time_of is not None else 0,
                whose.source,
                digits,
            )

        return key

    def time(self, now_ms: int) -> int:
        """A number for the set of routes whose hours and days it is; looked at once a minute."""
        minute = now_ms // 60_000
        if minute != self._minute:
            local = datetime.fromtimestamp(minute * 60, self._zone)
            now = self._untimed
            for bit, route in self._timed:
                if it_is_time(route, local):
                    now |= bit
            if now not in self._times:
                self._times.append(now)
            self._minute, self._time = minute, self._times.index(now)
        return self._time

    def matching(self, key: Key) -> list[int]:
        """The numbers of the routes that match, from the first to the first that takes every recipient: those before
        it take some."""
        operator, country, klass, client, sender, tag, encoding, step, prefix, time, _, _ = key
        left = self._classes.of(klass) & self._operators.of(operator) & self._countries.of(country)
        left &= self._clients.of(client) & self._senders.of(sender) & self._tags.of(tag) & self._encodings.of(encoding)
        if self._steps:
            left &= self._parts[step]
        if self._prefixes:
            left &= self._prefixes.of(prefix)
        if self._timed:
            left &= self._times[time]
        found = []
        while left:
            first = left & -left
            number = first.bit_length() - 1
            found.append(number)
            if self.drawn[number] is None:
                break
            left ^= first
        return found

    def local(self, now_ms: int) -> datetime:
        """The moment in the zone of the plan's hours."""
        return datetime.fromtimestamp(now_ms // 1000, self._zone)


def it_is_time(route: Route, local: datetime) -> bool:
    """Whether the route's hours and days hold at a moment of its zone. Hours over midnight belong to the day on which
    it then is."""
    if route.days and DAYS[local.weekday()] not in route.days:
        return False
    if route.hours is None:
        return True
    first, _, last = route.hours.partition("-")
    begin, end, now = _minutes(first), _minutes(last), local.hour * 60 + local.minute
    return begin <= now < end if begin < end else now >= begin or now < end


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << n for n, flag in enumerate(flags) if flag)


class _Sets:
    """The routes for each value of one condition. `named`: the values that some route names, by themselves."""

    __slots__ = ("_sets", "_unconditional", "named")

    def __init__(self, routes: Sequence[Route], values: Callable[[Route], Sequence[str]]) -> None:
        self._unconditional = _bits(not values(route) for route in routes)
        self._sets: dict[str, int] = {}
        for n, route in enumerate(routes):
            for value in values(route):
                self._sets[value] = self._sets.get(value, self._unconditional) | 1 << n
        self.named = {value: value for value in self._sets}

    def of(self, value: str) -> int:
        return self._sets.get(value, self._unconditional)


def _parts(routes: Sequence[Route]) -> tuple[list[int], list[int]]:
    """Numbers of parts from which on other routes match; the routes below the first of them, from it on, and so on."""
    steps = sorted(
        {route.min_parts for route in routes if route.min_parts is not None}
        | {route.max_parts + 1 for route in routes if route.max_parts is not None}
    )
    sets = [_bits(_has_parts(route, parts) for route in routes) for parts in (0, *steps)]
    return steps, sets


def _has_parts(route: Route, parts: int) -> bool:
    least, most = route.min_parts, route.max_parts
    return (least is None or least <= parts) and (most is None or parts <= most)


class _Prefixes:
    """The longest prefix of any route that a number begins with says which of them match."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._unconditional = _bits(not route.prefixes for route in routes)
        self._own: dict[str, int] = {}
        for n, route in enumerate(routes):
            for text in route.prefixes:
                prefix = text.lstrip("+")
                self._own[prefix] = self._own.get(prefix, 0) | 1 << n
        self._lengths = sorted({len(prefix) for prefix in self._own}, reverse=True)
        self._sets = {prefix: self._gathered(prefix) for prefix in self._own}

    def __bool__(self) -> bool:
        return bool(self._own)

    def _gathered(self, prefix: str) -> int:
        found = self._unconditional
        for length in self._lengths:
            if length <= len(prefix):
                found |= self._own.get(prefix[:length], 0)
        return found

    def longest(self, to: str) -> str:
        for length in self._lengths:
            if (prefix := to[1 : 1 + length]) in self._own and len(prefix) == length:
                return prefix
        return ""

    def of(self, prefix: str) -> int:
        return self._sets.get(prefix, self._unconditional)
