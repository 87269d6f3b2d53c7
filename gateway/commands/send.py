"""`sluice send`: one message, and with --wait its way to the end."""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any

import click

from gateway.commands.client import Client, Refused, print_json
from gateway.commands.timeline import line_of
from gateway.message import CLASSES, FINAL, State

LOOK_EVERY_S = 0.25


@click.command("send")
@click.argument("arguments", nargs=-1, metavar="[NUMBER] [TEXT]")
@click.option("--to", metavar="NUMBER", help="The recipient, as people write it.")
@click.option("--text", help="What to send; - reads it from standard input.")
@click.option("--from", "sender", metavar="SENDER", help="Up to 11 GSM characters, a number or a short code.")
@click.option("--class", "klass", type=click.Choice(CLASSES), help="How urgent it is.  [default: transactional]")
@click.option("--ref", help="Your own id: sending again with it is safe.")
@click.option("--tag", help="A dimension of the statistics.")
@click.option("--validity", "validity_s", type=click.IntRange(min=1), metavar="SECONDS", help="Worth nothing later.")
@click.option("--send-at", metavar="TIME", help="Not before, such as 2030-01-31T09:00:00+03:00.")
@click.option("--wait", is_flag=True, help="Follow it until it has ended; exit code 3 when it was not delivered.")
@click.option("--timeout", default=120.0, show_default=True, metavar="SECONDS", help="How long --wait waits.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of sentences.")
def command(arguments: tuple[str, ...], to: str | None, text: str | None, **options: Any) -> None:
    """Send a message.

    \b
    sluice send +79161234567 "Your code is 4711" --class otp --wait
    echo Hello | sluice send --to "8 916 123-45-67" --text - --from MyShop

    The gateway and the key: SLUICE_URL and SLUICE_KEY, or what `sluice up` wrote.
    """
    given = list(arguments)
    to = to or (given.pop(0) if given else None)
    text = text or (given.pop(0) if given else None)
    if not to or text is None or given:
        raise click.UsageError("give one number and one text, such as: sluice send +79161234567 'Hello'")
    wanted = {
        "to": to,
        "text": sys.stdin.read().rstrip("\n") if text == "-" else text,
        "from": options["sender"],
        "class": options["klass"],
        **{name: options[name] for name in ("ref", "tag", "validity_s", "send_at")},
    }
    client, as_json = Client(), options["as_json"]
    document = {name: value for name, value in wanted.items() if value is not None}
    accepted = client.post("/v1/messages", document, {"Idempotency-Key": str(uuid.uuid4())})
    if not as_json:
        parts = "1 part" if accepted["parts"] == 1 else f"{accepted['parts']} parts"
        again = ", sent before under this ref" if accepted["duplicate"] else ""
        click.echo(f"{accepted['id']} {accepted['state']} ({parts}, {accepted['encoding']}{again})")
    if not options["wait"]:
        if as_json:
            print_json(accepted)
        return
    message = _follow(client, accepted["id"], options["timeout"], as_json)
    if as_json:
        print_json(message)
    sys.exit(0 if message["state"] == State.DELIVERED else 3)


def _follow(client: Client, message_id: str, timeout_s: float, quiet: bool) -> dict[str, Any]:
    """Until it has ended. Raises click.ClickException when that takes too long."""
    deadline, shown = time.monotonic() + timeout_s, 0
    while True:
        message: dict[str, Any] = _look(client, message_id)
        timeline = message["timeline"]
        if not quiet:
            for moment in timeline[shown:]:
                click.echo(f"  {line_of(moment)}")
        shown = max(shown, len(timeline))
        if message["state"] in FINAL:
            if not quiet:
                why = message.get("reason_text") or message["reason"]
                click.echo(message["state"] + (f": {why}" if why else ""))
            return message
        if time.monotonic() > deadline:
            raise click.ClickException(
                f"after {timeout_s:g} s it is {message['state']}: sluice trace {message_id} shows how it goes on"
            )
        time.sleep(LOOK_EVERY_S)


def _look(client: Client, message_id: str) -> Any:
    """The message; a gateway that is away for a moment is asked again by the caller's loop."""
    for _ in range(20):
        try:
            return client.get(f"/v1/messages/{message_id}")
        except Refused as e:
            if e.status not in (0, 503):
                raise
            time.sleep(LOOK_EVERY_S)
    return client.get(f"/v1/messages/{message_id}")
