"""What `sluice numbers` prints: reports, changes, versions, numbers. In: values. Out: lines for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from gateway.api.dataset_documents import DatasetView, NumberView, RangeView, UnmappedView
from gateway.commands.tables import Column, show
from gateway.datasets.report import Report
from gateway.numbering.changes import Changes
from gateway.numbering.lines import Source
from gateway.numbering.reading import Progress as Told

_PATIENCE_S, _SAY_EVERY_S, _LOOK_EVERY_S = 300.0, 5.0, 0.3

_WORDS = {
    "ported": "it was ported",
    "plan": "a prefix of the plan",
    "numbers": "the numbering plan",
    "phonenumbers": "the package phonenumbers",
    "rest": "the plan's rest: no operator of the plan is known to have it",
    "": "nobody knows it",
}


@contextmanager
def reading(sources: Sequence[Source]) -> Iterator[Told | None]:
    """A bar over the bytes of files, on a terminal."""
    out = Console(stderr=True, highlight=False)
    if not out.is_terminal:
        yield None
        return
    columns = (TextColumn("reading"), BarColumn(bar_width=24), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task("", total=sum(_size(source.path) for source in sources))
        yield lambda size: bar.advance(task, size)


def wait_for_all(version: int, kind: str, use: Callable[[], tuple[int, int]]) -> bool:
    """Until every process uses the version, with what goes on on standard error; False: some take too long. `use`: how
    many do, and how many there are."""
    out, began, said = Console(stderr=True, highlight=False), time.monotonic(), time.monotonic()
    ready, there = use()
    if ready == there:
        return True
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task(f"processes that use version {version} of {kind}", total=there)
        while ready < there:
            if time.monotonic() - began > _PATIENCE_S:
                return False
            bar.update(task, completed=ready, total=there)
            if not out.is_terminal and time.monotonic() - said > _SAY_EVERY_S:
                said = time.monotonic()
                out.print(f"{ready} of {there} processes use version {version}; the others compile it", soft_wrap=True)
            time.sleep(_LOOK_EVERY_S)
            ready, there = use()
    return True


def print_report(report: Report) -> None:
    """Every fault with its place, on standard error."""
    for fault in report.faults:
        place = f"{fault.file}:{fault.line}" if fault.line else fault.file
        click.echo(f"{place}: {fault.sentence}", err=True)
    if report.errors > len(report.faults):
        click.echo(f"… and {report.errors - len(report.faults):,} more", err=True)
    for remark in report.remarks:
        click.echo(remark, err=True)


def print_changes(kind: str, report: Report, changes: Changes, before: DatasetView | None) -> None:
    """What a file changes."""
    noun = "ranges" if kind == "numbers" else "ported numbers"
    click.echo(f"{report.rows:,} {noun} were read, {report.errors:,} rows are wrong and left out.")
    if before is None:
        click.echo("There is no version in use to compare with.")
        return
    counts = f"{changes.added:,} {noun} more, {changes.removed:,} gone, {changes.changed:,} of another operator"
    click.echo(f"Against version {before.version}: {counts}.")
    if changes.moves:
        columns = [Column("from"), Column("to"), Column(noun, right=True)]
        show(columns, [(move.before, move.after, f"{move.count:,}") for move in changes.moves])


def print_versions(rows: Iterable[DatasetView]) -> None:
    """Versions of all kinds."""
    columns = [Column(""), Column("version", right=True), Column("kind"), Column("rows", right=True)]
    columns += [Column(name) for name in ("note", "file", "kept", "by", "activated", "by")]
    cells = [
        (
            "live" if row.active else "" if row.kept else "gone",
            str(row.version),
            row.kind,
            f"{row.rows:,}",
            row.note,
            row.source,
            _time(row.created_at),
            row.created_by,
            _time(row.activated_at),
            row.activated_by or "",
        )
        for row in rows
    ]
    if cells:
        show(columns, cells)
    else:
        click.echo("Nothing was imported yet: sluice numbers import FILE --activate")


def print_number(found: NumberView) -> None:
    """All that is known of a number, the decision first."""
    lines = [
        ("operator", found.operator or "none of the plan"),
        ("known by", _WORDS.get(found.source, found.source)),
        ("country", found.country),
        ("region", found.region),
        ("time zone", _zones(found.zones)),
        ("ported to", found.ported or "not ported"),
        ("plan", found.plan),
        ("numbering plan", _range(found.numbers)),
        ("phonenumbers", _range(found.phonenumbers)),
    ]
    click.echo(found.number)
    for name, value in lines:
        click.echo(f"  {name:<15} {value or '-'}")


def print_unmapped(found: Sequence[UnmappedView]) -> None:
    """Operators without a name in the plan."""
    if not found:
        click.echo("The plan has a name for every operator of the datasets in use.")
        return
    columns = [Column("dataset"), Column("country"), Column("rows", right=True), Column("name", whole=True)]
    show(columns, [(u.kind, u.country, f"{u.count:,}", u.name) for u in found])
    click.echo('To map one: aliases = ["…"] in its [[operator]] of the plan. Until then its numbers are of the rest.')


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _range(found: RangeView | None) -> str:
    if found is None:
        return "-"
    parts = (found.operator or "no operator", found.mcc_mnc, found.country, found.region)
    return ", ".join(part for part in parts if part)


def _zones(zones: Sequence[str]) -> str:
    return ", ".join(zones) if len(zones) <= 3 else f"one of {len(zones)}: {zones[0]} … {zones[-1]}"


def _time(at: datetime | None) -> str:
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M:%S UTC")
