"""`sluice db retention`: days that are old enough are dropped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import click

from gateway.commands.settings import read_settings
from gateway.commands.teaching import SETTINGS, lesson
from gateway.store.pool import StoreAwayError
from gateway.store.retention import Ages, RetentionError, drop_old


@click.command(
    "retention",
    epilog=lesson(
        "sluice db retention",
        "SLUICE_KEEP_MESSAGES_DAYS=90 sluice db retention --config /etc/sluice/sluice.toml",
        source=SETTINGS,
    ),
)
@click.option("--config", "path", type=click.Path(path_type=Path), envvar="SLUICE_CONFIG", help="A sluice.toml.")
@click.option("--postgres-url", metavar="URL", help="PostgreSQL >= 14, as the owner of the tables.")
def retention_command(path: Path | None, postgres_url: str | None) -> None:
    """Drop days that are older than the settings keep_…_days say. For every night.

    Safe while the gateway runs: sending and recording wait for nothing. A day with a message that has not ended is
    kept, and all days after it.
    """
    settings = read_settings(path, postgres_url=postgres_url)
    ages = Ages(
        settings.keep_messages_days,
        settings.keep_minutes_days,
        settings.keep_quarters_days,
        settings.keep_hours_days,
        settings.keep_statistics_days,
    )
    try:
        dropped = asyncio.run(drop_old(settings.postgres_url, ages, datetime.now(UTC).date()))
    except (StoreAwayError, RetentionError, asyncpg.PostgresError) as e:
        raise click.ClickException(str(e)) from e
    for name in dropped:
        click.echo(f"dropped {name}")
    click.echo("Nothing older is left." if dropped else "Nothing is old enough.")
