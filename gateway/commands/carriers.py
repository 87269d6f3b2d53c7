"""`sluice carriers`: how carriers do, and pause, resume, drain."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from gateway.commands.client import Client, console, print_json

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")


@click.group("carriers", invoke_without_command=True)
@_JSON
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List carriers with the state of their links; pause, resume or drain one."""
    if context.invoked_subcommand is not None:
        return
    found = Client().get("/v1/carriers")
    if as_json:
        print_json(found)
    elif found["carriers"]:
        console().print(_table(found["carriers"]))
    else:
        click.echo("The plan has no carriers: sluice plan apply FILE --activate")


def _table(carriers: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("carrier", "mode", "links", "in flight", "limited by", "last error"):
        table.add_column(name)
    for c in carriers:
        status = c["status"]
        links = status.get("links", [])
        bound = sum(link["state"] == "bound" for link in links)
        flight = sum(link["in_flight"] for link in links)
        up = f"{bound} of {len(links)} up" if links else ("up" if status.get("live") else "none")
        table.add_row(
            c["name"], c["mode"], up, str(flight), status.get("limited_by") or "", status.get("last_error") or ""
        )
    return table


def _order(name: str, verb: str, as_json: bool) -> None:
    carrier = Client().post(f"/v1/carriers/{name}/{verb}")
    if as_json:
        print_json(carrier)
    else:
        click.echo(f"{carrier['name']} is {carrier['mode']}.")


@command.command("pause")
@click.argument("name")
@_JSON
def pause(name: str, as_json: bool) -> None:
    """Keep the carrier's links, send nothing; what waits goes to other carriers."""
    _order(name, "pause", as_json)


@command.command("resume")
@click.argument("name")
@_JSON
def resume(name: str, as_json: bool) -> None:
    """Send by the carrier again."""
    _order(name, "resume", as_json)


@command.command("drain")
@click.argument("name")
@_JSON
def drain(name: str, as_json: bool) -> None:
    """Give the carrier nothing new, send what it has."""
    _order(name, "drain", as_json)
