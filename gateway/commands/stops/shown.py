"""How `sluice stoplist` shows its work: a bar while a file is read, lines that are wrong, entries as a table.

In: slices of a file, entries. Out: standard error for what goes on, standard output for what was asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn

from gateway.commands.bulk.watching import EVERY_S, RateAndLeft
from gateway.commands.stops.numbers_file import Numbers, Slice, Wrong
from gateway.commands.tables import Column, show
from gateway.commands.times import clock
from gateway.message import CLASSES

_SHOWN: Final = 20


def tell_wrong(wrong: Sequence[Wrong]) -> None:
    """The first lines that have no number, and how many more."""
    for one in wrong[:_SHOWN]:
        click.echo(f"line {one.line}: {one.sentence}", err=True)
    if len(wrong) > _SHOWN:
        click.echo(f"… and {len(wrong) - _SHOWN:,} more lines", err=True)


def watched(file: Numbers) -> Iterator[Slice]:
    """The slices, with a bar on a terminal and a line now and then elsewhere."""
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


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    classes = "all" if set(entry["classes"]) == set(CLASSES) else ", ".join(entry["classes"])
    since = clock(entry["at"], day=True)[:10]
    whose = entry["client"] or "everybody"
    return entry["number"], whose, classes, entry["source"], since, entry["who"] or "", entry["reason"] or ""
