"""`sluice stats`: what was sent, delivered and spent."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.table import Table

from gateway.commands.client import Client, console, print_json
from gateway.commands.times import clock

_SPAN = re.compile(r"(\d+)(min|h|d)")
_UNITS = {"min": "minutes", "h": "hours", "d": "days"}


@click.command("stats")
@click.option("--since", default="24h", show_default=True, help="A span such as 30min, 24h or 7d, or a time.")
@click.option("--until", help="A time, or a span back from now.")
@click.option("--by", default="class,state", show_default=True, help="Of client, class, carrier, operator, state, tag.")
@click.option("--step", type=click.Choice(("minute", "hour", "day")), help="One row for each.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def command(since: str, until: str | None, by: str, step: str | None, as_json: bool) -> None:
    """Messages, parts and cost by what you ask for. A message counts at the time when it was accepted."""
    query = {"since": _time(since), "until": _time(until) if until else None, "by": by, "step": step}
    found = Client().get("/v1/stats", query)
    if as_json:
        print_json(found)
        return
    if not found["groups"]:
        click.echo("Nothing was sent in this time.")
        return
    console().print(_table(found, step is not None))


def _time(text: str) -> str:
    if (span := _SPAN.fullmatch(text)) is not None:
        return (datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})).isoformat(timespec="seconds")
    return text


def _table(found: dict[str, Any], stepped: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    names = (["at"] if stepped else []) + list(found["by"])
    for name in names:
        table.add_column(name)
    for name in ("messages", "parts", "cost"):
        table.add_column(name, justify="right")
    for group in found["groups"]:
        row = [clock(group["at"], day=True)[:16] if n == "at" else group.get(n) or "-" for n in names]
        cost = group["cost"]
        row += [f"{group['messages']:,}", f"{group['parts']:,}", f"{cost['amount']} {cost['currency']}" if cost else ""]
        table.add_row(*row)
    return table
