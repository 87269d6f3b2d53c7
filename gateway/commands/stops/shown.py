"""How `sluice stoplist` shows its work: a bar while a file is read, lines that are wrong, entries as a table.

In: slices of a file, entries. Out: standard error for what goes on, standard output for what was asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn

from gateway.commands.bulk.watching import EVERY_S, RateAndLeft
from gateway.commands.stops.access import Version
from gateway.commands.tables import Column, show
from gateway.commands.times import clock
from gateway.message import CLASSES
from gateway.sheets.numbers_file import FileFault, Numbers, Slice, Wrong

_SHOWN: Final = 20


def tell_wrong(wrong: Sequence[Wrong]) -> None:
    """The first lines that have no number, and how many more."""
    for one in wrong[:_SHOWN]:
        click.echo(f"line {one.line}: {one.sentence}", err=True)
    if len(wrong) > _SHOWN:
        click.echo(f"… and {len(wrong) - _SHOWN:,} more lines", err=True)


class UnusableError(click.ClickException):
    """The file cannot be used."""

    exit_code = 2


def watched(path: Path, region: str, column: str | None) -> Iterator[Slice]:
    """The slices of a file, with a bar on a terminal and a line now and then elsewhere."""
    try:
        yield from _watched(Numbers(path, region, column))
    except FileFault as e:
        raise UnusableError(str(e)) from e


def _watched(file: Numbers) -> Iterator[Slice]:
    total, out = file.count(), Console(stderr=True, highlight=False)
    if out.is_terminal:
        columns = (SpinnerColumn(), BarColumn(bar_width=24), MofNCompleteColumn(), RateAndLeft())
        with Progress(*columns, console=out, transient=True) as bar:
            task = bar.add_task("", total=total)
            for one in file.slices():
                yield one
                bar.advance(task, one.lines)
        out.print("All lines are read; writing them down …")
        return
    said, done = time.monotonic(), 0
    for one in file.slices():
        yield one
        done += one.lines
        if time.monotonic() - said > EVERY_S:
            said = time.monotonic()
            out.print(f"{done:,} of {total:,} lines", soft_wrap=True)


def table(found: Sequence[dict[str, Any]]) -> None:
    """Entries for people."""
    columns = [
        Column("number", whole=True),
        Column("client", whole=True),
        Column("stops"),
        Column("source", whole=True),
    ]
    show(
        [*columns, Column("since", whole=True), Column("who", spare=True), Column("why", spare=True)],
        map(_cells, found),
    )


def print_versions(found: Sequence[Version]) -> None:
    """Versions of what was imported."""
    if not found:
        click.echo("Nothing was imported yet: sluice stoplist import FILE")
        return
    columns = [Column(""), Column("version", right=True), Column("list", whole=True), Column("what", whole=True)]
    columns += [Column(name, right=True) for name in ("numbers", "added", "changed", "off")]
    columns += [Column("at", whole=True), Column("who", spare=True), Column("file", spare=True)]
    columns += [Column("why", spare=True)]
    show(columns, map(_version_cells, found))


def _version_cells(v: Version) -> tuple[str, ...]:
    state = "live" if v.current else "" if v.kept else "gone"
    how = f"back to {v.back_to}" if v.how == "rollback" else "whole list" if v.how == "replace" else "import"
    counts = [f"{number:,}" for number in (v.numbers, v.added, v.changed, v.removed)]
    at = v.created_at.strftime("%Y-%m-%d %H:%M")
    return state, str(v.version), v.client or "everybody", how, *counts, at, v.created_by, v.source, v.note


def print_difference(found: Mapping[str, Any]) -> None:
    """What differs between two versions, and the first numbers."""
    whose = found["client"] or "everybody"
    counts = f"{found['added']:,} numbers more, {found['removed']:,} less, {found['changed']:,} changed"
    click.echo(f"List of {whose}, version {found['before']} to {found['after']}: {counts}.")
    if found["numbers"]:
        columns = [Column("number", whole=True), Column("stopped before"), Column("stopped after")]
        rows = [(one["number"], _classes(one["before"]), _classes(one["after"])) for one in found["numbers"]]
        show(columns, rows)
    left = found["added"] + found["removed"] + found["changed"] - len(found["numbers"])
    if left:
        click.echo(f"… and {left:,} more numbers: --limit")


def _classes(some: Sequence[str]) -> str:
    return "all" if set(some) == set(CLASSES) else ", ".join(some) or "nothing"


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    classes = _classes(entry["classes"])
    since = clock(entry["at"], day=True)[:10]
    whose = entry["client"] or "everybody"
    return entry["number"], whose, classes, entry["source"], since, entry["who"] or "", entry["reason"] or ""
