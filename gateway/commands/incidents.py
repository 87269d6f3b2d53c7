"""`sluice incidents`: what is unusual now, worst first, in words."""

from __future__ import annotations

import click

from gateway.commands.client import Client, print_json
from gateway.commands.tables import screen
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.times import past, short


@click.command(
    "incidents",
    epilog=lesson(
        "sluice incidents                 # the last six hours",
        "sluice incidents --since 1h",
        "sluice incidents --json | jq -r '.incidents[].says'",
        source=f"The key needs the scope ops. {TARGET}",
    ),
)
@click.option("--since", default="6h", show_default=True, help="A span such as 1h or 6h, up to 24h, or a time.")
@click.option("--until", help="A time, or a span back from now.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of sentences.")
def command(since: str, until: str | None, as_json: bool) -> None:
    """What is unusual against the same hours of the seven days before, worst first.

    It looks at failures by reason, receipts that stop or look invented, delivery times, prices, parts a message, and
    how much each client sends; and it names the carrier, the network, the client or the sender that it comes from.
    """
    found = Client().get("/v1/incidents", {"since": past(since), "until": past(until) if until else None})
    if as_json:
        print_json(found)
        return
    out = screen()
    for number, one in enumerate(found["incidents"], 1):
        out.print(f"{number}. {one['says']}", style="bold red" if number == 1 else "bold")
        out.print(f"   see: {one['todo']}", style="dim", soft_wrap=True)
    if not found["incidents"]:
        span = f"{short(found['since'])} to {short(found['until'])}"
        click.echo(f"Nothing unusual: {span} is like the same hours of the {found['earlier_days']} days before.")
