"""`sluice rates`: carriers' price lists: what they change, their versions, the one in use.

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
from gateway.commands.sheets.versions import VERSION, add_versions
from gateway.commands.tables import Column, show
from gateway.commands.teaching import EITHER, lesson
from gateway.plan.document import Rate
from gateway.sheet_imports import Wish
from gateway.sheets import cells, rates
from gateway.sheets.cells import CellError
from gateway.sheets.rates import Given

KIND = "rates"
_EMPTY = "No price list was kept yet: sluice rates import FILE --carrier NAME --activate"


@click.group(
    "rates",
    epilog=lesson(
        "sluice rates import north-2026-12.csv --carrier north --valid-from 2026-12-01",
        "sluice rates activate 12",
        "sluice rates show --carrier north",
        "sluice rates rollback",
        source=f"The key needs the scope plan. {EITHER}",
    ),
)
def command() -> None:
    """What carriers ask for a part: price lists as CSV, beside the plan's own [[rate]] entries."""


@command.command(
    "import",
    epilog=lesson(
        "sluice rates import prices.csv --carrier north --activate --note 'letter of 20 November'",
        "sluice rates import prices.csv --carrier north --dry-run",
        source=EITHER,
        codes={1: "a row is wrong, and nothing was kept; or refused or out of reach"},
    ),
)
@click.argument("file", type=click.File("rb"))
@click.option("--carrier", default="", metavar="NAME", help="The carrier of rows that name none.")
@click.option("--valid-from", default="", metavar="DAY", help="The first day of rows that name none.")
@click.option("--currency", default="", metavar="CODE", help="The currency of rows that name none.")
@click.option("--whole", is_flag=True, help="The file is all there is: other carriers' rows go too.")
@click.option("--activate", is_flag=True, help="Make it the one in use at once.")
@click.option("--dry-run", is_flag=True, help="Only say what it would change.")
@click.option("--note", default="", help="Why: kept in the history.")
@AS_JSON
@CONFIG_OR_API
def import_command(
    file: IO[bytes],
    carrier: str,
    valid_from: str,
    currency: str,
    whole: bool,
    activate: bool,
    dry_run: bool,
    note: str,
    as_json: bool,
    config: Path | None,
) -> None:
    """Check a price list, say what it changes, and keep it as a new version.

    The columns carrier, operator or prefix, class, price, currency, valid_from, ladder (100000:1.90;500000:1.70) and
    ladder_kind are known by many names, in Russian and English. A carrier's new list replaces its old one from its
    first day on; other carriers' rows stay.
    """
    if dry_run and activate:
        raise click.UsageError("--dry-run keeps nothing that could be activated: leave one of them out.")
    given = Given(carrier, _checked(cells.day, valid_from), _checked(cells.currency, currency))
    access = find_access(config)
    name = str(getattr(file, "name", "<stdin>"))
    done = access.import_rates(file.read(), Wish(given, whole, not dry_run, note, Path(name).name))
    if done.version is not None and activate:
        access.activate(KIND, done.version)
    if as_json:
        found = {"version": done.version, "active": activate and done.version is not None, "rows": done.report.rows}
        click.echo(msgspec.json.encode(found | {"faults": done.report.faults, "summary": done.summary}))
    else:
        shown.print_report(name, done.report)
        if done.summary is not None:
            shown.print_rates(done.summary)
        shown.print_kept(KIND, done.version, activate)
    sys.exit(0 if done.summary is not None else 1)


def _checked(read: shown.Reader, text: str) -> str:
    try:
        return read(text) if text else ""
    except CellError as e:
        raise click.UsageError(str(e)) from e


@command.command("show", epilog=lesson("sluice rates show --carrier north", "sluice rates show 11", source=EITHER))
@VERSION
@click.option("--carrier", metavar="NAME", help="Only this carrier's rows.")
@click.option("--operator", metavar="NAME", help="Only rows for this operator, as they spell it.")
@AS_JSON
@CONFIG_OR_API
def show_command(
    version: int | None, carrier: str | None, operator: str | None, as_json: bool, config: Path | None
) -> None:
    """Show the rows of a version; without one, of the one in use."""
    found = rates.read(find_access(config).content(KIND, version)).rates
    rows = [r for r in found if carrier in (None, r.carrier) and operator in (None, r.operator)]
    if as_json:
        click.echo(msgspec.json.encode(rows))
    elif rows:
        show([Column(name, right=name == "price") for name in rates.COLUMNS], map(_cells, rows))
    else:
        click.echo("There is no such row." if found else _EMPTY)


def _cells(rate: Rate) -> tuple[str, ...]:
    ladder = cells.write_ladder(rate.ladder)
    kind = rate.ladder_kind if ladder else ""
    what = rate.carrier, rate.operator or "", rate.prefix or "", rate.klass or ""
    return (*what, rate.price, rate.currency or "", rate.valid_from or "", ladder, kind)


@command.command("month", epilog=lesson("sluice rates month", source=EITHER))
@AS_JSON
@CONFIG_OR_API
def month_command(as_json: bool, config: Path | None) -> None:
    """Show where month ladders stand: parts sent, the price of the next one, the next step, the invoice so far."""
    found = find_access(config).month()
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    if not found:
        click.echo("No rate that is valid now has a ladder.")
        return
    columns = [*(Column(name) for name in ("carrier", "operator", "class", "kind"))]
    columns += [Column(name, right=True) for name in ("parts", "price", "next over", "next price", "invoice")]
    rows = [
        (
            *(ladder.carrier, ladder.operator or "all", ladder.klass or "all", ladder.kind, f"{ladder.parts:,}"),
            f"{ladder.price} {ladder.currency}",
            f"{ladder.next_over:,}" if ladder.next_over else "",
            ladder.next_price or "",
            ladder.invoice,
        )
        for ladder in found
    ]
    show(columns, rows)


add_versions(command, KIND, listing="list", empty=_EMPTY, nothing=rates.write(()), back="import --whole")
