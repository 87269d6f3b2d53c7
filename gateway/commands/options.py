"""Options that several commands share, said in one way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from gateway.commands.target import DEFAULT_DATA

F = TypeVar("F", bound=Callable[..., object])

AS_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of tables and sentences.")
CONFIG = click.option(
    "--config", "path", type=click.Path(path_type=Path), envvar="SLUICE_CONFIG", help="A sluice.toml."
)
CONFIG_OR_API = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="SLUICE_CONFIG",
    help="A sluice.toml: reach PostgreSQL and Redis themselves, not the API.",
)
_DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="SLUICE_DATA",
    default=DEFAULT_DATA,
    show_default=True,
    help="Of `sluice up`.",
)


def reaches_database(postgres: str = "As the owner of the tables.") -> Callable[[F], F]:
    """`path`, `postgres_url` and `data`: where PostgreSQL is. `postgres`: as whom the URL logs in."""

    def given(function: F) -> F:
        return CONFIG(click.option("--postgres-url", metavar="URL", help=postgres)(_DATA(function)))

    return given
