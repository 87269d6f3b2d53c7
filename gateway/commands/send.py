"""`sluice send`: one message, and with --wait its way to the end; or with --file one to every row."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path
from typing import Any

import click

from gateway.commands.client import Client, Refused, print_json
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.timeline import line_of
from gateway.commands.times import future
from gateway.message import CLASSES, FINAL, State

LOOK_EVERY_S = 0.25
ONLY_FILE = ("run", "rate", "encoding", "patience_s")
ONLY_ONE = ("ref", "wait", "timeout")


@click.command(
    "send",
    epilog=lesson(
        'sluice send +79161234567 "Your code is 4711" --class otp --wait',
        'echo Hello | sluice send --to "8 916 123-45-67" --text - --from MyShop',
        'sluice send --file numbers.csv --text "Hello {name}" --class marketing --dry-run',
        'sluice send --file numbers.csv --text "Hello {name}" --tag spring --rate 200',
        "sluice send --file orders.ndjson --send-at 2h",
        source=TARGET,
        codes={3: "--wait: it was not delivered; --file: rows were refused, and are in FILE's name.refused.csv"},
    ),
)
@click.argument("arguments", nargs=-1, metavar="[NUMBER] [TEXT]")
@click.option("--to", metavar="NUMBER", help="The recipient, as people write it.")
@click.option(
    "--text", help="What to send; - reads it from standard input. With --file: {column} stands for its value."
)
@click.option("--from", "sender", metavar="SENDER", help="Up to 11 GSM characters, a number or a short code.")
@click.option("--class", "klass", type=click.Choice(CLASSES), help="How urgent it is.  [default: transactional]")
@click.option("--ref", help="Your own id: sending again with it is safe.")
@click.option("--tag", help="A dimension of the statistics.")
@click.option("--validity", "validity_s", type=click.IntRange(min=1), metavar="SECONDS", help="Worth nothing later.")
@click.option("--send-at", metavar="TIME", help="Not before: a time such as 2030-01-31T09:00, or a span such as 2h.")
@click.option("--wait", is_flag=True, help="Follow it until it has ended; exit code 3 when it was not delivered.")
@click.option("--timeout", default=120.0, show_default=True, metavar="SECONDS", help="How long --wait waits.")
@click.option("--dry-run", is_flag=True, help="Send nothing; say what would be: parts, cost, numbers that are wrong.")
@click.option("--file", "path", type=click.Path(path_type=Path), metavar="FILE", help="CSV or NDJSON, a message a row.")
@click.option("--run", metavar="NAME", help="With --file: the run's name.  [default: the file's]")
@click.option("--rate", type=click.FloatRange(min=0.01), metavar="N", help="With --file: messages a second at most.")
@click.option("--encoding", default="utf-8-sig", metavar="NAME", help="With --file: its encoding.  [default: UTF-8]")
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="With --file: how long to try a gateway that is away.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of sentences.")
@click.pass_context
def command(context: click.Context, /, arguments: tuple[str, ...], **options: Any) -> None:
    """Send a message, or with --file one to every row of a file.

    The file is CSV (with , or ; or tab, UTF-8) or NDJSON. A column `to` has the numbers; `ref`, where there is one,
    your own ids; `text` the texts, unless --text is given, in which {name} stands for the column `name`.

    \b
    Nobody gets two: in one run a number gets one message. Repeat the same
    command after Ctrl-C, a crash or an outage, and it goes on where it stopped.
    How: a row's ref is the run's name (or its own ref), and the gateway
    recognises a ref to the same number for 72 hours. FILE's name.run.json
    beside the file says how far the run is, and so protects for longer; keep
    it with the file. Another text or month is another run: --run NAME.

    Rows that are refused go to FILE's name.refused.csv, each with code and sentence: mend them and send that file with
    the same --run.
    """
    if options["path"] is not None:
        _file(context, arguments, options)
    else:
        _one(context, arguments, options)


def _file(context: click.Context, arguments: tuple[str, ...], options: dict[str, Any]) -> None:
    from gateway.commands.bulk import command as bulk  # its parts are not needed for one message

    if arguments or options["to"]:
        raise click.UsageError("with --file the numbers are in the file; give the text as --text TEXT")
    _refuse_given(context, ONLY_ONE, "is for one message; rows have a column `ref`, and stats show how a run goes")
    order = bulk.Order(
        path=options["path"],
        text=_text(options["text"]),
        defaults=_wishes(options),
        **{name: options[name] for name in ("encoding", "run", "rate", "patience_s", "dry_run", "as_json")},
    )
    bulk.exit_with(bulk.send_file(order))


def _one(context: click.Context, arguments: tuple[str, ...], options: dict[str, Any]) -> None:
    _refuse_given(context, ONLY_FILE, "goes with --file")
    given = list(arguments)
    to = options["to"] or (given.pop(0) if given else None)
    text = options["text"] or (given.pop(0) if given else None)
    if not to or text is None or given:
        raise click.UsageError("give one number and one text, such as: sluice send +79161234567 'Hello'")
    document = {"to": to, "text": _text(text), **_wishes(options)} | ({"ref": options["ref"]} if options["ref"] else {})
    client, as_json = Client(), options["as_json"]
    if options["dry_run"]:
        _preview(client.post("/v1/messages/preview", document), as_json)
        return
    accepted = client.post("/v1/messages", document, {"Idempotency-Key": str(uuid.uuid4())})
    if not as_json:
        again = ", sent before under this ref" if accepted["duplicate"] else ""
        click.echo(f"{accepted['id']} {accepted['state']} ({_parts(accepted)}, {accepted['encoding']}{again})")
    if not options["wait"]:
        if as_json:
            print_json(accepted)
        return
    message = _follow(client, accepted["id"], options["timeout"], as_json)
    if as_json:
        print_json(message)
    sys.exit(0 if message["state"] == State.DELIVERED else 3)


def _refuse_given(context: click.Context, names: tuple[str, ...], why: str) -> None:
    """What was typed but has no meaning here."""
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = next(p for p in context.command.params if p.name == name)
            raise click.UsageError(f"{option.opts[0]} {why}")


def _text(text: str | None) -> str | None:
    return sys.stdin.read().rstrip("\n") if text == "-" else text


def _wishes(options: dict[str, Any]) -> dict[str, Any]:
    """What one message and all rows of a file may ask for."""
    wanted = {"from": options["sender"], "class": options["klass"], "send_at": future(options["send_at"])}
    wanted |= {name: options[name] for name in ("tag", "validity_s")}
    return {name: value for name, value in wanted.items() if value is not None}


def _parts(document: dict[str, Any]) -> str:
    return "1 part" if document["parts"] == 1 else f"{document['parts']} parts"


def _preview(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    click.echo(f"{document['to']} from {document['from']}, {document['class']}; nothing is sent by a dry run.")
    treated = "" if document["treatment"] == "none" else f", after {document['treatment']} on route {document['route']}"
    price = f", {document['price']['amount']} {document['price']['currency']}" if document["price"] else ""
    click.echo(f"{_parts(document)}, {document['characters']} characters in {document['encoding']}{treated}{price}:")
    for number, part in enumerate(document["part_texts"], 1):
        click.echo(f"  {number}: {part}")
    if document["advice"]:
        click.echo(document["advice"])


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
