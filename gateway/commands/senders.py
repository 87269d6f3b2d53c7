"""`sluice senders`: which senders are registered where: the registry's versions, and what it says of one sender.

In: CSV files. Out: tables for people, JSON for programs, faults as `file:line: sentence`. Exit codes: 0 done, 1 not
done, 2 a command that cannot be understood.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import click
import msgspec

from gateway.commands.options import AS_JSON, CONFIG_OR_API
from gateway.commands.sheets import shown
from gateway.commands.sheets.access import find_access
from gateway.commands.sheets.versions import add_versions
from gateway.commands.tables import Column, show
from gateway.commands.teaching import EITHER, lesson
from gateway.message import CLASSES
from gateway.plan.document import Plan, Sender
from gateway.plan.senders import Senders, Standing
from gateway.sheet_imports import Wish
from gateway.sheets import senders
from gateway.sheets.rates import Given

KIND = "senders"
_EMPTY = "No registry was kept yet: sluice senders import FILE --activate"


@click.group(
    "senders",
    epilog=lesson(
        "sluice senders import registry.csv --activate",
        "sluice senders check BANK --client shop",
        "sluice senders list",
        source=f"The key needs the scope plan. {EITHER}",
    ),
)
def command() -> None:
    """Which senders are registered at which carriers and operators, for which classes."""


@command.command(
    "import",
    epilog=lesson(
        "sluice senders import registry.csv --activate",
        "sluice senders import north.csv --carrier north --dry-run",
        source=EITHER,
        codes={1: "a row is wrong, and nothing was kept; or refused or out of reach"},
    ),
)
@click.argument("file", type=click.File("rb"))
@click.option("--carrier", default="", metavar="NAME", help="Its registry only: other carriers' rows stay.")
@click.option("--activate", is_flag=True, help="Make it the one in use at once.")
@click.option("--dry-run", is_flag=True, help="Only say what it would change.")
@click.option("--note", default="", help="Why: kept in the history.")
@AS_JSON
@CONFIG_OR_API
def import_command(
    file: IO[bytes], carrier: str, activate: bool, dry_run: bool, note: str, as_json: bool, config: Path | None
) -> None:
    """Check a registry, say what it changes, and keep it as a new version.

    The columns sender, carriers, operators, classes, clients and state are known by many names, in Russian and
    English; a cell may list several with | between them. Without --carrier the file replaces the whole registry.
    """
    if dry_run and activate:
        raise click.UsageError("--dry-run keeps nothing that could be activated: leave one of them out.")
    access = find_access(config)
    name = str(getattr(file, "name", "<stdin>"))
    wish = Wish(Given(carrier), not carrier, not dry_run, note, Path(name).name)
    done = access.import_senders(file.read(), wish)
    if done.version is not None and activate:
        access.activate(KIND, done.version)
    if as_json:
        found = {"version": done.version, "active": activate and done.version is not None, "rows": done.report.rows}
        click.echo(msgspec.json.encode(found | {"faults": done.report.faults, "summary": done.summary}))
    else:
        shown.print_report(name, done.report)
        if done.summary is not None:
            shown.print_senders(done.summary)
        shown.print_kept(KIND, done.version, activate)
    sys.exit(0 if done.summary is not None else 1)


@command.command("list", epilog=lesson("sluice senders list", source=EITHER))
@AS_JSON
@CONFIG_OR_API
def list_command(as_json: bool, config: Path | None) -> None:
    """List the senders that are registered: those of the plan, then those of the registry in use."""
    access = find_access(config)
    own, imported = access.plan().senders, senders.read(access.content(KIND, None)).senders
    if as_json:
        click.echo(msgspec.json.encode({"plan": own, "registry": imported}))
    elif own or imported:
        columns = [Column(name) for name in (*senders.COLUMNS, "from")]
        rows = [*((s, "plan") for s in own), *((s, "registry") for s in imported)]
        show(columns, [(*_cells(s), where) for s, where in rows])
    else:
        click.echo(f"The plan has no [[sender]]. {_EMPTY}")


def _cells(s: Sender) -> tuple[str, ...]:
    lists = (", ".join(some) or "all" for some in (s.carriers, s.operators, s.classes, s.clients))
    return s.name, *lists, s.state


@command.command(
    "check",
    epilog=lesson("sluice senders check BANK", "sluice senders check BANK --client shop --class otp", source=EITHER),
)
@click.argument("name")
@click.option("--client", default="", metavar="NAME", help="As this client would use it.")
@click.option("--class", "klass", type=click.Choice(CLASSES), help="Only this class.")
@AS_JSON
@CONFIG_OR_API
def check_command(name: str, client: str, klass: str | None, as_json: bool, config: Path | None) -> None:
    """Say where a sender may be used, and why not elsewhere. Exit code 0 also where it may not."""
    access = find_access(config)
    plan = access.plan()
    if not plan.carriers:
        raise click.ClickException("There is no plan with carriers yet: sluice plan apply FILE --activate")
    registry = Senders(plan, senders.read(access.content(KIND, None)).senders)
    rows = _standings(plan, registry, name, client, (klass,) if klass else CLASSES)
    if as_json:
        fields = ("carrier", "operator", "classes", "allowed", "state", "reason")
        found = [dict(zip(fields, (*row[:3], *msgspec.structs.astuple(row[3])), strict=True)) for row in rows]
        click.echo(msgspec.json.encode(found))
        return
    columns = [Column(title) for title in ("carrier", "operator", "classes", "", "state", "why")]
    cells = [(c, o, ", ".join(k), "yes" if s.allowed else "no", s.state, s.reason) for c, o, k, s in rows]
    show(columns, cells)


_Found = tuple[str, str, tuple[str, ...], Standing]


def _standings(plan: Plan, registry: Senders, name: str, client: str, classes: tuple[str, ...]) -> list[_Found]:
    """By carrier and operator, classes of which the same is said together."""
    found: list[_Found] = []
    for carrier in plan.carriers:
        for operator in plan.operators:
            said: dict[Standing, list[str]] = {}
            for klass in (k for k in classes if k in (carrier.classes or classes)):
                standing = registry.allowed(name, carrier.name, operator.name, klass, client)
                said.setdefault(standing, []).append(klass)
            found += [(carrier.name, operator.name, tuple(its), standing) for standing, its in said.items()]
    return found


add_versions(command, KIND, listing="history", empty=_EMPTY, nothing=senders.write(()), back="import")
