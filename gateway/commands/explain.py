"""`sluice explain`: where a message would go, and why: its number, every route, every candidate, the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from gateway.commands.client import Client, print_json
from gateway.commands.tables import Column, screen, show
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.times import short
from gateway.message import CLASSES

_ROUTES = (Column("route", whole=True), Column("takes it", whole=True), Column("why not"))
_CANDIDATES = (
    Column("carrier", whole=True),
    Column("", whole=True),
    Column("price", right=True),
    Column("cost", right=True),
    Column("arrives", right=True, spare=True),
    Column("of", right=True, spare=True),
    Column("score", right=True),
    Column("why"),
)
_TREATED = {"typography": "plain typography", "transliteration": "Latin letters"}


@click.command(
    "explain",
    epilog=lesson(
        "sluice explain +79161234567 --class otp --from BANK --text 'Your code is 4711'",
        "sluice explain 89161234567 --client shop --plan new.toml     # a plan not kept yet",
        "sluice explain +79161234567 --class marketing --at 2030-01-31T23:00:00+03:00",
        source=f"The key needs the scope plan or ops. {TARGET}",
        codes={3: "no carrier would take it now"},
    ),
)
@click.argument("number")
@click.option("--class", "klass", type=click.Choice(CLASSES), default="transactional", show_default=True)
@click.option("--client", help="Whose message; that of the key when not given.")
@click.option("--from", "sender", help="The sender; the gateway's own when not given.")
@click.option("--text", default="x", help="Its alphabet and length count.")
@click.option("--tag", default="", help="The message's tag.")
@click.option("--at", help="When, such as 2030-01-31T09:00:00+03:00; now when not given.")
@click.option("--test", is_flag=True, help="As a test key would send it.")
@click.option("--plan", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Ask the plan in this file.")
@click.option("--version", type=click.IntRange(min=1), help="Ask this kept version of the plan.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def command(number: str, plan: Path | None, as_json: bool, **asked: Any) -> None:
    """Say where a message to NUMBER would go, and why. Nothing is sent."""
    body = {"to": number, "class": asked.pop("klass"), "from": asked.pop("sender"), **asked}
    if plan is not None:
        body["document"] = plan.read_text("utf-8")
    found = Client().ask(
        "POST", "/v1/plans/explain", {name: value for name, value in body.items() if value is not None}
    )
    if as_json:
        print_json(found)
    else:
        _show(screen(), number, body["class"], found)
    if found["choice"] is None:
        click.get_current_context().exit(3)


def _show(out: Console, number: str, klass: str, found: dict[str, Any]) -> None:
    seen = found["number"]
    plan = "the plan of the file" if found["version"] is None else f"plan version {found['version']}"
    parts = "1 part" if found["parts"] == 1 else f"{found['parts']} parts"
    out.print(f"{number}  class {klass}, {parts} of {found['encoding']}, by {plan}\n", soft_wrap=True)
    if seen is None:
        out.print("Nobody's number: no operator of the plan covers it.\n", soft_wrap=True)
    else:
        place = ", ".join(filter(None, (seen.get("country"), seen.get("region"), " or ".join(seen.get("zones", ())))))
        named = seen["operator"] or "no operator of the plan"
        out.print(f"{named}{f' ({place})' if place else ''}. {seen['source_words']}\n", soft_wrap=True)
    if found["held_back"]:
        until = found["held_back"]["until"]
        out.print(f"{found['held_back']['words']}{f' Until {short(until)}.' if until else ''}\n", soft_wrap=True)
    if found["routes"]:
        decided = False
        rows = []
        for route in found["routes"]:
            takes = "no" if not route["matched"] else "would, too" if decided else "yes"
            decided |= route["matched"]
            rows.append((route["name"], takes, route["why_not"]))
        show(_ROUTES, rows, out)
        out.print()
    if found["candidates"]:
        out.print(f"Route {found['route']}, strategy {found['strategy']}:\n", soft_wrap=True)
        show(_CANDIDATES, [_candidate(c) for c in found["candidates"]], out)
        out.print()
    out.print(found["words"], style="bold", soft_wrap=True)
    if (choice := found["choice"]) is not None:
        out.print(_chosen(choice), soft_wrap=True)


def _candidate(c: dict[str, Any]) -> tuple[str, ...]:
    share = c["probability"]
    words = c["words"] + (f" Its sender becomes {c['sender']}." if c["sender"] else "")
    if c["explored"]:
        words += f" {c['explored']:.1%} of the messages go there to learn about it."
    if c["until"]:
        words += f" Until {short(c['until'])}."
    return (
        c["carrier"],
        "live" if c["live"] else "down",
        _money(c["price"]),
        _money(c["cost"]),
        "" if share is None else f"{share:.1%}",
        "" if c["messages"] is None else f"{c['messages']:,}",
        "" if c["score"] is None else f"{c['score']:.4f}",
        words,
    )


def _chosen(choice: dict[str, Any]) -> str:
    parts = "1 part" if choice["parts"] == 1 else f"{choice['parts']} parts"
    cost = f", {_money(choice['cost'])}" if choice["cost"] else ""
    treated = _TREATED.get(choice["treatment"], "")
    return f"{parts}{f' in {treated}' if treated else ''} from {choice['sender']}{cost}."


def _money(price: dict[str, str] | None) -> str:
    return "" if price is None else f"{price['amount']} {price['currency']}"
