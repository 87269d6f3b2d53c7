"""`sluice callbacks`: what became of events for applications, sending them again, the secret of callback URLs."""

from __future__ import annotations

from typing import Any

import click

from gateway.commands.client import Client, print_json
from gateway.commands.tables import Column, show
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.times import clock, past

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of sentences.")
_SOURCE = f"The key's own client is meant; its scopes: read to list, send for the rest. {TARGET}"


@click.group(
    "callbacks",
    epilog=lesson(
        "sluice callbacks list --failed",
        "sluice callbacks retry --endpoint ep_4f0c     # all that failed there",
        "sluice callbacks secret                       # what signs requests to callback_url",
        source=_SOURCE,
    ),
)
def command() -> None:
    """Events for applications: what became of them, sending them again.

    An event that no application takes is tried for three days, then it counts as failed. `sluice listen` shows events
    as they come, `sluice trigger` sends a sample.
    """


@command.command(
    "list",
    epilog=lesson(
        "sluice callbacks list",
        "sluice callbacks list --failed --endpoint ep_4f0c",
        "sluice callbacks list --client shop      # another client's; needs the scope ops",
        source=_SOURCE,
    ),
)
@click.option("--failed", is_flag=True, help="Only those that are given up.")
@click.option("--waiting", is_flag=True, help="Only those that wait for another try.")
@click.option("--client", help="Another client's; needs the scope ops.")
@click.option("--endpoint", metavar="ID", help="Only those of this endpoint.")
@click.option("--message", "message_id", metavar="ID", help="Only those of this message.")
@click.option("--since", metavar="TIME", help="Events of then or later: 24h, or 2030-01-31T09:00:00Z.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many.")
@_JSON
def list_(failed: bool, waiting: bool, limit: int, as_json: bool, **filters: str | None) -> None:
    """List events that were tried, those of the newest messages first."""
    if failed and waiting:
        raise click.UsageError("--failed or --waiting, not both")
    state = "failed" if failed else "waiting" if waiting else None
    if filters["since"]:
        filters["since"] = past(filters["since"])
    found = Client().get("/v1/callbacks", {"state": state, "limit": str(limit), **filters})
    if as_json:
        print_json(found)
        return
    if found["callbacks"]:
        columns = [
            Column("event", whole=True),
            Column("type"),
            Column("state"),
            Column("tries", right=True),
            Column("at", whole=True),
            Column("where"),
            Column("last answer"),
        ]
        show(columns, [_cells(c) for c in found["callbacks"]])
    else:
        click.echo("No event that was tried is like this.")
    if found["untried"]:
        click.echo(f"{found['untried']} events wait for their first try.", err=True)


def _cells(c: dict[str, Any]) -> tuple[str, ...]:
    where = f"{c['endpoint'] or 'callback_url'} at {c['host']}"
    said = c["error"] or (f"answered {c['status']}" if c["status"] else "")
    if c["next_try_at"]:
        said += f"; again at {clock(c['next_try_at'], day=True)[:16]}"
    at = clock(c["at"], day=True)[:19]
    return (c["event_id"], c["type"], c["state"], str(c["tries"]), at, where, said)


@command.command(
    "retry",
    epilog=lesson(
        "sluice callbacks retry evt_019aa1b2c3d4700081a2b3c4d5e6f708_1",
        "sluice callbacks retry --endpoint ep_4f0c --since 24h",
        source=_SOURCE,
    ),
)
@click.argument("one", metavar="[ID]", required=False)
@click.option("--endpoint", metavar="ID", help="All that failed at this endpoint.")
@click.option("--since", metavar="TIME", help="All that failed since then: 24h, or a time.")
@_JSON
def retry(one: str | None, endpoint: str | None, since: str | None, as_json: bool) -> None:
    """Send events again, at once: one by its ID, those of a message by the message's ID, or all that failed.

    What is sent again has the id it had, so an application that took it already can tell.
    """
    if bool(one) == bool(endpoint or since):
        raise click.UsageError("give one ID, or --endpoint and --since for all that failed")
    wanted = {"event_id" if one.startswith("evt_") else "message_id": one} if one else {}
    wanted |= {name: value for name, value in (("endpoint", endpoint), ("since", past(since or ""))) if value}
    done = Client().post("/v1/callbacks/retry", wanted)
    if as_json:
        print_json(done)
    elif done["retried"]:
        click.echo(f"{done['retried']} sent again; `sluice callbacks list` shows what becomes of them.")
    else:
        click.echo("There was nothing to send again: events that still wait are tried by themselves.")


@command.command(
    "secret",
    epilog=lesson("sluice callbacks secret", "sluice callbacks secret --rotate --overlap 3600", source=_SOURCE),
)
@click.option("--rotate", is_flag=True, help="Make a new one; the one before signs as well for a while.")
@click.option("--overlap", default=86_400, show_default=True, metavar="SECONDS", help="For so long.")
@_JSON
def secret(rotate: bool, overlap: int, as_json: bool) -> None:
    """Show the secret that signs requests to your messages' callback_url.

    Registered endpoints have secrets of their own, shown when they are made.
    """
    client = Client()
    found = (
        client.post("/v1/callbacks/secret/rotate", {"overlap_s": overlap})
        if rotate
        else client.get("/v1/callbacks/secret")
    )
    if as_json:
        print_json(found)
        return
    if found["former_until"]:
        click.echo(f"The one before signs as well until {clock(found['former_until'], day=True)[:19]}.", err=True)
    click.echo(found["secret"])
