"""`sluice carriers score`: how each carrier does for each network, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gateway.commands.client import Client, print_json
from gateway.commands.tables import Column, screen, show
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.times import past, span


@click.command(
    "score",
    epilog=lesson(
        "sluice carriers score                    # the last seven days",
        "sluice carriers score --since 24h --all  # with every network",
        source=f"The key needs the scope ops. {TARGET}",
    ),
)
@click.option("--since", default="7d", show_default=True, help="A span such as 24h or 7d, or a time.")
@click.option("--until", help="A time, or a span back from now.")
@click.option("--all", "with_operators", is_flag=True, help="Each network of each carrier, too.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table; has every network.")
def score(since: str, until: str | None, with_operators: bool, as_json: bool) -> None:
    """Delivery with its interval, time, cost, errors, silence, and receipts to doubt.

    \b
    rate       delivered of those that ended and of those nobody knows of
    interval   the true rate lies in it, as far as chance goes (95 percent)
    silent     with the carrier, and no receipt came yet or ever
    """
    found = Client().get("/v1/scorecards", {"since": past(since), "until": past(until) if until else None})
    if as_json:
        print_json(found)
        return
    cards = [card for card in found["scorecards"] if with_operators or card["operator"] is None]
    if not cards:
        click.echo("No carrier took a message in this time.")
        return
    columns = [Column("carrier", whole=True), *([Column("network")] if with_operators else [])]
    columns += [Column(name, right=True) for name in ("messages", "rate", "interval", "half in", "95 % in")]
    columns += [Column("per delivered", right=True), Column("silent", right=True), Column("errors", spare=True)]
    show(columns, [_cells(card, with_operators) for card in cards])
    out = screen()
    for card in found["scorecards"]:
        for doubt in card["doubts"] if with_operators or card["operator"] is None else ():
            where = f"{card['carrier']}, {card['operator']}" if card["operator"] else card["carrier"]
            out.print(f"Receipts of {where} look invented: {doubt}", style="magenta")


def _cells(card: Mapping[str, Any], with_operators: bool) -> list[str]:
    rate, latency, silence = card["delivery_rate"], card["delivery_latency"], card["silence"]
    cost = ", ".join(f"{float(one['amount']):.4g} {one['currency']}" for one in card["cost_per_delivered"])
    errors = ", ".join(f"{reason} {count:,}" for reason, count in list(card["errors"].items())[:3])
    return [
        card["carrier"],
        *([card["operator"] or "all"] if with_operators else []),
        f"{card['messages']:,}",
        "-" if rate is None else f"{rate:.1%}",
        f"{card['delivery_rate_low']:.1%}..{card['delivery_rate_high']:.1%}",
        "-" if latency["p50"] is None else span(latency["p50"]),
        "-" if latency["p95"] is None else span(latency["p95"]),
        cost or "-",
        "-" if silence is None else f"{silence:.1%}",
        errors,
    ]
