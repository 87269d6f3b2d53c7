"""`sluice plan`: check a plan, keep it, make it live, return to an older one.

In: a TOML file. Out: tables for people, JSON for programs, problems as `file:line: sentence`. Exit codes: 0 done, 1 not
done, 2 a command that cannot be understood.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

import click
import msgspec

from gateway.api.plan_documents import PlanEffect
from gateway.commands.options import AS_JSON, CONFIG_OR_API
from gateway.commands.plan_access import MAX_HISTORY, Access, AccessError, find_access
from gateway.commands.plan_effect import print_effect
from gateway.commands.tables import Column, show
from gateway.commands.teaching import EITHER, lesson
from gateway.commands.times import past
from gateway.credentials import unreadable
from gateway.plan.difference import Change, difference
from gateway.plan.document import Plan
from gateway.plan.lines import Lines, pointer
from gateway.plan.parse import parse
from gateway.plan.problems import Problem, errors
from gateway.provider_modules import check_whole
from gateway.store.plans import PlanRow
from gateway.store.traffic import MOST

T = TypeVar("T")

_FILE = click.argument("file", type=click.File("rb"))
_NOTE = click.option("--note", default="", help="Why: kept in the audit.")


@click.group(
    "plan",
    epilog=lesson(
        "sluice plan show > plan.toml          # then edit it",
        "sluice plan check plan.toml",
        "sluice plan diff plan.toml",
        'sluice plan apply plan.toml --activate --note "north is cheaper"',
        "sluice plan rollback",
        source=f"The key needs the scope plan. {EITHER}",
    ),
)
def command() -> None:
    """The routing plan: carriers, operators, rates and routes in one TOML document."""


@command.command("check", epilog=lesson("sluice plan check plan.toml --credentials", codes={1: "the plan has errors"}))
@_FILE
@click.option("--credentials", is_flag=True, help="Also see whether this machine can read every secret.")
@click.option("--live", is_flag=True, help="Also ask the gateway which limits last week's traffic would have reached.")
@AS_JSON
@CONFIG_OR_API
def check_command(file: IO[bytes], credentials: bool, live: bool, as_json: bool, config: Path | None) -> None:
    """Say everything that is wrong with a plan, line by line. Needs no gateway but for --live."""
    text = _read(file)
    plan, problems = check_whole(text)
    if live and plan is not None:
        problems = _run(lambda access: access.check(text), config)
    if credentials and plan is not None:
        problems = [*problems, *_unreadable(text, plan)]
    wrong = bool(errors(problems))
    if as_json:
        _print_json({"ok": not wrong, "problems": problems})
    else:
        _print_problems(file, problems)
        if plan is not None and not wrong:
            parts = {"carrier": plan.carriers, "operator": plan.operators, "rate": plan.rates, "route": plan.routes}
            counts = (f"{len(found)} {name}{'s' * (len(found) != 1)}" for name, found in parts.items())
            click.echo(f"The plan is good: {', '.join(counts)}.")
    sys.exit(1 if wrong else 0)


@command.command(
    "apply",
    epilog=lesson('sluice plan apply plan.toml --activate --note "north is cheaper"', source=EITHER),
)
@_FILE
@click.option("--activate", is_flag=True, help="Make it live at once.")
@click.option("--note", default="", help="Why: kept in the history.")
@AS_JSON
@CONFIG_OR_API
def apply_command(file: IO[bytes], activate: bool, note: str, as_json: bool, config: Path | None) -> None:
    """Keep a plan as a new version; with --activate it is live in every process within a second."""
    text = _read(file)
    plan, problems = check_whole(text)
    if not as_json:
        _print_problems(file, problems, err=True)
    if plan is None:
        if as_json:
            _print_json({"ok": False, "problems": problems})
        sys.exit(1)

    async def work(access: Access) -> int:
        version = await access.draft(text, note)
        if activate:
            await access.activate(version, note)
        return version

    version = _run(work, config, file)
    if as_json:
        _print_json({"ok": True, "version": version, "active": activate, "problems": problems})
    elif activate:
        click.echo(f"Version {version} is live.")
    else:
        click.echo(f"Version {version} is kept. To use it: sluice plan activate {version}")


@command.command("activate", epilog=lesson("sluice plan activate 12", source=EITHER))
@click.argument("version", type=click.IntRange(min=1))
@_NOTE
@AS_JSON
@CONFIG_OR_API
def activate_command(version: int, note: str, as_json: bool, config: Path | None) -> None:
    """Make a version live in every process within a second."""

    async def work(access: Access) -> None:
        await access.activate(version, note)

    _run(work, config)
    _say_live(version, as_json)


@command.command("rollback", epilog=lesson("sluice plan rollback", "sluice plan rollback 11", source=EITHER))
@click.argument("version", type=click.IntRange(min=1), required=False)
@_NOTE
@AS_JSON
@CONFIG_OR_API
def rollback_command(version: int | None, note: str, as_json: bool, config: Path | None) -> None:
    """Return to a version; without one, to that which was live before."""

    async def work(access: Access) -> int:
        return await access.rollback(version, note)

    _say_live(_run(work, config), as_json)


@command.command("history", epilog=lesson("sluice plan history --limit 5", source=EITHER))
@click.option("--limit", type=click.IntRange(1, MAX_HISTORY), default=20, show_default=True, help="How many versions.")
@AS_JSON
@CONFIG_OR_API
def history_command(limit: int, as_json: bool, config: Path | None) -> None:
    """List versions, the newest first."""

    async def work(access: Access) -> list[PlanRow]:
        return await access.history(limit)

    rows = _run(work, config)
    if as_json:
        _print_json(rows)
        return
    columns = _columns("", "version", "note", "kept", "by", "activated", "by")
    cells = []
    for row in rows:
        values = (_time(row.created_ms), row.created_by, _time(row.activated_ms), row.activated_by or "")
        cells.append(("live" if row.active else "", str(row.version), row.note, *values))
    _show(columns, cells, "No plan was kept yet: sluice plan apply FILE --activate")


@command.command("show", epilog=lesson("sluice plan show > plan.toml", source=EITHER))
@click.argument("version", type=click.IntRange(min=1), required=False)
@AS_JSON
@CONFIG_OR_API
def show_command(version: int | None, as_json: bool, config: Path | None) -> None:
    """Print the document of a version; without one, of the live one."""
    number, text = _run(lambda access: _document(access, version), config)
    if as_json:
        _print_json({"version": number, "document": text})
    else:
        click.echo(text, nl=not text.endswith("\n"))


@command.command(
    "diff", epilog=lesson("sluice plan diff plan.toml", "sluice plan diff plan.toml --version 11", source=EITHER)
)
@_FILE
@click.option("--version", type=click.IntRange(min=1), help="Compare with this version instead of the live one.")
@click.option("--days", type=click.IntRange(0, 31), default=7, show_default=True, help="Traffic to try it on; 0: none.")
@AS_JSON
@CONFIG_OR_API
def diff_command(file: IO[bytes], version: int | None, days: int, as_json: bool, config: Path | None) -> None:
    """Show what a plan would change, and what it would have moved and cost on last week's traffic."""
    text_after = _read(file)
    after = parse(text_after)
    if not isinstance(after, Plan):
        _print_problems(file, after, err=True)
        sys.exit(1)
    number, text = _run(lambda access: _document(access, version), config)
    before = parse(text)
    if not isinstance(before, Plan):
        raise click.ClickException(f"version {number} cannot be read by this release")
    changes = difference(before, after)
    effect = None
    if wrong := errors(check_whole(text_after).problems):
        _print_problems(file, wrong, err=True)
    elif days and changes:
        since = past(f"{days}d")
        effect = _run(lambda access: access.replay(text_after, number, since, None, MOST), config, file)
    if as_json:
        _print_json({"version": number, "changes": changes, "effect": effect})
        return
    columns = _columns("", "what", f"from version {number} to {_name(file)}")
    _show(columns, [_cells(change) for change in changes], f"No difference to version {number}.")
    if effect is not None:
        click.echo()
        print_effect(effect)


@command.command(
    "replay",
    epilog=lesson(
        "sluice plan replay plan.toml --since 30d",
        "sluice plan replay --version 12 --since 2d --until 1d",
        source=EITHER,
    ),
)
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--version", type=click.IntRange(min=1), help="Try this kept version, not a file.")
@click.option("--against", type=click.IntRange(min=1), help="Compare with this version instead of the live one.")
@click.option("--since", default="7d", show_default=True, help="A span such as 30min, 24h or 7d, or a time.")
@click.option("--until", help="A span back from now, or a time; now when not given.")
@click.option(
    "--sample", type=click.IntRange(1, 100_000), default=100_000, show_default=True, help="Messages to look at."
)
@AS_JSON
@CONFIG_OR_API
def replay_command(
    file: IO[bytes] | None,
    version: int | None,
    against: int | None,
    since: str,
    until: str | None,
    sample: int,
    as_json: bool,
    config: Path | None,
) -> None:
    """Show what a plan would have done with messages that were really sent. Nothing is sent or kept."""
    if (file is None) == (version is None):
        raise click.UsageError("name either a file, or a kept version with --version")
    begin, end = past(since), None if until is None else past(until)

    async def work(access: Access) -> tuple[int, PlanEffect]:
        text = _read(file) if file is not None else await access.document(version or 0)
        number, _ = await _document(access, against)
        return number, await access.replay(text, number, begin, end, sample)

    number, effect = _run(work, config, file)
    if as_json:
        _print_json({"version": number, "effect": effect})
        return
    click.echo(f"Compared with version {number}:")
    print_effect(effect)


async def _document(access: Access, version: int | None) -> tuple[int, str]:
    number = version if version is not None else await access.active()
    if number is None:
        raise AccessError("No plan is live yet: sluice plan apply FILE --activate")
    return number, await access.document(number)


def _run(work: Callable[[Access], Awaitable[T]], config: Path | None, file: IO[bytes] | None = None) -> T:
    """Do it, or end with one line and the problems that were the cause."""

    async def run() -> T:
        async with find_access(config) as access:
            return await work(access)

    try:
        return asyncio.run(run())
    except AccessError as e:
        _print_problems(file, e.problems, err=True)
        raise click.ClickException(str(e)) from e


def _read(file: IO[bytes]) -> str:
    try:
        return file.read().decode()
    except UnicodeDecodeError as e:
        raise click.ClickException(f"{_name(file)}: not UTF-8 text") from e


def _name(file: IO[bytes] | None) -> str:
    return "plan" if file is None else str(getattr(file, "name", "<stdin>"))


def _unreadable(text: str, plan: Plan) -> list[Problem]:
    lines, found = Lines(text), []
    for index, carrier in enumerate(plan.carriers):
        path = ("carrier", index, "settings")
        for error in unreadable(carrier.settings):
            place, line = pointer(path) + error.pointer, lines.of(path)
            found.append(Problem(line=line, pointer=place, code="unreadable_secret", sentence=error.sentence))
    return found


def _print_problems(file: IO[bytes] | None, problems: Sequence[Problem], err: bool = False) -> None:
    for problem in problems:
        kind = "" if problem.severity == "error" else f"{problem.severity}: "
        click.echo(f"{_name(file)}:{problem.line}: {kind}{problem.sentence}", err=err)


def _say_live(version: int, as_json: bool) -> None:
    if as_json:
        _print_json({"version": version, "active": True})
    else:
        click.echo(f"Version {version} is live.")


def _cells(change: Change) -> tuple[str, str, str]:
    sign = {"added": "+", "removed": "-", "changed": "~"}[change.kind]
    entry = change.after if change.kind == "added" else change.before
    if change.field:
        said = f"{change.field}: {_shown(change.before)} → {_shown(change.after)}"
    else:
        said = ", ".join(f"{name} {_shown(value)}" for name, value in _flat(entry) if name != "name")
    return sign, f"{change.table} {change.name}".strip(), said


def _flat(entry: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Fields as one writes them, those of tables with dots."""
    if not isinstance(entry, dict):
        yield above, entry
        return
    for name, value in entry.items():
        yield from _flat(value, f"{above}.{name}" if above else name)


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _time(ms: int | None) -> str:
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _print_json(value: Any) -> None:
    click.echo(msgspec.json.encode(value))


def _columns(*names: str) -> list[Column]:
    return [Column(name) for name in names]


def _show(columns: Sequence[Column], rows: Sequence[Sequence[str]], empty: str) -> None:
    if rows:
        show(columns, rows)
    else:
        click.echo(empty)
