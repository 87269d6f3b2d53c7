"""`sluice trace`: everything that happened to a message, found by its id, its ref or its number."""

from __future__ import annotations

import re
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gateway.commands.client import Client, Refused, print_json
from gateway.commands.tables import STATES, Column, screen, show
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.timeline import means, reason_in_words, says
from gateway.commands.times import clock, seconds_between, short, span

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9][0-9 ()./-]{4,}")


@click.command(
    "trace",
    epilog=lesson(
        "sluice trace +79161234567",
        "sluice trace order-4711              # the ref that it was sent with",
        "sluice trace 0190f8a4-7c30-7000-8000-5f3a6b2c1d0e --json",
        source=TARGET,
    ),
)
@click.argument("what", metavar="ID|REF|NUMBER")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Messages to list.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def command(what: str, limit: int, as_json: bool) -> None:
    """Show what happened to a message, moment by moment, and what each moment means.

    A ref or a number may belong to several messages: they are listed, and the newest is shown with its timeline.
    """
    client = Client()
    found = [client.get(f"/v1/messages/{what.lower()}")] if _ID.fullmatch(what) else _search(client, what, limit)
    if not found:
        raise Refused(
            f"nothing of yours was found for {what}: neither a number nor a ref",
            todo="a message sent this moment is found by its id first; other clients' messages are not shown",
        )
    if "timeline" not in found[0]:
        found[0] = client.get(f"/v1/messages/{found[0]['id']}")
    if as_json:
        print_json(found[0] if _ID.fullmatch(what) else {"messages": found})
        return
    out = screen()
    if len(found) > 1:
        newest = f"the newest {limit} messages" if len(found) == limit else f"{len(found)} messages, the newest first"
        out.print(f"{newest}:\n")
        _list(out, found)
        out.print("\nThe newest of them:\n")
    show_message(out, found[0])


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


def _list(out: Console, found: list[dict[str, Any]]) -> None:
    """What all have in common needs no column."""
    names = ["accepted", "id", "state"]
    names += [name for name in ("to", "ref") if len({m[name] for m in found}) > 1]
    rows = [[short(m["accepted_at"]) if name == "accepted" else m[name] or "" for name in names] for m in found]
    show([Column(name, whole=name in ("id", "accepted", "state")) for name in names], rows, out)


def show_message(out: Console, m: dict[str, Any]) -> None:
    """The message, then its timeline."""
    why = m.get("reason_text") or reason_in_words(m["reason"])
    head = Text.assemble((m["id"], "bold"), "  ", (m["state"], STATES.get(m["state"], "yellow")))
    out.print(head + Text(f": {why}" if why else ""), soft_wrap=True)
    parts = "1 part" if m["parts"] == 1 else f"{m['parts']} parts"
    if 0 < m.get("parts_delivered", 0) < m["parts"]:
        parts += f", {m['parts_delivered']} of them delivered"
    facts = [
        ("to", f"{m['to']} from {m['from']}, {m['class']}"),
        ("text", f"{m['text']!r} ({parts}, {m['encoding']})"),
        ("carrier", m["carrier"]),
        ("operator", m["operator"]),
        ("price", f"{m['price']['amount']} {m['price']['currency']}" if m["price"] else None),
        ("ref", m["ref"]),
        ("tag", m["tag"]),
        ("accepted", clock(m["accepted_at"], day=True)),
        ("send at", clock(m["send_at"], day=True) if m.get("send_at") else None),
        ("batch", m.get("batch_id")),
        ("again of", m.get("retry_of")),
        ("again as", m.get("retried_as")),
        ("test", "sent with a test key: to a sandbox carrier, at no cost" if m.get("test") else None),
    ]
    for name, value in facts:
        if value:
            out.print(f"  {name:<9} {value}", soft_wrap=True)
    out.print()
    _timeline(out, m["accepted_at"], m["timeline"])


def _timeline(out: Console, accepted_at: str, moments: list[dict[str, Any]]) -> None:
    """One moment: time, how long after accepting, event, details; below it what it means."""
    grid = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for justify, style in (("left", ""), ("right", "cyan"), ("left", "bold"), ("left", "")):
        grid.add_column(justify=justify, style=style, no_wrap=style != "" or justify == "right")  # type: ignore[arg-type]
    plain = not out.is_terminal
    for m in moments:
        after = seconds_between(accepted_at, m["at"])
        times = clock(m["at"]), f"+{span(after)}" if after > 0 else ""
        detail, meaning = says(m), means(m)
        if plain:
            print(f"  {times[0]}  {times[1]:>12}  {m['event']:<11}  {detail or meaning}".rstrip(), file=out.file)
            if detail and meaning:
                print(f"{' ' * 43}{meaning}", file=out.file)
        else:
            lines = [Text(detail)] if detail else []
            lines += [Text(meaning, "dim")] if meaning else []
            grid.add_row(*times, m["event"], Text("\n").join(lines))
    if not plain:
        out.print(Padding(grid, (0, 0, 0, 2)))
