"""`sluice messages`: failed ones sent again, and what nobody can place: orphaned receipts, uncertain submissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gateway.commands.client import Client, Refused, print_json
from gateway.commands.tables import Column, show
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.times import past, short
from gateway.message import CLASSES
from gateway.provider import Reason
from gateway.retries import MOST, STATES

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of tables and sentences.")
_SINCE = click.option("--since", default="7d", show_default=True, help="A span such as 24h, or a time.")
_CARRIER = click.option("--carrier", metavar="NAME", help="Only this carrier's.")
_LIMIT = click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many to list.")


@click.group(
    "messages",
    epilog=lesson(
        "sluice messages retry --reason no_carrier --since 6h --dry-run",
        "sluice messages uncertain --carrier north",
        "sluice messages orphans --since 3d",
        source=f"The key needs the scope ops. {TARGET}",
    ),
)
def command() -> None:
    """Send failed messages again; see receipts and submissions that nobody can place."""


@command.command(
    "retry",
    epilog=lesson(
        "sluice messages retry --reason no_carrier --since 6h --dry-run   # how many are there?",
        "sluice messages retry --reason no_carrier --since 6h --client shop",
        source=TARGET,
    ),
)
@click.option(
    "--reason",
    required=True,
    metavar="REASON",
    type=click.Choice([str(reason) for reason in Reason]),
    help="Why they failed, such as no_carrier.",
)
@click.option("--since", required=True, help="Accepted then or later: a span such as 6h, or a time.")
@click.option("--until", help="Accepted before: a span such as 1h, or a time.  [default: now]")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Where they stand; may be repeated.")
@click.option("--client", metavar="NAME", help="Only this client's.")
@click.option("--class", "klass", type=click.Choice(CLASSES), help="Only this class.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@_JSON
def retry_command(
    reason: str,
    since: str,
    until: str | None,
    states: tuple[str, ...],
    client: str | None,
    klass: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send failed messages again, each once, as new messages with their own ids.

    A message that was sent again, or that came of sending one again, is not taken a second time. Text, sender, ref,
    tag, meta and callback URL stay; the validity begins anew. `sluice trace` shows either from the other.
    """
    gateway, done = Client(), list[dict[str, Any]]()
    wanted: dict[str, Any] = {"reason": reason, "since": past(since), "until": past(until) if until else None}
    wanted |= {"client": client, "class": klass, "states": states or STATES, "dry_run": dry_run, "limit": MOST}
    more = True
    while more:
        try:
            found = gateway.post("/v1/messages/retry", wanted)
        except Refused as e:
            if done:
                click.echo(
                    f"{len(done)} were sent again before this; the same command goes on with the rest.", err=True
                )
            raise e
        done += found["retried"]
        more = found["more"]
    count = found["found"] if dry_run else len(done)
    if as_json:
        print_json({"found": count, "retried": done})
    elif dry_run:
        click.echo(f"{count} would be sent again.")
    else:
        if 0 < count <= 20:
            show(
                [Column("first", whole=True), Column("sent again as", whole=True)],
                [(p["first"], p["id"]) for p in done],
            )
        click.echo(f"{count} sent again.")


@command.command("orphans", epilog=lesson("sluice messages orphans --carrier north --since 3d", source=TARGET))
@_CARRIER
@_SINCE
@_LIMIT
@_JSON
def orphans_command(carrier: str | None, since: str, limit: int, as_json: bool) -> None:
    """List receipts that no submission was found for, newest first."""
    found = Client().get("/v1/orphans", {"carrier": carrier, "since": past(since), "limit": str(limit)})["orphans"]
    if as_json:
        print_json(found)
        return
    columns = [Column("came", whole=True), Column("carrier"), Column("its id", whole=True), Column("state")]
    columns += [Column("code"), Column("to"), Column("from", spare=True), Column("")]
    rows = [
        (short(o["at"]), o["carrier"], o["carrier_message_id"], o["state"], o["code"], o["to"], o["from"], _tried(o))
        for o in found
    ]
    _show(columns, rows, "Every receipt found its submission.")


def _tried(orphan: dict[str, Any]) -> str:
    return "still tried" if orphan["waiting"] else "given up"


@command.command("uncertain", epilog=lesson("sluice messages uncertain --carrier north --since 24h", source=TARGET))
@_CARRIER
@_SINCE
@_LIMIT
@click.option("--open", "open_only", is_flag=True, help="Only those whose message has not ended.")
@_JSON
def uncertain_command(carrier: str | None, since: str, limit: int, open_only: bool, as_json: bool) -> None:
    """List submissions of which nobody knows whether the carrier took them, newest first."""
    given = {"carrier": carrier, "since": past(since), "limit": str(limit), "open": "true" if open_only else None}
    found = Client().get("/v1/uncertain", given)["uncertain"]
    if as_json:
        print_json(found)
        return
    columns = [Column("sent", whole=True), Column("message", whole=True), Column("attempt", right=True)]
    columns += [Column("part", right=True)]
    columns += [Column(name) for name in ("carrier", "lost", "client", "class", "state")]
    rows = [
        (
            *(short(u["sent_at"]), u["id"], str(u["attempt"]), str(u["part"] or "all"), u["carrier"], u["reason"]),
            *(u["client"], u["class"], u["state"]),
        )
        for u in found
    ]
    _show(columns, rows, "Nothing is uncertain.")


def _show(columns: Sequence[Column], rows: Sequence[tuple[str, ...]], empty: str) -> None:
    if rows:
        show(columns, rows)
    else:
        click.echo(empty)
