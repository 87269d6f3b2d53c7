"""What `sluice rates` and `sluice senders` have in common: the versions of an imported file."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from gateway.commands.options import AS_JSON, CONFIG_OR_API
from gateway.commands.sheets import shown
from gateway.commands.sheets.access import find_access
from gateway.commands.teaching import EITHER, lesson

VERSION = click.argument("version", type=click.IntRange(min=1), required=False)


def add_versions(group: click.Group, kind: str, *, listing: str, empty: str, nothing: bytes, back: str) -> None:
    """Add to `group` the commands for the versions of a `kind`: `listing` (its name), export, activate, rollback.

    `empty`: what is said where there are none; `nothing`: the CSV then; `back`: which import reads an export back.
    """

    @group.command(listing, epilog=lesson(f"sluice {kind} {listing} --limit 5", source=EITHER))
    @click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many versions.")
    @AS_JSON
    @CONFIG_OR_API
    def listing_command(limit: int, as_json: bool, config: Path | None) -> None:
        """List versions, the newest first."""
        rows = find_access(config).history(kind, limit)
        if as_json:
            click.echo(msgspec.json.encode(rows))
        else:
            shown.print_versions(rows, empty)

    @group.command(
        "export",
        help=f"Print the CSV of a version; without one, of the one in use. `{back}` reads it back.",
        epilog=lesson(f"sluice {kind} export > {kind}.csv", source=EITHER),
    )
    @VERSION
    @CONFIG_OR_API
    def export_command(version: int | None, config: Path | None) -> None:
        content = find_access(config).content(kind, version)
        sys.stdout.buffer.write(content or nothing)

    @group.command("activate", epilog=lesson(f"sluice {kind} activate 12", source=EITHER))
    @click.argument("version", type=click.IntRange(min=1))
    @CONFIG_OR_API
    def activate_command(version: int, config: Path | None) -> None:
        """Make a version the one in use, in every process within a second."""
        find_access(config).activate(kind, version)
        click.echo(f"Version {version} is live.")

    @group.command("rollback", epilog=lesson(f"sluice {kind} rollback", f"sluice {kind} rollback 11", source=EITHER))
    @VERSION
    @CONFIG_OR_API
    def rollback_command(version: int | None, config: Path | None) -> None:
        """Return to a version; without one, to that which was in use before."""
        click.echo(f"Version {find_access(config).rollback(kind, version)} is live.")
