"""`sluice resume`: let what was paused send again."""

from __future__ import annotations

import urllib.parse

import click

from gateway.commands.client import Client, print_json
from gateway.commands.pausing import in_words, named, one_of
from gateway.commands.teaching import TARGET, lesson


@click.command(
    "resume",
    epilog=lesson(
        "sluice resume --class marketing",
        "sluice resume --tag spring-sale",
        source=f"The key needs the scope ops. {TARGET}",
    ),
)
@named("Resume")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of sentences.")
def command(klass: str | None, client: str | None, tag: str | None, carrier: str | None, as_json: bool) -> None:
    """Let what `sluice pause` paused send again: what waits goes at once."""
    wanted = one_of(klass, client, tag, carrier)
    if not wanted:
        raise click.UsageError(
            "Name one of --class, --client, --tag and --carrier; `sluice pause` lists what is paused."
        )
    found = Client().ask("DELETE", f"/v1/pauses?{urllib.parse.urlencode(wanted)}")
    if as_json:
        print_json(found)
        return
    for kind, name in wanted.items():
        left = f" Still paused: {in_words(found['pauses'])}." if found["pauses"] else ""
        click.echo(f"{kind} {name} sends again.{left}")
