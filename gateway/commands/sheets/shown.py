"""What `sluice rates` and `sluice senders` print: reports, summaries, versions. In: values. Out: lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import click

from gateway.commands.tables import Column, show
from gateway.datasets.report import Report
from gateway.sheets.changes import Change, Summary
from gateway.sheets.sender_changes import SenderSummary
from gateway.store.datasets import Dataset

_SOME = 10
Reader = Callable[[str], str]


def print_report(name: str, report: Report) -> None:
    """Every fault with its place, on standard error."""
    for fault in report.faults:
        click.echo(f"{name}:{fault.line}: {fault.sentence}", err=True)
    if report.errors > len(report.faults):
        click.echo(f"{name}: and {report.errors - len(report.faults)} more", err=True)
    if not report.errors and not report.rows:
        click.echo(f"{name}: there is no row below the names of the columns", err=True)
    for remark in report.remarks:
        click.echo(f"{name}: {remark}", err=True)


def print_rates(summary: Summary) -> None:
    """What a rate sheet changes."""
    s = summary
    moved = f"{_count(s.up, 'price')} up, {s.down} down, {s.new} new, {s.gone} gone"
    click.echo(f"{_count(s.rows, 'row')} in all: {moved}.")
    if s.biggest:
        columns = [
            *(Column(name) for name in ("carrier", "operator", "class")),
            *(Column(name, right=True) for name in ("before", "after", "percent", "parts in a week")),
        ]
        show(columns, [_cells(change) for change in s.biggest])
    if s.later:
        click.echo(f"{_count(s.later, 'row')} of the sheet become valid later.")
    if s.hidden:
        click.echo(f"{_count(s.hidden, 'row')} change nothing: the plan has a [[rate]] of its own for the same.")
    _list("No price in some class: ", [f"{carrier} → {operator}" for carrier, operator in s.without_price])
    _list("Carriers that the plan does not know: ", s.unknown_carriers)
    _list("Operators that the plan does not know (a name, alias or MCC-MNC would do): ", s.unknown_operators)
    _list("Currencies without a worth in [currencies]; they count as dearest: ", s.not_comparable)
    if (money := s.money) is not None:
        sums = f"{money.before} → {money.after} {money.currency} ({money.difference})"
        click.echo(f"On last week's {_count(money.parts, 'part')}: {sums}.")


def print_senders(summary: SenderSummary) -> None:
    """What a registry changes."""
    s = summary
    click.echo(f"{_count(s.rows, 'row')} in all: {s.new} new, {s.gone} gone, {s.changed} in another state.")
    _list("Carriers that the plan does not know: ", s.unknown_carriers)
    _list("Operators that the plan does not know (a name, alias or MCC-MNC would do): ", s.unknown_operators)


def print_versions(rows: Iterable[Dataset], empty: str) -> None:
    """Versions of one kind."""
    columns = [Column(""), Column("version", right=True), Column("rows", right=True)]
    columns += [Column(name) for name in ("note", "file", "kept", "by", "activated", "by")]
    cells = [
        (
            "live" if row.active else "" if row.kept else "gone",
            str(row.version),
            f"{row.rows:,}",
            row.note,
            row.source,
            _time(row.created_ms),
            row.created_by,
            _time(row.activated_ms),
            row.activated_by or "",
        )
        for row in rows
    ]
    if cells:
        show(columns, cells)
    else:
        click.echo(empty)


def _cells(change: Change) -> tuple[str, ...]:
    percent = "" if change.percent is None else f"{change.percent:+.1f} %"
    prices = (_price(change.before, change.currency), _price(change.after, change.currency))
    return change.carrier, change.operator, change.klass, *prices, percent, f"{change.parts:,}" if change.parts else ""


def _price(amount: str | None, currency: str) -> str:
    return "none" if amount is None else f"{amount} {currency}".strip()


def _list(title: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
        click.echo(title + ", ".join(names[:_SOME]) + more)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _time(ms: int | None) -> str:
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def print_kept(kind: str, version: int | None, activated: bool) -> None:
    """What became of a file."""
    if version is None:
        click.echo("Nothing was kept.")
    elif activated:
        click.echo(f"Version {version} is live.")
    else:
        click.echo(f"Version {version} is kept. To use it: sluice {kind} activate {version}")
