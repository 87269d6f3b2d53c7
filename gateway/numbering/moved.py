"""Rows of ported numbers: `number,operator` as anybody may write them, and the Russian database of ported numbers.

In: lines. Out: lines as they are kept, in the order of the source, wrong ones left out and noted. The Russian layout is
`Number,OwnerId,MNC,Route,RegionCode,PortDate,…` with ten digits a number; its operators are kept as MCC-MNC and name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.numbering.kept import plain, ported_line
from gateway.numbering.lines import DELIMITERS, Reading, Source, SourceError, fields
from gateway.numbering.ported import MAX_OPERATORS

_NUMBER: Final = ("number", "msisdn", "phone", "to")
_OPERATOR: Final = ("operator", "network", "carrier", "owner", "recipient")
_CODE: Final = ("mcc_mnc", "mccmnc", "plmn")
_RUSSIA: Final = ("7", "250")
_LEAST, _MOST = 7, 15


def is_header(header: Sequence[str]) -> bool:
    """Whether a first line is one of ported numbers: it names the column of numbers, or has a number already."""
    first = header[0].removeprefix("+")
    return header[0].casefold() in _NUMBER or (len(header) == 2 and first.isdigit() and len(first) >= _LEAST)


def lines(reading: Reading, source: Source, form: str) -> Iterator[str]:
    """The lines to keep of one file. Raises SourceError."""
    found = reading.lines(source)
    first = next(found, None)
    if first is None:
        raise SourceError(f"{source.name} is empty")
    delimiter = max(DELIMITERS, key=first.count)
    header = [name.casefold().replace(" ", "_") for name in fields(first, delimiter)]
    russian = {"number", "ownerid", "mnc"} <= set(header)
    if form == "ru" and not russian:
        raise SourceError(
            f"{source.name}: the first line is not `Number,OwnerId,MNC,…`: this is no file of the Russian database"
        )
    names = _Names(reading)
    if russian and form != "csv":
        return _russian(reading, found, delimiter, header, names)
    number = next((header.index(name) for name in _NUMBER if name in header), None)
    operator = next((header.index(name) for name in (*_OPERATOR, *_CODE) if name in header), None)
    if number is None or operator is None:
        if not header[0].removeprefix("+").isdigit() or len(header) != 2:
            raise SourceError(f"{source.name}: the first line has to name the columns `number` and `operator`")
        found, number, operator = _again(first, found), 0, 1
    return _plainly(reading, found, delimiter, number, operator, names)


def _plainly(
    reading: Reading, found: Iterator[str], delimiter: str, number: int, operator: int, names: _Names
) -> Iterator[str]:
    least = max(number, operator) + 1
    for line in found:
        cells = fields(line, delimiter)
        if len(cells) < least:
            reading.wrong(f"{len(cells)} fields where the header has at least {least}")
            continue
        digits = cells[number].removeprefix("+")
        if not (digits.isascii() and digits.isdigit() and _LEAST <= len(digits) <= _MOST):
            reading.wrong("this is no number: 7 to 15 digits with the country code, such as 79161234567, are right")
        elif (name := names.of(cells[operator])) is not None:
            yield ported_line(digits, name)


def _russian(reading: Reading, found: Iterator[str], delimiter: str, header: list[str], names: _Names) -> Iterator[str]:
    number, owner, code = (header.index(name) for name in ("number", "ownerid", "mnc"))
    least = max(number, owner, code) + 1
    country, mcc = _RUSSIA
    for line in found:
        cells = fields(line, delimiter)
        if len(cells) < least:
            reading.wrong(f"{len(cells)} fields where the header has {len(header)}")
            continue
        digits = cells[number]
        if not (digits.isascii() and digits.isdigit() and len(digits) == 10):
            reading.wrong("this is no number: the ten digits after +7, such as 9161234567, are right")
            continue
        mnc = cells[code]
        if not (mnc.isascii() and mnc.isdigit() and len(mnc) in (1, 2)):
            reading.wrong(f"MNC is `{mnc[:20]}`: two digits, such as 01, are right")
        elif (name := names.of(f"{mcc}{mnc.zfill(2)} {cells[owner]}")) is not None:
            yield ported_line(country + digits, name)


class _Names:
    """Operators' names as they are kept, and how many there are."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._known: dict[str, str] = {}

    def of(self, written: str) -> str | None:
        """The name; None when there is none, or too many are."""
        name = self._known.get(written)
        if name is None:
            name = plain(written)
            if not name:
                self._reading.wrong("the operator is missing")
                return None
            if len(self._known) >= MAX_OPERATORS - 1:
                raise SourceError(f"there are more than {MAX_OPERATORS} different operators: is this the right column?")
            self._known[written] = name
        return name


def _again(line: str, others: Iterator[str]) -> Iterator[str]:
    yield line
    yield from others
