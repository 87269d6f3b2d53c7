"""`sluice stoplist`: numbers that are not to be sent to, by the API or on the servers themselves.

In: numbers. Out: what changed, live in every process within a second. Never: a number in full that nobody asked for.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from gateway import logs
from gateway.commands.client import Client, print_json
from gateway.commands.settings import names_servers, read_settings
from gateway.commands.stops.access import Access, ByHttp, ByServers, Change
from gateway.commands.stops.shown import print_difference, print_versions, table, tell_wrong, watched
from gateway.commands.teaching import EITHER, lesson
from gateway.config import Settings
from gateway.message import CLASSES
from gateway.sheets.numbers_file import Wrong
from gateway.stops.classes import UNLESS_SAID
from gateway.text import numbers as text_numbers

_PARTLY: Final = {3: "done, but some lines have no number: they are shown"}
_ALL: Final = "all"
_COLUMNS: Final = ("number", "client", "classes", "source", "reason", "who", "at")

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of sentences.")
_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="SLUICE_CONFIG",
    help="A sluice.toml: reach PostgreSQL and Redis themselves, not the API.",
)
_CLIENT = click.option("--client", metavar="NAME", help="Only this client's list; everybody's if not given.")
_CLIENT_ONLY = click.option("--client", metavar="NAME", help="Only this client's list; all if not given.")
_CLASS = click.option(
    "--class",
    "classes",
    multiple=True,
    type=click.Choice((*CLASSES, _ALL)),
    help=f"What is stopped; may be repeated. If not given: {', '.join(UNLESS_SAID)}.",
)
_REASON = click.option("--reason", default="", help="A note: why.")


@click.group(
    "stoplist",
    epilog=lesson(
        "sluice stoplist add +79161234567 --reason 'asked by phone'",
        "sluice stoplist import regulator.csv --class all",
        "sluice stoplist check +79161234567",
        source=f"The key needs the scope ops or plan; a client's own key handles that client's list. {EITHER}",
    ),
)
def command() -> None:
    """Numbers that are not to be sent to: for everybody's messages, or one client's, by class."""


@command.command(
    "add",
    epilog=lesson(
        "sluice stoplist add +79161234567 +79161234568 --class marketing",
        "sluice stoplist add +79161234567 --client shop --reason 'complaint 4711'",
        "sluice stoplist add +79161234567 --class all       # codes too",
        source=EITHER,
    ),
)
@click.argument("given", metavar="NUMBER...", nargs=-1, required=True)
@_CLIENT
@_CLASS
@_REASON
@_JSON
@_CONFIG
def add(
    given: Sequence[str], client: str | None, classes: Sequence[str], reason: str, as_json: bool, config: Path | None
) -> None:
    """Put numbers on a list. They are not sent to any more, everywhere within a second."""
    access = _access(config)
    numbers = _parsed(given, access)
    made = access.add(numbers, Change(client, _named(classes), reason))
    said = {"added": made.fresh, "changed": made.changed}
    if as_json:
        print_json(said)
        return
    there = len(set(numbers)) - made.fresh - made.changed
    click.echo(f"{made.fresh:,} added, {made.changed:,} changed, {there:,} were there or came twice.")


@command.command(
    "remove",
    epilog=lesson(
        "sluice stoplist remove +79161234567",
        "sluice stoplist remove +79161234567 --client shop --class transactional",
        "sluice stoplist remove --file numbers.csv     # no return to an earlier import brings these back",
        source=EITHER,
        codes=_PARTLY,
    ),
)
@click.argument("given", metavar="[NUMBER]...", nargs=-1)
@_CLIENT
@click.option("--class", "classes", multiple=True, type=click.Choice(CLASSES), help="Only this class; may be repeated.")
@click.option("--file", "path", type=click.Path(path_type=Path), help="A file of numbers, as import takes it.")
@click.option("--column", metavar="NAME", help="The column of the file's numbers.")
@_JSON
@_CONFIG
@click.pass_context
def remove(
    context: click.Context,
    given: Sequence[str],
    client: str | None,
    classes: Sequence[str],
    path: Path | None,
    column: str | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Take numbers off a list: whoever put them there, the subscriber's own STOP too."""
    access, wrong = _access(config), list[Wrong]()
    if (path is None) is not bool(given):
        raise click.UsageError("Which numbers? Give them, or a file of them: --file FILE")
    if path is None:
        removed = access.remove(_parsed(given, access), client, classes)
    else:
        removed = 0
        for one in watched(path, access.region or Settings().default_region, column):
            wrong.extend(one.wrong)
            removed += access.remove(one.numbers, client, classes) if one.numbers else 0
    if as_json:
        print_json({"removed": removed, "refused": len(wrong)} if path is not None else {"removed": removed})
    else:
        tell_wrong(wrong)
        click.echo(f"{removed:,} taken off.")
    if wrong:
        context.exit(3)


@command.command(
    "import",
    epilog=lesson(
        "sluice stoplist import numbers.csv --client shop",
        "sluice stoplist import regulator.csv --column phone --class all --reason 'order 12/2026'",
        "sluice stoplist import regulator.csv --whole      # what it has no more comes off",
        "sluice stoplist rollback                         # it was the wrong file",
        source=f"A number a line, or a CSV with a column `to`, `number` or `phone`. A file counts whole or not at all,"
        f" and a million numbers take less than a minute. A client's own key makes no version. {EITHER}",
        codes=_PARTLY,
    ),
)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@_CLIENT
@_CLASS
@_REASON
@click.option("--column", metavar="NAME", help="The column of the numbers.")
@click.option("--whole", is_flag=True, help="The file is all that is imported: what it has no more comes off.")
@_JSON
@_CONFIG
@click.pass_context
def import_(
    context: click.Context,
    path: Path,
    client: str | None,
    classes: Sequence[str],
    reason: str,
    column: str | None,
    whole: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """Put a file of numbers on a list, as a version. Single entries, such as a subscriber's STOP, stand beside."""
    access = _access(config)
    wrong, count = list[Wrong](), 0

    def slices() -> Iterator[list[str]]:
        nonlocal count
        for one in watched(path, access.region or Settings().default_region, column):
            wrong.extend(one.wrong)
            count += len(one.numbers)
            yield one.numbers

    made = access.bring_in(slices(), Change(client, _named(classes), reason or path.name), path.name, whole)
    if as_json:
        shown = [{"line": w.line, "detail": w.sentence} for w in wrong[:1000]]
        counts = {"numbers": count, "added": made.fresh, "changed": made.changed, "removed": made.removed}
        print_json({"version": made.version, **counts, "refused": len(wrong), "lines": shown})
    else:
        tell_wrong(wrong)
        there = count - made.fresh - made.changed
        off = f" {made.removed:,} taken off," if whole else ""
        click.echo(
            f"{count:,} numbers: {made.fresh:,} added, {made.changed:,} changed,{off} {there:,} were there or came"
            f" twice; {len(wrong):,} lines without a number."
        )
        if made.version is not None:
            click.echo(f"This is version {made.version}. To undo it: sluice stoplist rollback{_of(client)}")
    if wrong:
        context.exit(3)


@command.command(
    "list", epilog=lesson("sluice stoplist list", "sluice stoplist list --client shop --limit 200", source=EITHER)
)
@_CLIENT
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many.")
@_JSON
@_CONFIG
def list_(client: str | None, limit: int, as_json: bool, config: Path | None) -> None:
    """The newest entries of all lists, or of one client's."""
    found = list(_access(config).entries(client, limit, False))
    if as_json:
        print_json({"entries": found})
        return
    table(found)


@command.command(
    "export",
    epilog=lesson(
        "sluice stoplist export > stops.csv",
        "sluice stoplist export --client shop --full > stops.csv",
        source=f"With --full the key needs the scope privacy. {EITHER}",
    ),
)
@_CLIENT
@click.option("--full", is_flag=True, help="Numbers in full; this is noted in the audit.")
@_CONFIG
def export(client: str | None, full: bool, config: Path | None) -> None:
    """Every entry as CSV on standard output."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(_COLUMNS)
    for entry in _access(config).entries(client, None, full):
        cells = {**entry, "classes": " ".join(entry["classes"])}
        out.writerow([cells[name] if cells[name] is not None else "" for name in _COLUMNS])


@command.command(
    "check",
    epilog=lesson(
        "sluice stoplist check +79161234567", "sluice stoplist check 89161234567 --client shop", source=EITHER
    ),
)
@click.argument("number", metavar="NUMBER")
@click.option("--client", metavar="NAME", help="For this client's messages.")
@_JSON
@_CONFIG
def check(number: str, client: str | None, as_json: bool, config: Path | None) -> None:
    """Say what is stopped for a number, and why."""
    access = _access(config)
    found = access.check(_parsed((number,), access)[0], client)
    if as_json:
        print_json(found)
        return
    whose = f"messages of {client}" if client else "everybody's messages"
    stopped = ", ".join(found["stopped"])
    click.echo(
        f"{found['number']}: {f'stopped for {stopped}, of {whose}' if stopped else f'nothing is stopped of {whose}'}."
    )
    if found["entries"]:
        table(found["entries"])


@command.command(
    "versions",
    epilog=lesson("sluice stoplist versions", "sluice stoplist versions --client shop --limit 5", source=EITHER),
)
@_CLIENT_ONLY
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many.")
@_JSON
@_CONFIG
def versions(client: str | None, limit: int, as_json: bool, config: Path | None) -> None:
    """What was imported, newest first, and what each import changed."""
    found = _access(config).versions(client, limit)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print_versions(found)


@command.command(
    "diff",
    epilog=lesson(
        "sluice stoplist diff             # what the newest import changed",
        "sluice stoplist diff 3           # from version 3 to the newest",
        "sluice stoplist diff 3 5 --full",
        "sluice stoplist diff 0 --client shop   # 0: before the first",
        source=f"With --full over HTTP the key needs the scope privacy. {EITHER}",
    ),
)
@click.argument("before", metavar="[VERSION]", type=click.IntRange(min=0), required=False)
@click.argument("after", metavar="[VERSION]", type=click.IntRange(min=0), required=False)
@click.option("--client", metavar="NAME", help="This client's list, where no version says which.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many numbers are shown.")
@click.option("--full", is_flag=True, help="Numbers in full.")
@_JSON
@_CONFIG
def diff(
    before: int | None,
    after: int | None,
    client: str | None,
    limit: int,
    full: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """Say what differs between two versions of what was imported into a list."""
    found = _access(config).difference(client, before, after, limit)
    if not full:
        found["numbers"] = [one | {"number": logs.masked(one["number"])} for one in found["numbers"]]
    elif any("*" in one["number"] for one in found["numbers"]):
        raise click.ClickException("numbers in full need a key with the scope `privacy`")
    if as_json:
        print_json(found)
    else:
        print_difference(found)


@command.command(
    "rollback",
    epilog=lesson(
        "sluice stoplist rollback              # to the version before the newest",
        "sluice stoplist rollback 3",
        "sluice stoplist rollback 0 --client shop   # to what was there before the first import",
        source=EITHER,
    ),
)
@click.argument("version", type=click.IntRange(min=0), required=False)
@click.option("--client", metavar="NAME", help="This client's list, where no version says which.")
@_JSON
@_CONFIG
def rollback(version: int | None, client: str | None, as_json: bool, config: Path | None) -> None:
    """Return to an earlier version of what was imported into a list.

    Entries that came one by one stay, a subscriber's STOP above all; numbers that were taken off one by one stay off.
    """
    done = _access(config).rollback(client, version)
    if as_json:
        print_json(msgspec.to_builtins(done))
        return
    back = f"as after version {done.back_to}" if done.back_to else "as before the first import"
    what = f"{done.added:,} numbers are on it again, {done.removed:,} off, {done.changed:,} as they were"
    if done.back_to is None:
        click.echo(f"Version {done.version} is in use already: nothing changes.")
    else:
        click.echo(f"Version {done.version} is in use: the list of {done.client or 'everybody'} is {back}; {what}.")


def _of(client: str | None) -> str:
    return f" --client {client}" if client else ""


def _access(config: Path | None) -> Access:
    return ByServers(read_settings(config)) if names_servers(config) else ByHttp(Client())


def _parsed(given: Sequence[str], access: Access) -> list[str]:
    """By the gateway, where it is asked: it knows which country a number without one is of."""
    if not access.region:
        return list(given)
    found = []
    for place, text in enumerate(given, 1):
        try:
            found.append(text_numbers.parse(text, access.region))
        except text_numbers.NumberError as e:
            raise click.UsageError(f"number {place}: {e.sentence}") from e
    return found


def _named(classes: Sequence[str]) -> tuple[str, ...]:
    return CLASSES if _ALL in classes else tuple(dict.fromkeys(classes)) or UNLESS_SAID
