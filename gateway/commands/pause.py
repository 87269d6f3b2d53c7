"""`sluice pause`: keep a class, a client, a tag or a carrier from sending; what is accepted waits."""

from __future__ import annotations

import click

from gateway.commands.client import Client, print_json
from gateway.commands.pausing import named, one_of, show_pauses
from gateway.commands.teaching import TARGET, lesson


@click.command(
    "pause",
    epilog=lesson(
        "sluice pause                              # what is paused now",
        "sluice pause --class marketing",
        "sluice pause --client shop --note 'wrong text, see 4711'",
        "sluice pause --tag spring-sale",
        source=f"The key needs the scope ops. {TARGET}",
    ),
)
@named("Pause")
@click.option("--note", default="", help="Why, for people.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def command(
    klass: str | None, client: str | None, tag: str | None, carrier: str | None, note: str, as_json: bool
) -> None:
    """Keep something from sending, everywhere within a second; without options: list what is paused.

    What is accepted stays accepted and waits, with the reason `paused`; validity goes on counting. Other classes,
    clients and tags are not slowed. `sluice resume` sends at once what waits.
    """
    wanted = one_of(klass, client, tag, carrier)
    if wanted:
        found = Client().post("/v1/pauses", {**wanted, **({"note": note} if note else {})})
    else:
        found = Client().get("/v1/pauses")
    if as_json:
        print_json(found)
        return
    for kind, name in wanted.items():
        click.echo(f"{kind} {name} is paused: sluice resume --{kind} {name}")
    if not wanted:
        show_pauses(found["pauses"])
