"""`sluice db`: the schema in PostgreSQL, and who may read it.

In: a configuration. Out: a line a migration. Exit codes: 0 done, 1 not done, 2 a command that cannot be understood.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.commands.bi_user import bi_user
from gateway.commands.recount import recount_command
from gateway.commands.retention import retention_command
from gateway.commands.settings import read_settings
from gateway.commands.teaching import SETTINGS, lesson
from gateway.store.migrate import MigrationError, migrate
from gateway.store.pool import StoreAwayError


@click.group("db", epilog=lesson("sluice db migrate", source=SETTINGS))
def command() -> None:
    """The schema in PostgreSQL, and logins for analysts.

    `sluice up` looks after its own; this is for a PostgreSQL of yours, before `sluice run`.
    """


@command.command(
    "migrate",
    epilog=lesson("sluice db migrate --postgres-url postgresql://sluice@db/sluice", source=SETTINGS),
)
@click.option("--config", "path", type=click.Path(path_type=Path), envvar="SLUICE_CONFIG", help="A sluice.toml.")
@click.option("--postgres-url", metavar="URL", help="PostgreSQL >= 14.")
def migrate_command(path: Path | None, postgres_url: str | None) -> None:
    """Bring the schema to this release's. Safe to repeat, and while the gateway runs."""
    settings = read_settings(path, postgres_url=postgres_url)
    try:
        applied = asyncio.run(migrate(settings.postgres_url))
    except (StoreAwayError, MigrationError) as e:
        raise click.ClickException(str(e)) from e
    for name in applied:
        click.echo(f"applied {name}")
    click.echo("The schema is this release's.")


command.add_command(bi_user)
command.add_command(recount_command)
command.add_command(retention_command)
