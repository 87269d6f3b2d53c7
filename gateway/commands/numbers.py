"""`sluice numbers`: numbering plans and ported numbers: imported, made live, and asked whose a number is.

In: files of registries. Out: versions, live in every process within a second. Never: a version made live of a file with
too many wrong rows.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import msgspec

from gateway.api.dataset_documents import DatasetView
from gateway.commands.client import print_json
from gateway.commands.numbering import shown
from gateway.commands.numbering.access import MAX_HISTORY, Access, find_access
from gateway.commands.options import AS_JSON, CONFIG_OR_API
from gateway.commands.teaching import EITHER, lesson
from gateway.datasets.report import Report
from gateway.numbering import reading
from gateway.numbering.changes import Changes, changes
from gateway.numbering.lines import Source, SourceError
from gateway.text import numbers as text_numbers

KINDS = ("numbers", "ported")

_KIND = click.option("--kind", type=click.Choice(KINDS), help="numbers: a numbering plan; ported: ported numbers.")


@click.group(
    "numbers",
    epilog=lesson(
        "sluice numbers import ABC-3xx.csv ABC-4xx.csv ABC-8xx.csv DEF-9xx.csv --activate",
        "sluice numbers import ported.csv --kind ported --activate",
        "sluice numbers show +79161234567",
        "sluice numbers unmapped           # operators that the plan has no name for",
        source=f"The key needs the scope plan. {EITHER}",
    ),
)
def command() -> None:
    """Numbering plans and ported numbers: whose a number is."""


@command.command(
    "import",
    epilog=lesson(
        "sluice numbers import ABC-3xx.csv ABC-4xx.csv ABC-8xx.csv DEF-9xx.csv --activate",
        'sluice numbers import prefixes.csv --note "from the carrier"  # columns prefix, operator, …',
        "sluice numbers import Port_All.csv --activate    # ported numbers, ten million in a minute",
        "sluice numbers import DEF-9xx.csv --dry-run      # only say what would change",
        source=f"Several files are one version: give all that a registry consists of. UTF-8 and Windows-1251 are told"
        f" apart by themselves. {EITHER}",
        codes={1: "refused or out of reach, or too many rows are wrong: nothing was kept"},
    ),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(("auto", *KINDS)), default="auto", help="auto: by the names of the columns.")
@click.option(
    "--format",
    "form",
    type=click.Choice(reading.FORMATS),
    default="auto",
    help="ru: the Russian numbering plan or its database of ported numbers; csv: anybody's columns.",
)
@click.option("--activate", is_flag=True, help="Make it live at once.")
@click.option("--note", default="", help="Why: kept in the history.")
@click.option(
    "--max-errors", type=click.IntRange(0), help="Rows that may be wrong and are left out. If not given: 1 in 1,000."
)
@click.option("--dry-run", is_flag=True, help="Only say what is wrong and what would change.")
@AS_JSON
@CONFIG_OR_API
def import_(
    files: tuple[Path, ...],
    kind: str,
    form: str,
    activate: bool,
    note: str,
    max_errors: int | None,
    dry_run: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """Keep files of a registry as a new version; with --activate it is live in every process within a second."""
    access = find_access(config)
    sources = [Source(path, path.name) for path in files]
    with tempfile.TemporaryDirectory(prefix="sluice-import-") as name:
        kept = Path(name) / "kept"
        try:
            kind = reading.kind_of(sources[0]) if kind == "auto" else kind
            with shown.reading(sources) as progress:
                read = reading.read_numbers if kind == "numbers" else reading.read_ported
                report = read(sources, kept, form, progress, max_errors)
        except SourceError as e:
            raise click.ClickException(str(e)) from e
        shown.print_report(report)
        if not report.is_good:
            raise click.ClickException(_too_bad(report))
        before, changed = _compared(access, kind, kept)
        if not as_json:
            shown.print_changes(kind, report, changed, before)
        version = None if dry_run else access.put(kind, kept, report.rows, note, ", ".join(s.name for s in sources))
    if version is not None and activate:
        access.activate(_version(access, version))
        _wait(access, kind, version)
    _say(version, kind, activate, as_json, report, changed)


@command.command("list", epilog=lesson("sluice numbers list --kind ported --limit 5", source=EITHER))
@_KIND
@click.option("--limit", type=click.IntRange(1, MAX_HISTORY), default=20, show_default=True, help="How many versions.")
@AS_JSON
@CONFIG_OR_API
def list_(kind: str | None, limit: int, as_json: bool, config: Path | None) -> None:
    """List versions, the newest first."""
    found = [row for row in find_access(config).history(kind, limit) if row.kind in KINDS]
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        shown.print_versions(found)


@command.command("activate", epilog=lesson("sluice numbers activate 12", source=EITHER))
@click.argument("version", type=click.IntRange(min=1))
@CONFIG_OR_API
def activate_command(version: int, config: Path | None) -> None:
    """Make a version live in every process within a second."""
    access = find_access(config)
    found = _version(access, version)
    access.activate(found)
    _wait(access, found.kind, version)
    click.echo(f"Version {version} of {found.kind} is live.")


@command.command(
    "rollback", epilog=lesson("sluice numbers rollback ported", "sluice numbers rollback numbers 11", source=EITHER)
)
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("version", type=click.IntRange(min=1), required=False)
@CONFIG_OR_API
def rollback_command(kind: str, version: int | None, config: Path | None) -> None:
    """Return to a version; without one, to that which was live before."""
    access = find_access(config)
    back = access.rollback(kind, version)
    _wait(access, kind, back)
    click.echo(f"Version {back} of {kind} is live.")


@command.command("deactivate", epilog=lesson("sluice numbers deactivate ported", source=EITHER))
@click.argument("kind", type=click.Choice(KINDS))
@CONFIG_OR_API
def deactivate_command(kind: str, config: Path | None) -> None:
    """Use no version of a kind any more. Versions stay, and can be made live again."""
    ended = find_access(config).deactivate(kind)
    click.echo(f"No {kind} are in use any more." if ended else f"No version of {kind} was in use.")


@command.command("show", epilog=lesson("sluice numbers show +79161234567", source=EITHER))
@click.argument("number")
@AS_JSON
@CONFIG_OR_API
def show_command(number: str, as_json: bool, config: Path | None) -> None:
    """Say whose a number is, and everything that is known of it."""
    try:
        parsed = text_numbers.parse(number, "RU")
    except text_numbers.NumberError as e:
        raise click.UsageError(e.sentence) from e
    found = find_access(config).show(parsed)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        shown.print_number(found)


@command.command("unmapped", epilog=lesson("sluice numbers unmapped --limit 100", source=EITHER))
@click.option("--limit", type=click.IntRange(1, MAX_HISTORY), default=50, show_default=True, help="How many names.")
@AS_JSON
@CONFIG_OR_API
def unmapped_command(limit: int, as_json: bool, config: Path | None) -> None:
    """List operators of the datasets that the plan has no name for, the most frequent first."""
    found = find_access(config).unmapped(limit)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        shown.print_unmapped(found)


def _compared(access: Access, kind: str, kept: Path) -> tuple[DatasetView | None, Changes]:
    """What is in use, and what the file changes of it."""
    before = next((row for row in access.history(kind, MAX_HISTORY) if row.active), None)
    if before is None:
        return None, changes(kind, None, kept)
    target = kept.with_name("before")
    access.fetch(before, target)
    return before, changes(kind, target, kept)


def _version(access: Access, version: int) -> DatasetView:
    found = next((row for row in access.history(None, MAX_HISTORY) if row.version == version), None)
    if found is None or found.kind not in KINDS:
        raise click.ClickException(f"There is no version {version}: sluice numbers list")
    return found


def _wait(access: Access, kind: str, version: int) -> None:
    """Processes compile a version that was not fetched ahead, which takes its time with millions of rows."""
    if not shown.wait_for_all(version, kind, lambda: access.use(kind, version)):
        click.echo(
            "Some processes have not got it after five minutes: their log says why (dataset_not_fetched).", err=True
        )


def _too_bad(report: Report) -> str:
    if not report.rows:
        return "nothing was kept: there is no row in it that can be used"
    wrong = f"{report.errors:,} rows are wrong, {report.tolerated:,} would be tolerated"
    return f"nothing was kept: {wrong} (--max-errors {report.errors} leaves them out)"


def _say(version: int | None, kind: str, active: bool, as_json: bool, report: Report, changed: Changes) -> None:
    if as_json:
        found = {"version": version, "kind": kind, "active": active and version is not None}
        print_json(found | {"report": msgspec.to_builtins(report), "changes": msgspec.to_builtins(changed)})
    elif version is None:
        click.echo("Nothing was kept: it was a dry run.")
    elif active:
        click.echo(f"Version {version} of {kind} is live.")
    else:
        click.echo(f"Version {version} of {kind} is kept. To use it: sluice numbers activate {version}")
