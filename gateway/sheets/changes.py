"""What another rate sheet changes: prices up and down, what has none, and what it means in money on what was sent.

In: the plan, the sheet in use, the sheet to come, the time, and parts sent lately. Out: `Summary`, a value. Prices are
compared in the plan's own currency; steps of ladders are those that nothing sent has reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from gateway.message import CLASSES
from gateway.plan.document import Plan, Rate
from gateway.plan.rates import FOREVER, Price, Rates, Spellings, decimal, key_of

BIGGEST: Final = 10

Volumes = Mapping[tuple[str, str, str], int]
"""(carrier, operator, class) → parts of the last week."""


class Change(msgspec.Struct, frozen=True, rename={"klass": "class"}):
    """One price that differs. None: there is none."""

    carrier: str
    operator: str
    """Or the prefix, with its plus."""
    klass: str
    before: str | None
    after: str | None
    currency: str
    percent: float | None
    """By how much it rises; None when one of the two is missing or was nothing."""
    parts: int = 0
    """Sent in the last week."""


class Money(msgspec.Struct, frozen=True):
    """What the same parts as last week would cost."""

    currency: str
    parts: int
    before: str
    after: str
    difference: str
    """Signed."""


class Summary(msgspec.Struct, frozen=True):
    """Everything that a person wants to know before activating."""

    rows: int
    up: int
    down: int
    new: int
    gone: int
    biggest: tuple[Change, ...]
    without_price: tuple[tuple[str, str], ...]
    """(carrier, operator) of the plan where some class has no price at all."""
    unknown_operators: tuple[str, ...]
    """Spellings that the plan has no operator for: their rows do nothing."""
    unknown_carriers: tuple[str, ...]
    hidden: int
    """Rows that do nothing because the plan has a rate of its own for the same."""
    not_comparable: tuple[str, ...]
    """Currencies that the plan's table does not have."""
    later: int
    """Rows that become valid only after now."""
    money: Money | None
    """None: nothing was sent that has a price in both."""


def compare(
    plan: Plan, before: Iterable[Rate], after: Iterable[Rate], now_ms: int, volumes: Volumes | None = None
) -> Summary:
    """What changes when `after` takes the place of `before`, as of now."""
    old_rows, rows = tuple(before), tuple(after)
    old, new = Rates(plan, old_rows), Rates(plan, rows)
    changes = list(_changes(plan, old, new, now_ms, volumes or {}))
    names = Spellings(plan.operators)
    own = {key_of(rate, names) for rate in plan.rates}
    carriers = {carrier.name for carrier in plan.carriers}
    base = plan.defaults.currency
    spelt = {rate.operator for rate in rows if rate.operator and names.name(rate.operator) is None}
    currencies = {rate.currency or base or "" for rate in rows}
    return Summary(
        rows=len(rows),
        up=sum(_rose(change) is True for change in changes),
        down=sum(_rose(change) is False for change in changes),
        new=sum(change.before is None for change in changes),
        gone=sum(change.after is None for change in changes),
        biggest=tuple(sorted(changes, key=_weight, reverse=True)[:BIGGEST]),
        without_price=tuple(_without_price(plan, new, now_ms)),
        unknown_operators=tuple(sorted(spelt)),
        unknown_carriers=tuple(sorted({rate.carrier for rate in rows} - carriers)),
        hidden=sum(key_of(rate, names) in own for rate in rows),
        not_comparable=tuple(sorted(c for c in currencies if new.comparable(Price(1, c)) == FOREVER)),
        later=sum(tariff.valid_from_ms > now_ms and tariff.of_sheet for tariff in new.tariffs()),
        money=_money(plan, old, new, now_ms, volumes),
    )


def _changes(plan: Plan, old: Rates, new: Rates, now_ms: int, volumes: Volumes) -> Iterator[Change]:
    operators = ["", *(operator.name for operator in plan.operators)]
    taken = {carrier.name: carrier.classes or CLASSES for carrier in plan.carriers}
    prefixes = sorted({t.key[:2] for rates in (old, new) for t in rates.tariffs() if t.key[1]})
    for carrier in sorted({t.key[0] for rates in (old, new) for t in rates.tariffs()}):
        for operator in operators:
            for klass in taken.get(carrier, CLASSES):
                price = old.price(carrier, operator, klass, now_ms=now_ms)
                other = new.price(carrier, operator, klass, now_ms=now_ms)
                if price != other and (operator or len(operators) == 1):
                    parts = volumes.get((carrier, operator, klass), 0)
                    yield _change(carrier, operator, klass, price, other, new, parts)
    for carrier, prefix in prefixes:
        for klass in taken.get(carrier, CLASSES):
            price = old.price(carrier, "", klass, prefix, now_ms)
            other = new.price(carrier, "", klass, prefix, now_ms)
            if price != other:
                yield _change(carrier, "+" + prefix, klass, price, other, new, 0)


def _change(
    carrier: str, operator: str, klass: str, before: Price | None, after: Price | None, rates: Rates, parts: int
) -> Change:
    one, two = before or after, after or before
    assert one is not None and two is not None
    percent = None
    shown = [decimal(p.micro) if p else None for p in (before, after)]
    if one.currency != two.currency:
        shown = [f"{decimal(p.micro)} {p.currency}" if p else None for p in (before, after)]
    if before is not None and after is not None:
        was, becomes = rates.comparable(before), rates.comparable(after)
        if was and FOREVER not in (was, becomes):
            percent = round((becomes - was) * 1000 / was) / 10
    currency = two.currency if one.currency == two.currency else ""
    return Change(carrier, operator, klass, shown[0], shown[1], currency, percent, parts)


def _rose(change: Change) -> bool | None:
    if change.before is None or change.after is None:
        return None
    if change.percent is None:
        return True
    return None if change.percent == 0 else change.percent > 0


def _weight(change: Change) -> tuple[float, int]:
    if change.percent is None:
        return (float("inf") if change.after is None else 0.0), change.parts
    return abs(change.percent), change.parts


def _without_price(plan: Plan, rates: Rates, now_ms: int) -> Iterator[tuple[str, str]]:
    for carrier in plan.carriers:
        if not carrier.sandbox:
            for operator in plan.operators:
                classes = carrier.classes or CLASSES
                if any(rates.price(carrier.name, operator.name, klass, now_ms=now_ms) is None for klass in classes):
                    yield carrier.name, operator.name


def _money(plan: Plan, old: Rates, new: Rates, now_ms: int, volumes: Volumes | None) -> Money | None:
    """Only what has a price in both, so that the difference is one of prices."""
    before = after = parts = 0
    for (carrier, operator, klass), count in (volumes or {}).items():
        one = old.price(carrier, operator, klass, now_ms=now_ms)
        two = new.price(carrier, operator, klass, now_ms=now_ms)
        if one is None or two is None or FOREVER in (new.comparable(one), new.comparable(two)):
            continue
        before += count * new.comparable(one)
        after += count * new.comparable(two)
        parts += count
    if not parts:
        return None
    sign = "-" if after < before else "+"
    difference = sign + decimal(abs(after - before))
    return Money(plan.defaults.currency or "", parts, decimal(before), decimal(after), difference)
