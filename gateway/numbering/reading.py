"""The importers: from what registries publish to the CSV files that are kept.

In: files of one kind, in any of the formats. Out: the file to keep, and a report with what is wrong line by line.
Never: a database. The readers of single rows are in registry.py, columns.py and moved.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.datasets.report import Report
from gateway.numbering import kept, moved, registry
from gateway.numbering.columns import Columns
from gateway.numbering.lines import DELIMITERS, Reading, Source, SourceError, fields
from gateway.numbering.ranges import Record, fill_up
from gateway.numbering.sorting import in_order

FORMATS: Final = ("auto", "ru", "csv")

Progress = Callable[[int], None]


def read_numbers(
    sources: Sequence[Source],
    target: Path,
    form: str = "auto",
    progress: Progress | None = None,
    max_errors: int | None = None,
) -> Report:
    """`numbers`: ranges of one or several files. `form`: one of FORMATS. Raises SourceError."""
    reading = Reading(progress, max_errors)
    rows: dict[tuple[str, str], Record] = {}
    again = 0
    for source in sources:
        for first, last, record in _ranges(reading, source, form):
            before = rows.get((first, last))
            if before is not None and before != record:
                again += 1
            rows[first, last] = record
    written = kept.write_numbers(target, ((first, last, record) for (first, last), record in rows.items()))
    remarks = []
    if again:
        remarks.append(f"{again:,} ranges are there twice with something else: the later one counts.")
    if vague := sum(1 for record in rows.values() if record.country == "RU" and not record.zones):
        remarks.append(f"{vague:,} ranges have a region of no known time zone: that of [defaults] counts for them.")
    return reading.report(written, remarks)


def read_ported(
    sources: Sequence[Source],
    target: Path,
    form: str = "auto",
    progress: Progress | None = None,
    max_errors: int | None = None,
) -> Report:
    """`ported`: numbers of one or several files, each number once. `form`: one of FORMATS. Raises SourceError.

    Memory holds a million of them at a time; what is out of order goes through files beside `target`.
    """
    reading = Reading(progress, max_errors)

    def lines() -> Iterator[str]:
        for source in sources:
            yield from moved.lines(reading, source, form)

    rows, same, former, start = 0, 0, "", ","
    with target.open("w", encoding="utf-8", newline="") as file:
        file.write(kept.PORTED_HEADER + "\n")
        for line in in_order(lines(), target):
            if line.startswith(start) and _is_same(former, line):
                if line == former:
                    same += 1
                else:
                    reading.wrong(_twice(former, line), 0)
                continue
            file.write(line)
            former, start = line, line[: line.index(",")]
            rows += 1
    return reading.report(rows, [f"{same:,} rows are there twice: they count once."] if same else [])


def kind_of(source: Source) -> str:
    """`numbers` or `ported`, by the names of the columns. Raises SourceError."""
    first = next(Reading().lines(source), "")
    header = fields(first, max(DELIMITERS, key=first.count))
    if registry.is_header(header) or not Columns(header).missing:
        return "numbers"
    return "ported" if moved.is_header(header) else "numbers"


def check_numbers(source: Path, target: Path) -> Report:
    """`numbers`, sent by somebody: read as `read_numbers` does, whatever its format."""
    return _checked(read_numbers, source, target)


def check_ported(source: Path, target: Path) -> Report:
    """`ported`, sent by somebody."""
    return _checked(read_ported, source, target)


def _checked(read: Callable[[Sequence[Source], Path], Report], source: Path, target: Path) -> Report:
    try:
        return read([Source(source, "the file")], target)
    except SourceError as e:
        return Report(rows=0, remarks=(f"{e}.",))


def _ranges(reading: Reading, source: Source, form: str) -> Iterator[tuple[str, str, Record]]:
    lines = reading.lines(source)
    first = next(lines, None)
    if first is None:
        raise SourceError(f"{source.name} is empty")
    delimiter = max(DELIMITERS, key=first.count)
    header = fields(first, delimiter)
    russian = registry.is_header(header)
    if form == "ru" and not russian:
        raise SourceError(
            f"{source.name}: the first line is not `АВС/ DEF;От;До;Емкость;Оператор;Регион…`: this is no file of the"
            " Russian numbering plan"
        )
    if russian and form != "csv":
        make = _russian(len(header))
    else:
        columns = Columns(header)
        if columns.missing:
            raise SourceError(f"{source.name}: {columns.missing}")
        make = columns.row
    for line in lines:
        made = make(fields(line, delimiter))
        if isinstance(made, str):
            reading.wrong(made)
        else:
            yield made


def _russian(columns: int) -> Callable[[Sequence[str]], tuple[str, str, Record] | str]:
    return lambda found: registry.row(found, columns)


def _is_same(one: str, other: str) -> bool:
    """Whether two lines are of the same number, filled up."""
    return fill_up(one[: one.index(",")]) == fill_up(other[: other.index(",")])


def _twice(one: str, other: str) -> str:
    number, _, owner = one.rstrip("\n").partition(",")
    return (
        f"number {number[:4]}…{number[-4:]} is there for `{owner}` and for `{other.rstrip().partition(',')[2]}`: the"
        " former is kept"
    )
