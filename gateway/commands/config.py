"""`sluice config`: are the settings right, and what can be set?

In: a file and the environment, as `sluice run` reads them. Out: the settings in effect and where each came from,
passwords hidden.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import click
import msgspec

from gateway.commands.client import print_json
from gateway.commands.options import CONFIG
from gateway.commands.origins import origins
from gateway.commands.settings import read_settings
from gateway.commands.tables import Column, show
from gateway.commands.teaching import SETTINGS, lesson
from gateway.config import example

_SECRETS = re.compile(r"(?i)((?:password|passfile|sslpassword|token|secret)=)[^&]+")


@click.group("config", epilog=lesson("sluice config check", "sluice config example > sluice.toml", source=SETTINGS))
def command() -> None:
    """Settings come from defaults, then a file, then SLUICE_* variables, then options."""


@command.command(
    "check",
    epilog=lesson(
        "sluice config check --config sluice.toml",
        "SLUICE_SHARDS=4 sluice config check",
        source=SETTINGS,
    ),
)
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def check(path: Path | None, as_json: bool) -> None:
    """Read the settings as `sluice run` would; print each as it holds, and where it comes from."""
    values: dict[str, Any] = msgspec.to_builtins(read_settings(path))
    shown = {name: hidden(value) if name.endswith("_url") else value for name, value in values.items()}
    sources = origins(path)
    if as_json:
        print_json({name: {"value": value, "from": sources[name]} for name, value in shown.items()})
        return
    columns = (Column("setting", whole=True), Column("value"), Column("from", whole=True))
    show(columns, [(n, msgspec.json.encode(v).decode(), sources[n]) for n, v in shown.items()])


@command.command("example", epilog=lesson("sluice config example > sluice.toml", source=SETTINGS))
def print_example() -> None:
    """Print a sluice.toml with every setting, what it means and its default."""
    click.echo(example(), nl=False)


def hidden(url: str) -> str:
    """A URL without its password, wherever in it that stands."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "***"
    parts = parts._replace(query=_SECRETS.sub(r"\1***", parts.query))
    if parts.password:
        user, _, place = parts.netloc.rpartition("@")
        parts = parts._replace(netloc=f"{user.partition(':')[0]}:***@{place}")
    return urlunsplit(parts) if parts.password or parts.query else url
