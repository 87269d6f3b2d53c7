"""`sluice carriers`: how carriers do, what is wrong with one; pause, resume, drain."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.commands import carrier_check
from gateway.commands.client import Client, Refused, print_json
from gateway.commands.scorecards import score
from gateway.commands.tables import Column, screen, show
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.times import span
from gateway.commands.watch.carrier import Verdict, judge

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
_NAME = click.argument("name")


@click.group(
    "carriers",
    invoke_without_command=True,
    epilog=lesson(
        "sluice carriers",
        "sluice carriers check north       # links, windows, last error, and what is wrong",
        "sluice carriers pause north       # send nothing by it until resume",
        source=f"The key needs the scope ops. {TARGET}",
    ),
)
@_JSON
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List carriers with the state of their links; check, pause, resume or drain one."""
    if context.invoked_subcommand is not None:
        return
    found = Client().get("/v1/carriers")
    if as_json:
        print_json(found)
    elif found["carriers"]:
        _list(found["carriers"])
    else:
        click.echo("The plan has no carriers: sluice plan apply FILE --activate")


command.add_command(score)


def _list(carriers: list[dict[str, Any]]) -> None:
    columns = [
        Column("carrier", whole=True),
        Column("mode"),
        Column("links", whole=True),
        Column("in flight", right=True),
        Column("a second", right=True),
        Column("limited by"),
        Column("last error"),
    ]
    rows = []
    for c in carriers:
        verdict, status = judge(c, _now_ms()), c["status"]
        links = f"{verdict.bound} of {verdict.links} up" if verdict.links else ("up" if status.get("live") else "none")
        flight = f"{verdict.in_flight}/{verdict.window}" if verdict.window else str(verdict.in_flight)
        error = status.get("last_error") or ""
        rows.append((c["name"], c["mode"], links, flight, _rate(status), verdict.limited_by, error))
    show(columns, rows)


@command.command(
    "check",
    epilog=lesson(
        "sluice carriers check north",
        "sluice carriers check north --to +79161234567 --plan plan.toml      # which settings it needs",
        "sluice carriers check north --to +79161234567 --control http://127.0.0.1:2776 --flood 300",
        source=TARGET,
        codes={3: "the carrier cannot send now"},
    ),
)
@_NAME
@click.option("--to", metavar="NUMBER", help="Bind to the carrier, send test messages there, say what was learnt.")
@click.option("--from", "sender", default="Sluice", show_default=True, help="Sender of the test messages.")
@click.option(
    "--plan", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its settings; else the live plan."
)
@click.option("--control", metavar="URL", help="Control port of a sandbox, which shows the phone.")
@click.option("--messages", type=click.IntRange(1, 100), default=4, show_default=True, help="Short test messages.")
@click.option("--flood", type=click.IntRange(0, 10_000), default=0, help="Measure the rate with up to so many more.")
@click.option("--wait", "wait_s", type=float, default=60.0, show_default=True, help="Seconds to wait for receipts.")
@_JSON
def check(name: str, to: str | None, as_json: bool, **given: Any) -> None:
    """Say how a carrier is: its links, windows, last error, counts, and in one sentence what is wrong.

    With --to, bind to a carrier by SMPP with its settings, send test messages (about 15 without --flood), ask what the
    phone shows, and say which settings to write: kinds of binds, optional parameters, alphabet, long messages, form of
    ids and receipts, their time zone, rate and window. The links are beside those of a running gateway.
    """
    if to is not None:
        sys.exit(carrier_check.run(name, to, given, as_json))
    known = {c["name"]: c for c in Client().get("/v1/carriers")["carriers"]}
    if name not in known:
        raise Refused(f"there is no carrier {name}; known are: {', '.join(known) or 'none'}", todo="sluice carriers")
    verdict = judge(known[name], _now_ms())
    if as_json:
        print_json({**known[name], "ok": verdict.ok, "limited_by": verdict.limited_by, "sentence": verdict.sentence})
    else:
        _show(known[name], verdict)
    sys.exit(0 if verdict.ok else 3)


def _show(carrier: dict[str, Any], verdict: Verdict) -> None:
    out, status = screen(), carrier["status"]
    out.print(carrier["name"], style="bold green" if verdict.ok else "bold red", end=": ")
    out.print(verdict.sentence, soft_wrap=True)
    rate = status.get("rate_per_s")
    facts = [
        ("mode", carrier["mode"]),
        ("rate limit", f"{rate:g} parts a second" if rate else "none"),
        ("rate now", f"{status['rate_now_per_s']:g} parts a second" if "rate_now_per_s" in status else None),
        ("in flight", f"{verdict.in_flight} of {verdict.window} that the windows hold" if verdict.window else None),
        ("answers", _answers(status)),
        ("receipts", _receipts(status)),
        ("message ids", _ids(status)),
        ("last error", status.get("last_error")),
        ("served by", status.get("owner")),
        ("seen", f"{span(max(0.0, (_now_ms() - status['at_ms']) / 1000))} ago" if status.get("at_ms") else "never"),
    ]
    for name, value in facts:
        if value:
            out.print(f"  {name:<11} {value}", soft_wrap=True)
    for warning in status.get("warnings", ()):
        out.print(f"  warning     {warning}", style="yellow", soft_wrap=True, markup=False)
    if codes := status.get("codes"):
        told = ", ".join(f"{number:,} of {code}" for code, number in codes.items())
        out.print(f"  codes       {told}", soft_wrap=True)
    if counts := status.get("counts"):
        out.print("  counts      " + ", ".join(f"{number:,} {name}" for name, number in counts.items()), soft_wrap=True)
    if links := status.get("links"):
        out.print()
        columns = [Column("link", whole=True), Column("state"), Column("since", right=True)]
        columns += [Column("in flight", right=True), Column("error")]
        now = _now_ms()
        show(
            columns,
            [
                (
                    link["bind"],
                    link["state"],
                    span(max(0.0, (now - link["since_ms"]) / 1000)) if link.get("since_ms") else "",
                    f"{link['in_flight']}/{link['window']}",
                    link.get("error") or "",
                )
                for link in links
            ],
            out,
        )


def _rate(status: dict[str, Any]) -> str:
    """Parts a second, now and allowed."""
    now, allowed = status.get("rate_now_per_s"), status.get("rate_per_s")
    return "" if now is None else f"{now:g}/{allowed:g}" if allowed else f"{now:g}"


def _answers(status: dict[str, Any]) -> str | None:
    if status.get("answer_p50_ms") is not None:
        return f"after {status['answer_p50_ms']} ms, one of a hundred after {status['answer_p99_ms']} ms or more"
    return f"after {status['answer_ms']:g} ms" if status.get("answer_ms") else None


def _receipts(status: dict[str, Any]) -> str | None:
    since_ms = status.get("receipts_awaited_since_ms")
    if not status.get("receipts_awaited") or since_ms is None:
        return None
    age = span(max(0.0, (_now_ms() - since_ms) / 1000))
    return f"{status['receipts_awaited']:,} messages wait for theirs, the oldest since {age}"


def _ids(status: dict[str, Any]) -> str | None:
    form = status.get("message_ids")
    return f'as {form} where receipts write them otherwise; to fix it: message_ids = "{form}"' if form else None


def _order(name: str, verb: str, as_json: bool) -> None:
    carrier = Client().post(f"/v1/carriers/{name}/{verb}")
    if as_json:
        print_json(carrier)
    else:
        click.echo(f"{carrier['name']} is {carrier['mode']}.")


def _lesson(verb: str) -> str:
    return lesson(f"sluice carriers {verb} north", source=TARGET)


@command.command("pause", epilog=_lesson("pause"))
@_NAME
@_JSON
def pause(name: str, as_json: bool) -> None:
    """Keep the carrier's links, send nothing; what waits goes to other carriers."""
    _order(name, "pause", as_json)


@command.command("resume", epilog=_lesson("resume"))
@_NAME
@_JSON
def resume(name: str, as_json: bool) -> None:
    """Send by the carrier again."""
    _order(name, "resume", as_json)


@command.command("drain", epilog=_lesson("drain"))
@_NAME
@_JSON
def drain(name: str, as_json: bool) -> None:
    """Give the carrier nothing new, send what it has."""
    _order(name, "drain", as_json)


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
