"""A row of the Russian numbering plan, as the ministry publishes it: `АВС/ DEF;От;До;Емкость;Оператор;Регион`, and in
newer files `;Территория ГАР;ИНН`.

In: the fields of a line. Out: a range, or a sentence that says what is wrong. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from gateway.numbering.ranges import Record
from gateway.numbering.zones import of_region

_NATIONAL: Final = 10
_ALIKE: Final = str.maketrans("авс", "abc")  # Cyrillic and Latin letters look alike
_NOTHING: Final = ("", "-", "–", "—")


def is_header(fields: Sequence[str]) -> bool:
    """Whether the columns are those of the registry."""
    return len(fields) >= 6 and fields[0].casefold().replace(" ", "").translate(_ALIKE) == "abc/def"


def row(fields: Sequence[str], columns: int) -> tuple[str, str, Record] | str:
    """First, last and record of a line whose header has so many columns; else what is wrong."""
    if len(fields) < columns:
        return f"{len(fields)} fields where the header has {columns}: the line was cut off or split"
    code, first, last, capacity, operator = fields[:5]
    places = fields[5 : len(fields) - 1] if columns >= 7 else fields[5:]
    width = _NATIONAL - len(code)
    if not (code.isascii() and code.isdigit() and len(code) == 3):
        return f"the code is `{code[:20]}`: three digits, such as 916, are right"
    for bound in (first, last):
        if not (bound.isascii() and bound.isdigit() and len(bound) <= width):
            return f"`{bound[:20]}` is no bound of a range: up to {width} digits are right"
    size = int(last) - int(first) + 1
    if size <= 0:
        return f"the range ends at {last}, before it begins at {first}"
    if capacity and capacity != str(size):
        return f"Емкость is {capacity[:20]}, but from {first} to {last} there are {size} numbers"
    if operator in _NOTHING:
        return "the operator is missing"
    return f"7{code}{first.zfill(width)}", f"7{code}{last.zfill(width)}", _record(operator, tuple(places))


@lru_cache(maxsize=100_000)
def _record(operator: str, places: tuple[str, ...]) -> Record:
    """Of several columns with places the last is the clearest; the first is what people know."""
    named = [place for place in places if place not in _NOTHING]
    zones = next((z for place in reversed(named) if (z := of_region(place))), ())
    return Record(operator, "RU", named[0] if named else "", zones)
