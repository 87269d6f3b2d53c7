"""What `sluice pause` and `sluice resume` share: what is named, and how pauses are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from gateway.commands.tables import Column, show
from gateway.commands.times import span
from gateway.message import CLASSES

NAMES = ("class", "client", "tag", "carrier")


def named(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options that name one thing."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--carrier", metavar="NAME", help=f"{what} a carrier, as `sluice carriers` does."),
            click.option("--tag", metavar="TAG", help=f"{what} every message with this tag."),
            click.option("--client", metavar="NAME", help=f"{what} every message of this client."),
            click.option("--class", "klass", type=click.Choice(CLASSES), help=f"{what} every message of this class."),
        ):
            command = option(command)
        return command

    return add


def one_of(klass: str | None, client: str | None, tag: str | None, carrier: str | None) -> Mapping[str, str]:
    """The one thing that was named; empty for none. Raises UsageError for several."""
    given = dict(zip(NAMES, (klass, client, tag, carrier), strict=True))
    found = {name: value for name, value in given.items() if value is not None}
    if len(found) > 1:
        raise click.UsageError("Name one of --class, --client, --tag and --carrier at a time.")
    return found


def show_pauses(pauses: list[dict[str, Any]]) -> None:
    """A table of what is paused, or the sentence that nothing is."""
    if not pauses:
        click.echo("Nothing is paused.")
        return
    columns = [Column("paused"), Column("name", whole=True), Column("for", right=True), Column("by"), Column("note")]
    show(columns, [(p["kind"], p["name"], _age(p.get("since")), p.get("by", ""), p.get("note", "")) for p in pauses])


def in_words(pauses: list[dict[str, Any]]) -> str:
    """One line: class marketing, tag spring."""
    return ", ".join(f"{p['kind']} {p['name']}" for p in pauses)


def _age(since: str | None) -> str:
    if since is None:
        return ""
    return span(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()))
