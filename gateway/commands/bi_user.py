"""`sluice db bi-user`: a login for an analyst.

In: a name. Out: the role, and how to connect; a password that we made is shown once. Never: a password that was given.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import click

from gateway.commands.database import find_database
from gateway.commands.options import reaches_database
from gateway.commands.teaching import DATABASE, SETTINGS, lesson
from gateway.embedded.postgres import Running
from gateway.store import analysts
from gateway.store.pool import StoreAwayError


@click.command(
    "bi-user",
    epilog=lesson(
        "sluice db bi-user anna",
        "sluice db bi-user anna --password-file pw   # a password of your own",
        "sluice db bi-user anna --with-recipients    # numbers and texts, too",
        "sluice db bi-user anna --remove",
        source=f"{DATABASE} {SETTINGS}",
    ),
)
@click.argument("name")
@click.option("--password-file", type=click.Path(path_type=Path), help="Its first line.")
@click.option("--new-password", is_flag=True, help="Make a new one for a login that is there.")
@click.option("--with-recipients", is_flag=True, help="Also bi.recipients: numbers and texts.")
@click.option("--remove", is_flag=True, help="Drop the login.")
@reaches_database("As the owner of the tables, with CREATEROLE.")
def bi_user(
    name: str,
    password_file: Path | None,
    new_password: bool,
    with_recipients: bool,
    remove: bool,
    path: Path | None,
    postgres_url: str | None,
    data: Path,
) -> None:
    """A login that reads schema bi, and nothing else: for Power BI, Metabase, DuckDB, Python.

    It cannot write, a query of it ends after 5 minutes, and it has 10 connections. Without --with-recipients it sees no
    numbers and no texts. Repeating it is safe: do so after an upgrade, for what is new in bi. A password that is there
    stays.
    """
    if not analysts.NAME.fullmatch(name):
        raise click.UsageError(f"`{name}`: a name has small letters, digits and _, and begins with no digit")
    if password_file and new_password:
        raise click.UsageError("--password-file or --new-password, not both")
    url, server = find_database(path, postgres_url, data)
    try:
        if remove:
            if not asyncio.run(analysts.remove(url, name)):
                raise click.ClickException(f"there is no login {name}")
            click.echo(f"{name} is gone.")
            return
        given = _read(password_file) if password_file else None
        made = None
        if given is None and (new_password or not asyncio.run(analysts.exists(url, name))):
            made = secrets.token_urlsafe(18)
        asyncio.run(analysts.grant(url, name, given or made, with_recipients))
    except (StoreAwayError, analysts.AnalystError) as e:
        raise click.ClickException(str(e)) from e
    seen = "schema bi, with numbers and texts" if with_recipients else "schema bi, without numbers and texts"
    click.echo(f"{name} reads {seen}.")
    if made:
        click.echo(f"password  {made}\n          (shown this once)")
    elif given is None:
        click.echo("password  as it was; --new-password makes another")
    if server is not None:
        click.echo(_how_to_connect(server, name))


def _read(file: Path) -> str:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise click.ClickException(f"{file} cannot be read: {getattr(e, 'strerror', None) or e}") from e
    password = lines[0] if lines else ""
    if why := analysts.check_password(password):
        raise click.ClickException(f"{file}: {why}")
    return password


def _how_to_connect(server: Running, name: str) -> str:
    if not server.host:
        return "PostgreSQL answers on this machine's socket only. For TCP: sluice up --bi-listen 127.0.0.1:5433"
    return f"url       postgresql://{name}@{server.host}:{server.port}/sluice"
