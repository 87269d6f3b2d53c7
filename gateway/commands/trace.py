"""`sluice trace`: everything that happened to a message, found by its id, its ref or its number."""

from __future__ import annotations

import re
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gateway.commands.client import Client, Refused, console, print_json
from gateway.commands.timeline import clock, says

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9][0-9 ()./-]{4,}")
_STYLES = {"delivered": "green", "undeliverable": "red", "rejected": "red", "failed": "red", "expired": "red"}


@click.command("trace")
@click.argument("what", metavar="ID|REF|NUMBER")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Messages to list.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def command(what: str, limit: int, as_json: bool) -> None:
    """Show what happened to a message.

    A ref or a number may belong to several: they are listed, and the newest is shown with its timeline.
    """
    client = Client()
    found = [client.get(f"/v1/messages/{what.lower()}")] if _ID.fullmatch(what) else _search(client, what, limit)
    if not found:
        raise click.ClickException(f"nothing of yours was found for {what}: neither a number nor a ref")
    if "timeline" not in found[0]:
        found[0] = client.get(f"/v1/messages/{found[0]['id']}")
    if as_json:
        print_json(found[0] if _ID.fullmatch(what) else {"messages": found})
        return
    out = console()
    if len(found) > 1:
        out.print(_list(found))
    _show(out, found[0])


def _search(client: Client, what: str, limit: int) -> list[dict[str, Any]]:
    """By number where it can be one, else by ref. A message just accepted is found by its id before it is by these."""
    if _NUMBER.fullmatch(what):
        try:
            by_number = client.get("/v1/messages", {"to": what, "limit": str(limit)})["messages"]
        except Refused as e:
            if e.status != 422:
                raise
        else:
            if by_number:
                return list(by_number)
    return list(client.get("/v1/messages", {"ref": what, "limit": str(limit)})["messages"])


def _list(found: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("accepted", "id", "to", "class", "state", "reason", "carrier", "ref"):
        table.add_column(name)
    for m in found:
        row = (clock(m["accepted_at"], day=True), m["id"], m["to"], m["class"], m["state"])
        table.add_row(*row, *(m[name] or "" for name in ("reason", "carrier", "ref")))
    return table


def _show(out: Console, m: dict[str, Any]) -> None:
    out.print(f"\n{m['id']}", style="bold", end="  ")
    out.print(m["state"], style=_STYLES.get(m["state"], "yellow"), end="")
    why = m.get("reason_text") or m["reason"]
    out.print(f": {why}" if why else "")
    parts = "1 part" if m["parts"] == 1 else f"{m['parts']} parts"
    facts = [
        ("to", f"{m['to']} from {m['from']}, {m['class']}"),
        ("text", f"{m['text']!r} ({parts}, {m['encoding']})"),
        ("carrier", m["carrier"]),
        ("operator", m["operator"]),
        ("price", f"{m['price']['amount']} {m['price']['currency']}" if m["price"] else None),
        ("ref", m["ref"]),
        ("tag", m["tag"]),
        ("send at", clock(m["send_at"], day=True) if m.get("send_at") else None),
        ("batch", m.get("batch_id")),
    ]
    for name, value in facts:
        if value:
            out.print(f"  {name:<9} {value}")
    table = Table(box=None, pad_edge=False, show_header=False)
    for moment in m["timeline"]:
        table.add_row(f"  {clock(moment['at'], day=True)}", moment["event"], says(moment))
    out.print()
    out.print(table)
