"""`sluice`: finds the command that was named and loads only its module. Help is grouped by who uses what.

Never: work of its own. A mistake in settings is one line and exit code 2, a world that is not as it should be one line
and exit code 1; only a bug shows a traceback.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from gateway import __version__
from gateway.config import SettingsError

COMMANDS: dict[str, dict[str, str]] = {
    "Try it here": {
        "up": "Start everything on this machine: servers, gateway, a sandbox carrier.",
        "sandbox": "A carrier to practise on: an SMSC that speaks real SMPP.",
    },
    "Send and look": {
        "send": "Send a message.",
        "trace": "Everything that happened to a message, by id, ref or number.",
        "stats": "What was sent, delivered and spent.",
    },
    "Operate": {
        "run": "Run stages in this process, with your own Redis and PostgreSQL.",
        "config": "Check settings, or print an example with every one of them.",
        "plan": "The routing plan: check, apply, activate, roll back.",
        "carriers": "How the carriers are; pause, resume or drain one.",
        "keys": "Clients' keys: create, list, revoke.",
        "db": "The schema in PostgreSQL.",
        "recover": "After Redis was restored from an older state.",
    },
}


class SettingsRefusal(click.ClickException):
    """A mistake in what we were told, not in the world."""

    exit_code = 2


class Shell(click.Group):
    """The group of all commands; a command's module is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"gateway.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from the table alone: nothing is imported for it."""
        for section, entries in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl(list(entries.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as e:
            raise SettingsRefusal(str(e)) from e


@click.group(cls=Shell, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sluice")
def main() -> None:
    """Sluice, an SMS gateway: HTTP in, SMPP and HTTP carriers out, every message accounted for in PostgreSQL.

    \b
    Start here:   sluice up
    Then:         sluice send +79161234567 "Hello"
                  sluice trace +79161234567

    Every command explains itself: sluice COMMAND --help
    """
