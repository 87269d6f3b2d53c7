"""`sluice trace`: everything that happened to a message, found by its id, its ref or its number."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gateway.commands.client import Client, Refused, print_json
from gateway.commands.tables import STATES, Column, screen, show
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.timeline import means, reason_in_words, says
from gateway.commands.times import clock, past, seconds_between, short, span

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9][0-9 ()./-]{4,}")
_SHOWN = 40
"""Characters of a text in a list."""


@click.command(
    "trace",
    epilog=lesson(
        "sluice trace +79161234567            # all that was sent to it, and all that it wrote",
        "sluice trace order-4711              # the ref that it was sent with",
        "sluice trace 0190f8a4-7c30-7000-8000-5f3a6b2c1d0e --json",
        source=f"Numbers and texts are shown to keys with the scope privacy, and the look is noted. {TARGET}",
    ),
)
@click.argument("what", metavar="ID|REF|NUMBER")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Messages to list.")
@click.option("--since", metavar="SPAN|TIME", help="Only what is not older, such as 24h or 7d.")
@click.option("--cursor", help="Go on behind a list that was cut: the word that it ended with.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def command(what: str, limit: int, since: str | None, cursor: str | None, as_json: bool) -> None:
    """Show what happened to a message, moment by moment, and what each moment means.

    A number shows everything with it, sent and received, and a ref every message that was sent with it, the newest
    first; the newest that was sent is shown with its timeline.
    """
    client, out = Client(), screen()
    if _ID.fullmatch(what):
        message = client.get(f"/v1/messages/{what.lower()}")
        print_json(message) if as_json else show_message(out, message)
        return
    found = _search(client, what, {"limit": str(limit), "since": past(since) if since else None, "cursor": cursor})
    if not found["entries"]:
        raise Refused(
            f"nothing of yours was found for {what}: neither a number nor a ref",
            todo="a message sent this moment is found by its id first; other clients' messages are not shown",
        )
    newest = next((e["message"] for e in found["entries"] if e["direction"] == "outbound"), None)
    if newest is not None:
        newest |= client.get(f"/v1/messages/{newest['id']}")
    if as_json:
        sent = [e["message"] for e in found["entries"] if e["direction"] == "outbound"]
        print_json(found | {"messages": sent})
        return
    if len(found["entries"]) > 1 or newest is None or found["next"]:
        _list(out, found)
    if newest is not None:
        if len(found["entries"]) > 1:
            out.print("\nThe newest that was sent:\n")
        show_message(out, newest)


def _search(client: Client, what: str, given: dict[str, str | None]) -> dict[str, Any]:
    """By number where it can be one, else by ref. A message just accepted is found by its id before it is by these."""
    if _NUMBER.fullmatch(what):
        try:
            by_number: dict[str, Any] = client.get(f"/v1/numbers/{quote(what, safe='')}/history", given)
        except Refused as e:
            if e.status != 422 and e.code != "query_invalid":
                raise
        else:
            if by_number["entries"]:
                return by_number
    page = client.get("/v1/messages", given | {"ref": what})
    entries = [{"at": m["accepted_at"], "direction": "outbound", "message": m} for m in page["messages"]]
    return {"entries": entries, "next": page["next"]}


def _list(out: Console, found: dict[str, Any]) -> None:
    """Sent and received in one table. What all have in common needs no column."""
    rows = [_row(entry) for entry in found["entries"]]
    both = len({row["way"] for row in rows}) > 1
    names = ["time", *(["way"] if both else []), "id", "state"]
    names += [name for name in ("to", "ref", "carrier") if len({row[name] for row in rows}) > 1]
    names += ["text"]
    whole = ("id", "time", "way", "state")
    columns = [Column(name, whole=name in whole, spare=name in ("text", "carrier")) for name in names]
    show(columns, [[row[name] for name in names] for row in rows], out)
    if found["next"]:
        cursor = parse_qs(urlsplit(found["next"]).query)["cursor"][0]
        out.print(f"\nThere is more: --cursor {cursor}", soft_wrap=True)


def _row(entry: dict[str, Any]) -> dict[str, str]:
    outbound = entry["direction"] == "outbound"
    m = entry["message"] if outbound else entry["inbound"]
    text = " ".join(m["text"].split())
    return {
        "time": short(entry["at"]),
        "way": "sent" if outbound else "received",
        "id": m["id"],
        "state": m["state"] if outbound else "",
        "to": m["to"],
        "ref": (m["ref"] or "") if outbound else "",
        "carrier": m["carrier"] or "",
        "text": text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…",
    }


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
        ("text", f"{m['text'] if m.get('masked') else repr(m['text'])} ({parts}, {m['encoding']})"),
        ("hidden", "number and text, because the key has no scope `privacy`" if m.get("masked") else None),
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
