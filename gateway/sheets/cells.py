"""What single cells mean: money, days, classes, ladders, lists, as people write them in Russian and English.

In: a cell's text. Out: the plan's own spelling. Raises `CellError` with a sentence that says what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Final

from gateway.message import CLASSES
from gateway.plan.document import Step

_SPACES: Final = re.compile(r"[\s\u00a0\u202f']+")
_NUMBER: Final = re.compile(r"^[0-9]{1,9}(\.[0-9]{1,6})?$")
_WHOLE: Final = re.compile(r"^[0-9]{1,12}$")
_DOTTED: Final = re.compile(r"^(\d{1,2})\.(\d{1,2})\.(\d{4})$")
_ISO: Final = re.compile(r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2}))?$")
_CURRENCIES: Final = {
    "RUB": ("руб", "рубль", "рублей", "₽", "rur", "р"),
    "EUR": ("€", "евро", "euro"),
    "USD": ("$", "доллар", "us$", "usd$"),
    "KZT": ("₸", "тенге", "тг"),
    "BYN": ("byr", "бел руб"),
}
_SPELT: Final = {spelling: code for code, spellings in _CURRENCIES.items() for spelling in spellings}
_SIGN: Final = re.compile(r"^([^\d\s.,-]+\.?)?\s*([\d\s\u00a0\u202f'.,]+?)\s*([^\d\s,-][^\d,]*)?$")
_KLASSES: Final = {
    "otp": ("2fa", "авторизация", "авторизационный", "авторизационные", "пароли", "одноразовые пароли", "verification"),
    "alert": ("alerts", "оповещение", "оповещения", "уведомление", "уведомления", "экстренный"),
    "transactional": ("service", "сервис", "сервисный", "сервисные", "транзакционный", "транзакционные", "transaction"),
    "marketing": (
        *("promo", "promotional", "advertising", "ad", "bulk"),
        *("реклама", "рекламный", "рекламные", "маркетинг", "маркетинговый"),
    ),
}
_KLASS_OF: Final = {s: k for k in CLASSES for s in (k, *_KLASSES[k])}
_ALL: Final = frozenset({"", "*", "all", "any", "все", "всё", "любой", "любая", "любые"})
_WHOLE_MONTH: Final = frozenset({"whole month", "whole", "retroactive", "за весь месяц", "весь месяц", "весь объем"})
_MARGINAL: Final = frozenset({"", "marginal", "incremental", "по ступеням", "маржинальная", "сверх порога"})


class CellError(ValueError):
    """A cell that cannot be understood; the text is a sentence."""


def price(cell: str) -> tuple[str, str]:
    """A decimal such as "2.15", and the currency that stands beside it, if one does."""
    found = _SIGN.match(cell.strip())
    if found is None:
        raise CellError(f"`{cell[:40]}` is no price: write one such as 2.15.")
    sign = found[1] or found[3] or ""
    return decimal(found[2], cell), currency(sign) if sign else ""


def decimal(cell: str, shown: str = "") -> str:
    """A decimal of the plan, of one with a comma or spaces between thousands."""
    text = _SPACES.sub("", cell)
    if "," in text and "." in text:
        raise CellError(f"`{(shown or cell)[:40]}` has a comma and a point: leave out what divides thousands.")
    text = text.replace(",", ".")
    if not _NUMBER.match(text):
        raise CellError(
            f"`{(shown or cell)[:40]}` is no price: write one such as 2.15, with at most six digits after the point."
        )
    whole, _, fraction = text.partition(".")
    return f"{int(whole)}.{fraction}" if fraction else str(int(whole))


def currency(cell: str) -> str:
    """Three capital letters, of a sign or a word."""
    text = cell.strip().casefold().rstrip(".").replace(". ", " ")
    code = _SPELT.get(text, text.upper())
    if not re.match(r"^[A-Z]{3}$", code):
        raise CellError(f"`{cell[:20]}` is no currency: write three letters such as RUB.")
    return code


def day(cell: str) -> str:
    """A day of the plan's spelling, or a moment with its offset."""
    text = cell.strip()
    try:
        if found := _DOTTED.match(text):
            return date(int(found[3]), int(found[2]), int(found[1])).isoformat()
        if _ISO.match(text):
            datetime.fromisoformat(text)
            return text
        if re.match(r"^\d{4}-\d{2}-\d{2} 00:00(:00)?$", text):  # a spreadsheet's day
            return date.fromisoformat(text[:10]).isoformat()
    except ValueError as e:
        raise CellError(f"There is no day `{text}`.") from e
    raise CellError(f"`{text[:40]}` is no day: write 2026-12-01 or 01.12.2026.")


def klasses(cell: str) -> tuple[str | None, ...]:
    """Classes of a cell that may list several; (None,): all of them."""
    if cell.strip().casefold() in _ALL:
        return (None,)
    found = [_KLASS_OF.get(word.replace("ё", "е")) for word in words(cell)]
    if None in found:
        raise CellError(f"`{cell[:40]}` is no class: write one out of {', '.join(CLASSES)}, or leave it empty for all.")
    return tuple(dict.fromkeys(found))


def words(cell: str) -> list[str]:
    """The members of a list in one cell, in lower case."""
    return [part.casefold() for part in listed(cell)]


def listed(cell: str) -> tuple[str, ...]:
    """The members of a list in one cell, as they are written; none of "all"."""
    if cell.strip().casefold() in _ALL:
        return ()
    parts = (part.strip() for part in re.split(r"[|;,]", cell))
    return tuple(dict.fromkeys(part for part in parts if part))


def ladder(cell: str) -> tuple[Step, ...]:
    """Steps such as `100000:1.90;500000:1.70`: over so many parts of the month, this price."""
    if not cell.strip():
        return ()
    right = "write steps such as 100000:1.90;500000:1.70."
    steps = []
    for part in (part.strip() for part in re.split(r"[;|]", cell) if part.strip()):
        over, colon, at = part.partition(":")
        count = _SPACES.sub("", over).removeprefix(">")
        if not colon or not _WHOLE.match(count) or not int(count):
            raise CellError(f"`{part[:40]}` is no step of a ladder: {right}")
        steps.append(Step(over=int(count), price=decimal(at, part)))
    steps.sort(key=lambda step: step.over)
    if len({step.over for step in steps}) < len(steps):
        raise CellError(f"Two steps of the ladder begin at the same count: {right}")
    return tuple(steps)


def ladder_kind(cell: str) -> str:
    """`marginal` or `whole_month`."""
    text = " ".join(cell.casefold().replace("_", " ").replace("-", " ").replace("ё", "е").split())
    if text in _WHOLE_MONTH:
        return "whole_month"
    if text in _MARGINAL:
        return "marginal"
    raise CellError(f"`{cell[:40]}` is no kind of ladder: write marginal or whole_month.")


def write_ladder(steps: Iterable[Step]) -> str:
    """Inverse of `ladder`."""
    return ";".join(f"{step.over}:{step.price}" for step in steps)
