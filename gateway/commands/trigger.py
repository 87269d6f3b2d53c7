"""`sluice trigger`: a sample event, signed as any other, to one's endpoints or to any URL; and what came of it."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from gateway.callbacks.event import TYPES
from gateway.commands.client import Client, print_json
from gateway.commands.teaching import TARGET, lesson

LOOK_EVERY_S = 0.2


@click.command(
    "trigger",
    epilog=lesson(
        "sluice trigger message.delivered",
        "sluice trigger message.failed --to http://127.0.0.1:5000/hook",
        "sluice trigger message.delivered --endpoint ep_4f0c --json",
        source=f"The key needs the scopes send and read. {TARGET}",
        codes={3: "an application did not take it"},
    ),
)
@click.argument("kind", metavar="TYPE", type=click.Choice(TYPES))
@click.option("--to", "url", metavar="URL", help="There, signed with the secret that `sluice callbacks secret` shows.")
@click.option("--endpoint", metavar="ID", help="To this endpoint only.")
@click.option("--timeout", default=20.0, show_default=True, metavar="SECONDS", help="How long to wait for the answer.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of sentences.")
def command(kind: str, url: str | None, endpoint: str | None, timeout: float, as_json: bool) -> None:
    """Send a sample event: to every endpoint of yours that takes its TYPE, or to any URL.

    The gateway sends it, as it would a real one: same signature, same rules for addresses. It tells of no message: its
    `ref` is "sample".
    """
    if url and endpoint:
        raise click.UsageError("--to or --endpoint, not both")
    client = Client()
    sent = [_to_url(client, kind, url)] if url else _to_endpoints(client, kind, endpoint)
    results = [_follow(client, event_id, timeout) for event_id in sent]
    if as_json:
        print_json({"callbacks": results})
    for result in results if not as_json else ():
        where = result["endpoint"] or "the URL"
        if result["state"] == "delivered":
            click.echo(f"{where} at {result['host']} took {result['event_id']}: answered {result['status']}")
        else:
            click.echo(f"{where} at {result['host']} did not take it: {result['error']}")
    sys.exit(0 if all(result["state"] == "delivered" for result in results) else 3)


def _to_url(client: Client, kind: str, url: str) -> str:
    return str(client.post("/v1/callbacks/sample", {"type": kind, "url": url})["event_id"])


def _to_endpoints(client: Client, kind: str, endpoint: str | None) -> list[str]:
    if endpoint is None:
        found = client.get("/v1/endpoints")["endpoints"]
        wanted = [e["id"] for e in found if e["enabled"] and kind in e["events"]]
        if not wanted:
            raise click.ClickException(
                f"no endpoint of yours takes {kind}: start `sluice listen` beside this, or give --to URL"
            )
    else:
        wanted = [endpoint]
    return [str(client.post(f"/v1/endpoints/{one}/test", {"type": kind})["event_id"]) for one in wanted]


def _follow(client: Client, event_id: str, timeout_s: float) -> dict[str, Any]:
    """What came of the first try. Raises click.ClickException when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = client.get("/v1/callbacks", {"event_id": event_id})["callbacks"]
        if found:
            result: dict[str, Any] = found[0]
            return result
        if time.monotonic() > deadline:
            raise click.ClickException(
                f"after {timeout_s:g} s nobody has tried {event_id}: does a process with the role notifier run?"
            )
        time.sleep(LOOK_EVERY_S)
