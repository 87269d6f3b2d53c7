"""What a part costs: the exactest rate, the newest version of it that is valid, the step that its month has reached.

In: the plan's rates, a rate sheet's rows, the number, the time and what was sent in the month. Out: micro-units
(millionths of the currency). No floats, no I/O. The plan's own rates hide a sheet's for the same carrier, prefix,
operator and class. docs/decisions has why a ladder books the step that the month has reached.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from gateway.plan.document import Operator, Plan, Rate
from gateway.plan.months import moment_ms

MICRO: Final = 1_000_000
FOREVER: Final = sys.maxsize
"""A time that does not come; a price that nothing is dearer than."""

_REMEMBERED: Final = 200_000


class Price(NamedTuple):
    """The price of one part."""

    micro: int
    currency: str


Used = Callable[[str, str, str], int]
"""(carrier, operator, class) → parts sent there in this month; "" in place of operator or class: all of them."""

Key = tuple[str, str, str, str]
"""What a rate is for: carrier, prefix, operator, class; "" where it names none."""


def micro(price: str) -> int:
    """Millionths of a decimal such as "2.15", exactly. At most six digits after the point."""
    whole, _, fraction = price.partition(".")
    return int(whole) * MICRO + int(fraction.ljust(6, "0"))


def decimal(price_micro: int) -> str:
    """Inverse of `micro`, with at least two digits after the point."""
    whole, fraction = divmod(price_micro, MICRO)
    return f"{whole}.{f'{fraction:06}'.rstrip('0').ljust(2, '0')}"


class Tariff(msgspec.Struct, frozen=True):
    """One rate made ready: its price, and the steps of its month, by rising `over`."""

    key: Key
    price: Price
    steps: tuple[tuple[int, Price], ...]
    whole_month: bool
    valid_from_ms: int
    of_sheet: bool

    def at(self, used: int) -> Price:
        """The price of the next part when `used` parts were sent in the month."""
        price = self.price
        for over, reached in self.steps:
            if used < over:
                break
            price = reached
        return price

    def used(self, used: Used | None) -> int:
        """The month's parts that its ladder counts: all of the carrier, operator and class that it names."""
        carrier, _, operator, klass = self.key
        return used(carrier, operator, klass) if used is not None and self.steps else 0

    def month_micro(self, parts: int) -> int:
        """What the carrier's invoice says for a month of so many parts."""
        if self.whole_month:
            return parts * self.at(parts - 1).micro if parts else 0
        total, last, price = 0, 0, self.price.micro
        for over, reached in self.steps:
            if parts <= over:
                break
            total += (over - last) * price
            last, price = over, reached.micro
        return total + (parts - last) * price


class _Carrier:
    """A carrier's tariffs: by prefix, operator and class, each with its moments in order."""

    __slots__ = ("lengths", "series")

    def __init__(self) -> None:
        self.lengths: tuple[int, ...] = ()
        self.series: dict[tuple[str, str, str], tuple[list[int], list[Tariff]]] = {}


class Rates:
    """A compiled table of rates. Immutable but for its memory of what was asked, which is bounded."""

    def __init__(self, plan: Plan, sheet: Iterable[Rate] = ()) -> None:
        self._default = plan.defaults.currency or next((r.currency for r in plan.rates if r.currency), "")
        self._worth = {name: micro(value) for name, value in plan.currencies.items()}
        self._worth[self._default] = MICRO
        self._carriers: dict[str, _Carrier] = {}
        self._table(plan, sheet)
        tariffs = list(self.tariffs())
        self._lengths = sorted({len(t.key[1]) for t in tariffs if t.key[1]}, reverse=True)
        self._prefixes = frozenset(t.key[1] for t in tariffs)
        self._moments = sorted({t.valid_from_ms for t in tariffs if t.valid_from_ms})
        self._ladders = [t for t in tariffs if t.steps]
        self.by_prefix: Final = bool(self._lengths)
        """Whether any price depends on more of the number than its operator: then on `prefix(to)`."""
        self.by_volume: Final = frozenset(t.key[0] for t in self._ladders)
        """Carriers with prices that depend on what was sent in the month."""
        self._since = self._until = 0
        self._memory: dict[Key, Tariff | None] = {}

    def _table(self, plan: Plan, sheet: Iterable[Rate]) -> None:
        names, zone = Spellings(plan.operators), plan.defaults.timezone
        ruled = {key_of(rate, names) for rate in plan.rates}
        found: dict[tuple[Key, int], Tariff] = {}
        for rate in plan.rates:
            tariff = self._tariff(rate, key_of(rate, names), zone, of_sheet=False)
            found[tariff.key, tariff.valid_from_ms] = tariff
        for rate in sheet:
            key = key_of(rate, names)
            if key not in ruled:
                tariff = self._tariff(rate, key, zone, of_sheet=True)
                found[key, tariff.valid_from_ms] = tariff
        for (key, since), tariff in sorted(found.items(), key=lambda item: item[0]):
            carrier = self._carriers.setdefault(key[0], _Carrier())
            moments, tariffs = carrier.series.setdefault(key[1:], ([], []))
            moments.append(since)
            tariffs.append(tariff)
        for carrier in self._carriers.values():
            carrier.lengths = tuple(sorted({len(prefix) for prefix, _, _ in carrier.series}, reverse=True))

    def _tariff(self, rate: Rate, key: Key, zone: str, of_sheet: bool) -> Tariff:
        currency = rate.currency or self._default
        steps = sorted((step.over, Price(micro(step.price), currency)) for step in rate.ladder)
        since = moment_ms(rate.valid_from, zone) if rate.valid_from else 0
        price = Price(micro(rate.price), currency)
        return Tariff(key, price, tuple(steps), rate.ladder_kind == "whole_month", since, of_sheet)

    def price(
        self,
        carrier: str,
        operator: str,
        klass: str,
        to: str = "",
        now_ms: int = 0,
        used: Used | None = None,
    ) -> Price | None:
        """What booking and least cost take for one part: the next one of the month.

        The exactest rate decides: the longest prefix, then the operator, then the class, then the carrier's own. Of its
        versions the newest that is valid at `now_ms` counts; 0: the time is not asked, the oldest does.
        """
        tariff = self.tariff(carrier, operator, klass, to, now_ms)
        if tariff is None or not tariff.steps:
            return None if tariff is None else tariff.price
        return tariff.at(tariff.used(used))

    def tariff(self, carrier: str, operator: str, klass: str, to: str = "", now_ms: int = 0) -> Tariff | None:
        """The rate that decides, as `price` says."""
        if not self._since <= now_ms < self._until:
            self._turn_to(now_ms)
        key = (carrier, self.prefix(to) if self._lengths and to else "", operator, klass)
        try:
            return self._memory[key]
        except KeyError:
            if len(self._memory) >= _REMEMBERED:
                self._memory.clear()
            found = self._memory[key] = self._find(*key, now_ms)
            return found

    def _turn_to(self, now_ms: int) -> None:
        place = bisect_right(self._moments, now_ms)
        self._since = self._moments[place - 1] if place else min(now_ms, 1)  # 0 is no time: it stands alone
        self._until = 1 if now_ms == 0 else self._moments[place] if place < len(self._moments) else FOREVER
        self._memory.clear()

    def _find(self, carrier: str, digits: str, operator: str, klass: str, now_ms: int) -> Tariff | None:
        table = self._carriers.get(carrier)
        if table is None:
            return None
        for length in table.lengths:
            if length > len(digits):
                continue
            prefix = digits[:length]
            for key in (
                (prefix, operator, klass),
                (prefix, operator, ""),
                (prefix, "", klass),
                (prefix, "", ""),
            ):
                if (series := table.series.get(key)) is not None:
                    place = bisect_right(series[0], now_ms) - 1
                    if place >= 0 or now_ms == 0:
                        return series[1][max(place, 0)]
        return None

    def version(self, key: Key, now_ms: int) -> Tariff | None:
        """Of the rates for exactly this the newest that is valid."""
        table = self._carriers.get(key[0])
        series = table.series.get(key[1:]) if table is not None else None
        place = bisect_right(series[0], now_ms) - 1 if series is not None else -1
        return series[1][place] if series is not None and place >= 0 else None

    def prefix(self, to: str) -> str:
        """The longest prefix of any rate that a number begins with: all that its digits mean for prices."""
        digits = to[1:] if to[:1] == "+" else to
        for length in self._lengths:
            if digits[:length] in self._prefixes and len(digits) >= length:
                return digits[:length]
        return ""

    def standing(self, now_ms: int, used: Used | None) -> tuple[int, ...]:
        """Which versions are valid and which steps the month has reached, for who remembers decisions: between two
        moments with the same standing no price differs."""
        reached = (sum(over <= count for over, _ in t.steps) for t in self._ladders for count in (t.used(used),))
        return (bisect_right(self._moments, now_ms), *reached)

    def tariffs(self) -> Iterable[Tariff]:
        """Every rate that can come to count, versions of the same key from the oldest to the newest."""
        return (t for carrier in self._carriers.values() for _, series in carrier.series.values() for t in series)

    def comparable(self, price: Price) -> int:
        """Millionths of the default currency, rounded to the nearest; only to compare prices, never booked. A currency
        that the plan's table does not have is dearer than anything: FOREVER."""
        worth = self._worth.get(price.currency)
        return FOREVER if worth is None else (price.micro * worth + MICRO // 2) // MICRO


class Spellings:
    """The plan's name of an operator that a file may spell by an alias, or by MCC and MNC."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self._names: dict[str, str] = {}
        for operator in reversed(operators):
            for spelling in (*operator.aliases, operator.mcc_mnc or "", operator.name):
                if spelling:
                    self._names[spelling.casefold().strip()] = operator.name
        self._own = {operator.name: operator.name for operator in operators}

    def name(self, spelling: str) -> str | None:
        """None when the plan knows no operator by it."""
        return self._own.get(spelling) or self._names.get(spelling.casefold().strip())


def key_of(rate: Rate, names: Spellings) -> Key:
    """What a rate is for, in the plan's words; an operator that it does not know keeps its spelling."""
    operator = "" if rate.operator is None else names.name(rate.operator) or rate.operator
    return rate.carrier, (rate.prefix or "").lstrip("+"), operator, rate.klass or ""
