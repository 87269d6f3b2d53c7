"""`sluice demo-data`: a month of messages that nobody sent, for trying reports on.

In: how many, a seed. Out: rows in the ledger and its roll-ups. Never: among real messages unless --force.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from gateway.commands.database import find_database
from gateway.commands.options import reaches_database
from gateway.commands.teaching import DATABASE, SETTINGS, lesson
from gateway.demo import load
from gateway.demo.world import SEED
from gateway.store.pool import StoreAwayError


@click.command(
    "demo-data",
    epilog=lesson(
        "sluice demo-data",
        "sluice demo-data --messages 1000000 --days 60",
        "sluice demo-data --remove",
        source=f"{DATABASE} {SETTINGS}",
    ),
)
@click.option(
    "--messages", type=click.IntRange(1, 20_000_000), default=100_000, show_default=True, help="In all, about."
)
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True)
@click.option("--until", metavar="DAY", help="The day after the last one, such as 2026-12-01.  [default: today, UTC]")
@click.option("--seed", type=int, default=SEED, show_default=True, help="The same seed gives the same month.")
@click.option("--force", is_flag=True, help="Even among real messages.")
@click.option("--remove", is_flag=True, help="Take all of it out again.")
@reaches_database()
def command(
    messages: int,
    days: int,
    until: str | None,
    seed: int,
    force: bool,
    remove: bool,
    path: Path | None,
    postgres_url: str | None,
    data: Path,
) -> None:
    """Five clients, three carriers, four networks, with days, weeks and campaigns, receipts, prices, and one bad day.

    All its clients' names begin with demo-. Statistics and schema bi have it like anything else (docs/bi.md asks it
    five questions).
    """
    url, _ = find_database(path, postgres_url, data)
    try:
        if remove:
            click.echo(f"{asyncio.run(load.remove(url)):,} messages are gone.")
            return
        first = _last(until) - timedelta(days=days)
        written = asyncio.run(load.fill(url, first, days, messages, seed, _Shown(), force))
    except (load.DemoError, StoreAwayError) as e:
        raise click.ClickException(str(e)) from e
    click.echo(f"{written:,} messages from {first} on, with submissions, receipts and statistics.")


def _last(until: str | None) -> date:
    try:
        return date.fromisoformat(until) if until else datetime.now(UTC).date()
    except ValueError:
        raise click.UsageError(f"--until `{until}`: write a day such as 2026-12-01") from None


class _Shown:
    """A bar on standard error, where that is a terminal."""

    def __init__(self) -> None:
        self._days, self._at = 0, 0

    def begin(self, days: int) -> None:
        """So many days are to be filled."""
        self._days = days

    def done(self, day: date, messages: int) -> None:
        """One of them is."""
        self._at += 1
        if sys.stderr.isatty():
            end = "\n" if self._at == self._days else ""
            click.echo(f"\r{self._at:>3} of {self._days} days, {day}: {messages:,} messages ", err=True, nl=bool(end))
