"""`sluice db recount`: statistics of whole days counted anew from the messages."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import click

from gateway.commands.options import CONFIG
from gateway.commands.settings import read_settings
from gateway.commands.teaching import SETTINGS, lesson
from gateway.store.pool import Pool, StoreAwayError
from gateway.store.slices import recount

_EPOCH = date(1970, 1, 1)


@click.command(
    "recount",
    epilog=lesson(
        "sluice db recount --since 2030-01-01",
        "sluice db recount --since 2030-01-01 --until 2030-01-07",
        source=SETTINGS,
    ),
)
@click.option("--since", type=click.DateTime(("%Y-%m-%d",)), required=True, help="The first day, UTC.")
@click.option("--until", type=click.DateTime(("%Y-%m-%d",)), help="The last day; today when not given.")
@CONFIG
@click.option("--postgres-url", metavar="URL", help="PostgreSQL >= 14.")
def recount_command(since: datetime, until: datetime | None, path: Path | None, postgres_url: str | None) -> None:
    """Count the statistics of some days anew from their messages.

    For messages that a release before statistics by country and sender had accepted. Safe to repeat and while the
    gateway runs: recorders wait while a day is counted.
    """
    last = (until or datetime.now(UTC)).date()
    days = range((since.date() - _EPOCH).days, (last - _EPOCH).days + 1)
    try:
        asyncio.run(_recount(read_settings(path, postgres_url=postgres_url).postgres_url, days))
    except (StoreAwayError, asyncpg.PostgresError) as e:
        raise click.ClickException(str(e)) from e


async def _recount(url: str, days: range) -> None:
    pool = await Pool.open(url)
    try:
        for day in days:
            counted = await recount(pool, day)
            click.echo(f"{date.fromordinal(_EPOCH.toordinal() + day)}  {counted:,} messages")
    finally:
        await pool.close()
