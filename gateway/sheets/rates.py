"""A rate sheet: carriers' prices as CSV.

In: the bytes of a price list as people have it. Out: the rows as the plan's own `Rate`, and every fault with its line;
`write` gives the one spelling in which sheets are kept and exported, and which reads as the same rows again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from gateway.plan.document import Rate
from gateway.sheets import cells, table
from gateway.sheets.cells import CellError
from gateway.sheets.table import Fault, Line

COLUMNS: Final = (
    *("carrier", "operator", "prefix", "class", "price", "currency", "valid_from", "ladder", "ladder_kind"),
)
"""As they are written."""

NAMES: Final = {
    "carrier": ("provider", "supplier", "vendor", "перевозчик", "поставщик", "провайдер", "канал", "агрегатор"),
    "operator": (
        *("network", "network name", "operator name", "mno", "mccmnc", "mcc mnc", "plmn"),
        *("оператор", "оператор связи", "сеть", "сотовый оператор"),
    ),
    "mcc": (),
    "mnc": (),
    "prefix": ("dial code", "code", "number prefix", "префикс", "код", "def", "def код", "код def"),
    "class": (
        *("type", "traffic", "traffic type", "message class", "sms type"),
        *("класс", "тип", "тип трафика", "вид трафика", "тип сообщения", "вид сообщения", "категория"),
    ),
    "price": (
        *("rate", "cost", "tariff", "price per part", "price per sms", "price per segment", "unit price"),
        *("цена", "стоимость", "тариф", "цена за часть", "цена за смс", "цена за sms", "цена за сегмент"),
        *("стоимость смс", "стоимость sms", "ставка"),
    ),
    "currency": ("cur", "ccy", "валюта"),
    "valid_from": (
        *("from", "since", "date", "effective", "effective date", "effective from", "start date", "valid since"),
        *("с", "дата", "дата начала", "действует с", "дата вступления", "начало действия"),
    ),
    "ladder": ("steps", "tiers", "volume steps", "ступени", "лестница", "шкала", "пороги", "объемы"),
    "ladder_kind": ("ladder type", "kind of ladder", "тип шкалы", "вид шкалы", "вид лестницы"),
}
_OPERATOR_BYTES: Final = 100
_CARRIER: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")
_PREFIX: Final = re.compile(r"^\+?[0-9]{1,14}$")


class Given(NamedTuple):
    """What rows that say nothing use."""

    carrier: str = ""
    valid_from: str = ""
    currency: str = ""


class Sheet(NamedTuple):
    """A price list, read."""

    rates: tuple[Rate, ...]
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...] = ()


_Is = tuple[str, str | None, str | None, str | None, str | None]


def read(data: bytes, given: Given = Given()) -> Sheet:  # noqa: B008 - immutable
    """Every row that can be understood, and what is wrong with the others."""
    required = ("price",) if given.carrier else ("carrier", "price")
    found = table.read(data, NAMES, required)
    faults, rates = list(found.faults), []
    seen: dict[_Is, int] = {}
    for line in found.lines:
        try:
            for rate in _rates(line, given):
                what = rate.carrier, rate.operator, rate.prefix, rate.klass, rate.valid_from
                first = seen.setdefault(what, line.number)
                if first != line.number:
                    same = "the same carrier, operator or prefix, class and day"
                    raise CellError(f"Line {first} is for {same} already: leave one of them out.")
                rates.append(rate)
        except CellError as e:
            faults.append(Fault(line.number, str(e)))
    return Sheet(tuple(rates), tuple(sorted(faults)), tuple(found.remarks))


def _rates(line: Line, given: Given) -> list[Rate]:
    """One rate for each class that the row is for."""
    get = line.cells.get
    carrier = get("carrier") or given.carrier
    if not carrier:
        raise CellError("This row names no carrier: write the plan's name of it, or give one for all rows.")
    if not _CARRIER.match(carrier):
        raise CellError(f"`{carrier[:60]}` is no name of a carrier: write the plan's name of it.")
    operator, prefix = _operator(line), get("prefix", "")
    if prefix and not _PREFIX.match(prefix):
        raise CellError(f"`{prefix[:40]}` is no prefix: write the first digits of the numbers, such as 7916.")
    if operator and prefix:
        raise CellError("A rate is for an operator or for a prefix, not for both: leave one of them empty.")
    if not get("price"):
        raise CellError("This row has no price: write one such as 2.15.")
    price, currency = cells.price(line.cells["price"])
    if get("currency"):
        currency = cells.currency(line.cells["currency"])
    steps = cells.ladder(get("ladder", ""))
    if steps and prefix:
        raise CellError("What is sent is counted by operator: a rate for a prefix has no ladder.")
    valid_from = get("valid_from") or given.valid_from
    return [
        Rate(
            carrier=carrier,
            price=price,
            operator=operator or None,
            klass=klass,
            currency=currency or given.currency or None,
            prefix=prefix.removeprefix("+") or None,
            valid_from=cells.day(valid_from) if valid_from else None,
            ladder=steps,
            ladder_kind=cells.ladder_kind(get("ladder_kind", "")) if steps else "marginal",
        )
        for klass in cells.klasses(get("class", ""))
    ]


def _operator(line: Line) -> str:
    """As it is spelt; the plan knows its name by `aliases` and `mcc_mnc`."""
    get = line.cells.get
    operator, mcc, mnc = get("operator", ""), get("mcc", ""), get("mnc", "")
    if len(operator.encode()) > _OPERATOR_BYTES:
        raise CellError(f"`{operator[:40]}…` is too long for an operator.")
    if operator or not mcc:
        return "" if operator in ("*", "-") else operator
    if not (mcc.isdigit() and len(mcc) == 3 and mnc.isdigit() and len(mnc) <= 3):
        raise CellError(f"`{mcc} {mnc}` is no MCC and MNC: write them such as 250 and 01.")
    return mcc + mnc.zfill(2)


def write(rates: Iterable[Rate]) -> bytes:
    """The sheet in the one spelling."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for rate in rates:
        ladder = cells.write_ladder(rate.ladder)
        rows.writerow(
            (
                rate.carrier,
                rate.operator or "",
                rate.prefix or "",
                rate.klass or "",
                rate.price,
                rate.currency or "",
                rate.valid_from or "",
                ladder,
                rate.ladder_kind if ladder else "",
            )
        )
    return text.getvalue().encode()


def merged(kept: Sequence[Rate], new: Sequence[Rate]) -> tuple[Rate, ...]:
    """The sheet after an import: a carrier's new list replaces its old one from the day on that the new one begins.

    Rows of other carriers stay, and so do a carrier's rows that are valid before the first day of its new list.
    """
    begins: dict[str, str] = {}
    for rate in new:
        begins[rate.carrier] = min(begins.get(rate.carrier, "9999"), rate.valid_from or "")
    left = [rate for rate in kept if rate.carrier not in begins or (rate.valid_from or "") < begins[rate.carrier]]
    return (*left, *new)
