"""`sluice stats`: what was sent, delivered and spent, as a plot and a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from gateway.commands import figure_table
from gateway.commands.client import Client, Refused, print_json
from gateway.commands.figures import (
    Figures,
    highest,
    money,
    pivot,
    series,
    sparkline,
    step_for,
    whole,
)
from gateway.commands.pausing import in_words
from gateway.commands.tables import Column, screen, show
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.times import past, short
from gateway.stats.spans import STEPS

DIMENSIONS: Final = ("client", "class", "carrier", "operator", "country", "sender", "tag", "reason", "state")
_SUMMED: Final = ("client", "class", "carrier", "operator", "state", "tag")
"""Dimensions that are known to the minute."""
NUMBERS: Final = ("messages", "delivered", "undelivered", "cancelled", "open", "parts")
PLOT: Final = 60

FC = TypeVar("FC", bound=Callable[..., Any] | click.Command)


def _only(name: str) -> Callable[[FC], FC]:
    return click.option(f"--{name}", f"only_{name}", metavar="NAME", help=f"Only messages of this {name}.")


@click.command(
    "stats",
    epilog=lesson(
        "sluice stats                              # the last 24 hours by class",
        "sluice stats --since 7d --by carrier,operator",
        "sluice stats --tag spring --since 2h --step minute",
        "sluice stats --since 30d --by client --csv > clients.csv",
        "sluice stats --since 30d --step day --tz Europe/Moscow --latency",
        "sluice stats --since 30d --by country,reason --excel > reasons.csv",
        "sluice stats --since 30d --by carrier,operator --arrow figures.arrow",
        source=f"The key needs the scope stats; with ops it sees all clients. {TARGET}",
    ),
)
@click.option("--since", default="24h", show_default=True, help="A span such as 30min, 24h or 7d, or a time.")
@click.option("--until", help="A time, or a span back from now.")
@click.option("--by", default="class", show_default=True, help=f"Of {', '.join(DIMENSIONS)}; several with commas.")
@click.option("--step", type=click.Choice(("minute", *STEPS)), help="One row for each.")
@click.option("--tz", metavar="ZONE", help="Days are those of this time zone, such as Europe/Moscow; else UTC.")
@_only("client")
@_only("class")
@_only("carrier")
@_only("operator")
@_only("country")
@_only("sender")
@_only("tag")
@_only("reason")
@click.option("--latency", is_flag=True, help="How long it took to the carrier and to the phone.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV instead of a table.")
@click.option("--excel", is_flag=True, help="CSV as spreadsheets open it: byte order mark, semicolons, decimal commas.")
@click.option("--arrow", type=click.Path(dir_okay=False, path_type=Path), help="Write an Arrow stream into this file.")
def command(
    since: str,
    until: str | None,
    by: str,
    step: str | None,
    tz: str | None,
    latency: bool,
    as_json: bool,
    as_csv: bool,
    excel: bool,
    arrow: Path | None,
    **only: Any,
) -> None:
    """Messages, deliveries and cost. A message counts where it stands now, at the time when it was accepted.

    \b
    delivered    the phone has it
    undelivered  undeliverable, rejected, failed or expired
    open         not ended yet
    rate         delivered of those that have ended, or of which nobody knows
    cost         of what was submitted to carriers, by the plan's prices
    """
    if as_json + as_csv + excel + (arrow is not None) > 1:
        raise click.UsageError("one of --json, --csv, --excel and --arrow")
    names = [name.strip() for name in by.split(",") if name.strip()]
    if wrong := [name for name in names if name not in DIMENSIONS] or [n for n in names if names.count(n) > 1]:
        raise click.UsageError(f"--by `{wrong[0]}`: give each of {', '.join(DIMENSIONS)} at most once")
    chosen = {name.removeprefix("only_"): value for name, value in only.items() if value is not None}
    asked: dict[str, str | None] = {"since": past(since), "until": past(until) if until else None, **chosen}
    client = Client()
    fine = tz or latency or excel or arrow or step in ("quarter", "week", "month")
    if fine or set(names) - set(_SUMMED) or set(chosen) - set(_SUMMED):
        if step == "minute":
            raise click.UsageError(f"--step minute goes only with --by and options of {', '.join(_SUMMED)}")
        wanted = "json" if as_json else "excel" if excel else "csv" if as_csv else ""
        asked |= {"group_by": ",".join(names), "step": step, "tz": tz}
        figure_table.tell(client, asked, names, wanted, arrow, latency)
        return
    states = names if "state" in names else [*names, "state"]
    found = figure_table.whole(client, {**asked, "by": ",".join(states), "step": step})
    keys = (["at"] if step else []) + names
    groups = pivot(found["groups"], keys)
    if as_csv:
        click.echo(_csv(keys, groups), nl=False)
        return
    begin, end = (datetime.fromisoformat(found[name]) for name in ("since", "until"))
    end = min(end, datetime.now(UTC))
    shown = step or step_for(begin, end)
    points = figure_table.whole(client, {**asked, "by": "state", "step": shown})["groups"]
    if as_json:
        print_json(_document(found, names, keys, groups, shown, points))
    elif groups:
        out = screen()
        _plot(out, series(points, begin, end, shown), shown, found["since"])
        _table(out, keys, groups)
    else:
        click.echo("Nothing was sent in this time." + (" (Of what you asked for.)" if chosen else ""))
    if not as_json and (paused := _paused(client)):
        click.echo(f"\nPaused now: {paused}. What waits for that counts as open.")


def _paused(client: Client) -> str:
    """What is paused, in words; a gateway that does not say so is asked about nothing else."""
    try:
        return in_words(client.get("/v1/pauses")["pauses"])
    except Refused:
        return ""


def _plot(out: Console, points: Sequence[Figures], step: str, since: str) -> None:
    """Accepted and delivered on one scale."""
    total = whole(points)
    accepted, delivered = [p.messages for p in points], [p.delivered for p in points]
    top = highest(accepted, PLOT)
    rate = f"  {total.rate:.1%} of those that have ended" if total.rate is not None else ""
    out.print(f"accepted   {sparkline(accepted, PLOT, top)}  {total.messages:,}", style="cyan", soft_wrap=True)
    out.print(f"delivered  {sparkline(delivered, PLOT, top)}  {total.delivered:,}{rate}", style="green", soft_wrap=True)
    per = -(-len(points) // PLOT)
    column = f"{'an' if step == 'hour' else 'a'} {step}" if per == 1 else f"{per} {step}s"
    spent = f", {money(total.cost)}" if total.cost else ""
    out.print(f"           since {short(since)}, a column is {column}{spent}\n", style="dim", soft_wrap=True)


def _table(out: Console, keys: Sequence[str], groups: Mapping[tuple[str, ...], Figures]) -> None:
    columns = [Column(name) for name in keys]
    columns += [Column("messages", right=True), Column("delivered", right=True), Column("undelivered", right=True)]
    columns += [Column("open", right=True), Column("rate", right=True), Column("cost", right=True)]
    columns += [Column("parts", right=True, spare=True)]
    rows = [_cells([short(v) if n == "at" else v or "-" for n, v in zip(keys, key, strict=True)], figures)
            for key, figures in groups.items()]  # fmt: skip
    if len(rows) > 1 and keys:
        rows.append(_cells(["all", *[""] * (len(keys) - 1)], whole(groups.values())))
    show(columns, rows, out)


def _cells(values: Sequence[str], f: Figures) -> list[str]:
    rate = f"{f.rate:.1%}" if f.rate is not None else "-"
    return [*values, f"{f.messages:,}", f"{f.delivered:,}", f"{f.undelivered:,}", f"{f.open:,}", rate, money(f.cost),
            f"{f.parts:,}"]  # fmt: skip


def _csv(keys: Sequence[str], groups: Mapping[tuple[str, ...], Figures]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, *NUMBERS, "delivery_rate", "cost", "currency"])
    for key, figures in groups.items():
        rate = "" if figures.rate is None else f"{figures.rate:.4f}"
        cost = "+".join(f"{amount:f}" for amount in figures.cost.values())
        writer.writerow([*key, *(getattr(figures, name) for name in NUMBERS), rate, cost, "+".join(figures.cost)])
    return text.getvalue()


def _document(
    found: Mapping[str, Any],
    by: Sequence[str],
    keys: Sequence[str],
    groups: Mapping[tuple[str, ...], Figures],
    step: str,
    points: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    made = [dict(zip(keys, key, strict=True)) | _figures(figures) for key, figures in groups.items()]
    plot = [{"at": key[0], **_figures(figures)} for key, figures in pivot(points, ("at",)).items()]
    return {"since": found["since"], "until": found["until"], "by": by, "groups": made, "step": step, "series": plot}


def _figures(figures: Figures) -> dict[str, Any]:
    costs = [{"amount": f"{amount:f}", "currency": currency} for currency, amount in figures.cost.items()]
    return {name: getattr(figures, name) for name in NUMBERS} | {"delivery_rate": figures.rate, "costs": costs}
