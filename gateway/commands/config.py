"""`sluice config`: are the settings right, and what can be set?

In: a file and the environment, as `sluice run` reads them. Out: the settings in effect, passwords hidden.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import click
import msgspec

from gateway.commands.settings import read_settings
from gateway.config import example


@click.group("config")
def command() -> None:
    """Settings come from defaults, then a file, then SLUICE_* variables, then options."""


@command.command("check")
@click.option("--config", "path", type=click.Path(path_type=Path), envvar="SLUICE_CONFIG", help="A sluice.toml.")
def check(path: Path | None) -> None:
    """Read the settings as `sluice run` would and print what holds."""
    settings = read_settings(path)
    for name, value in msgspec.to_builtins(settings).items():
        shown = hidden(value) if name.endswith("_url") else value
        click.echo(f"{name} = {msgspec.json.encode(shown).decode()}")


@command.command("example")
def print_example() -> None:
    """Print a sluice.toml with every setting, what it means and its default."""
    click.echo(example(), nl=False)


def hidden(url: str) -> str:
    """A URL without its password."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{place}"))
