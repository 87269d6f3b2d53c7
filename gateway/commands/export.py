"""`sluice export`: facts of schema bi as files, a day each, what changed written again.

In: a span, a form, a directory. Out: files, a line of what was done. Never: a number or a text of a message.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.commands.database import find_database
from gateway.commands.options import reaches_database
from gateway.commands.teaching import DATABASE, SETTINGS, lesson
from gateway.commands.times import SPAN_HINT, length
from gateway.exports.export import Task, export
from gateway.exports.facts import EXCEL, FORMATS
from gateway.exports.state import Directory, ExportError
from gateway.store.pool import StoreAwayError


@click.command(
    "export",
    epilog=lesson(
        "sluice export --since 30d --to facts   # and again: only what changed",
        "sluice export --since 2026-11-01 --until 2026-12-01 --format jsonl",
        "sluice export --since 7d --format csv --excel --to week",
        source=f"{DATABASE} {SETTINGS}",
    ),
)
@click.option("--since", help="The first UTC day, or a span back from now such as 30d.  [default: the oldest day]")
@click.option("--until", help="The day after the last one.  [default: tomorrow]")
@click.option("--format", "form", type=click.Choice(FORMATS), default="parquet", show_default=True)
@click.option("--excel", is_flag=True, help="With csv: for Excel with decimal commas (BOM, semicolons).")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), default="export", show_default=True)
@click.option("--all", "everything", is_flag=True, help="Write days again that have not changed, too.")
@reaches_database()
def command(
    since: str | None,
    until: str | None,
    form: str,
    excel: bool,
    to: Path,
    everything: bool,
    path: Path | None,
    postgres_url: str | None,
    data: Path,
) -> None:
    """Messages and submissions as files, one a UTC day: TO/messages/day=2026-11-20/messages-2026-11-20.parquet.

    A second run writes what is new, and again the days that late receipts changed; so does one after a run that broke
    off. Readers see whole files. Columns are those of schema bi (docs/bi.md): no numbers, no texts, no tests.
    """
    if excel and form != "csv":
        raise click.UsageError("--excel is a form of CSV: add --format csv")
    url, _ = find_database(path, postgres_url, data)
    first = _day(since) if since else None
    last = _day(until) if until else datetime.now(UTC).date() + timedelta(days=1)
    if first and first >= last:
        raise click.UsageError(f"--until {last} is not after --since {first}: there is no day between them")
    try:
        directory = Directory.open(to, EXCEL if excel else form)
        try:
            with _Shown() as shown:
                done = asyncio.run(export(url, directory, first, last, shown, everything))
        finally:
            directory.close()
    except (ExportError, StoreAwayError) as e:
        raise click.ClickException(str(e)) from e
    again = f", {done.again} of them again" if done.again else ""
    same = f"; {done.kept} had not changed" if done.kept else ""
    click.echo(f"{done.rows:,} rows in {done.days} days{again}{same}: {to}")


def _day(text: str) -> date:
    if (back := length(text)) is not None:
        return (datetime.now(UTC) - back).date()
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"`{text}`: write a day such as 2026-11-20; {SPAN_HINT}") from None
    return (at.astimezone(UTC) if at.tzinfo else at).date()


class _Shown:
    """A bar on a terminal, a line a day elsewhere; both on standard error."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._lines = not sys.stderr.isatty()
        self._task = self._bar.add_task("days")

    def __enter__(self) -> _Shown:
        if not self._lines:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def begin(self, tasks: int) -> None:
        """So many days are to be written."""
        self._bar.update(self._task, total=tasks)

    def done(self, task: Task, rows: int) -> None:
        """One of them is."""
        said = f"{task.fact.name} {task.day}: {rows:,} rows" + (" (again)" if task.again else "")
        if self._lines:
            click.echo(said, err=True)
        self._bar.update(self._task, advance=1, description=said)
