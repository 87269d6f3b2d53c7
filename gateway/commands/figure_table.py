"""`sluice stats` for figures of any slice: a table with a plot, or what the API has as CSV or Arrow."""

from __future__ import annotations

import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from gateway.commands.client import Client, print_json
from gateway.commands.figures import sparkline
from gateway.commands.tables import Column, screen, show
from gateway.commands.times import span

_PLOT: Final = 60


def tell(
    client: Client,
    asked: Mapping[str, str | None],
    by: Sequence[str],
    wanted: str,
    arrow: Path | None,
    latency: bool,
) -> None:
    """`wanted`: json, csv, excel, or "" for a table. Raises Refused."""
    given = {name: value for name, value in asked.items() if value is not None}
    if arrow is not None:
        client.download(f"/v1/stats/arrow?{urllib.parse.urlencode(given)}", arrow)
        click.echo(f"{arrow}: {arrow.stat().st_size:,} bytes")
    elif wanted in ("csv", "excel"):
        query = urllib.parse.urlencode(given | {"excel": "true" if wanted == "excel" else "false"})
        url, key = f"{client.target.url}/v1/stats/csv?{query}", client.target.key
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310
        sys.stdout.buffer.write(client.fetch(request))
        sys.stdout.buffer.flush()
    else:
        found = whole(client, given)
        if wanted == "json":
            print_json(found)
        elif found["groups"]:
            _table(found["groups"], by, "step" in given, latency)
        else:
            click.echo("Nothing was sent in this time. (Of what you asked for.)")


def whole(client: Client, given: Mapping[str, str | None]) -> dict[str, Any]:
    """All pages of an answer as one. Raises Refused."""
    found: dict[str, Any] = client.get("/v1/stats", {**given, "limit": "10000"})
    while (more := found.pop("next", None)) is not None:
        page = client.get(more)
        found["groups"] += page["groups"]
        found["next"] = page.get("next")
    return found


def _table(groups: Sequence[Mapping[str, Any]], by: Sequence[str], stepped: bool, latency: bool) -> None:
    out = screen()
    if stepped:
        totals: dict[str, list[int]] = {}
        for group in groups:
            total = totals.setdefault(group["at"], [0, 0])
            total[0] += group["messages"]
            total[1] += group["delivered"]
        for n, (name, style) in enumerate((("accepted ", "cyan"), ("delivered", "green"))):
            values = [total[n] for total in totals.values()]
            out.print(f"{name}  {sparkline(values, _PLOT)}  {sum(values):,}", style=style, soft_wrap=True)
        out.print("")
    columns = [Column("at", whole=True)] if stepped else []
    columns += [Column(name) for name in by]
    columns += [Column(name, right=True) for name in ("messages", "delivered", "undelivered", "open", "rate", "cost")]
    if latency:
        columns += [Column(name, right=True) for name in ("sent: half", "95 %", "arrived: half", "95 %", "99 %")]
    columns.append(Column("parts", right=True, spare=True))
    show(columns, [_cells(group, by, stepped, latency) for group in groups], out)


def _cells(group: Mapping[str, Any], by: Sequence[str], stepped: bool, latency: bool) -> list[str]:
    rate = group.get("delivery_rate")
    costs = ", ".join(f"{float(cost['amount']):,.2f} {cost['currency']}" for cost in group["costs"])
    cells = [group["at"][:16].replace("T", " ")] if stepped else []
    cells += [group.get(name) or "-" for name in by]
    cells += [f"{group[name]:,}" for name in ("messages", "delivered", "undelivered", "open")]
    cells += ["-" if rate is None else f"{rate:.1%}", costs]
    if latency:
        sent, arrived = group.get("submit_latency") or {}, group.get("delivery_latency") or {}
        times = [sent.get("p50"), sent.get("p95"), arrived.get("p50"), arrived.get("p95"), arrived.get("p99")]
        cells += ["-" if one is None else span(one) for one in times]
    return [*cells, f"{group['parts']:,}"]
