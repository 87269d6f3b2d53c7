"""`sluice`: finds the command that was named and loads only its module. Help is grouped by who uses what.

Never: work of its own. A mistake in settings is one line and exit code 2, a world that is not as it should be exit code
1 with what to do. A bug is one line too; SLUICE_TRACEBACK=1 shows where it was.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
from typing import Any

import click

from gateway import __version__
from gateway.config import SettingsError

COMMANDS: dict[str, dict[str, str]] = {
    "Developers (send and follow messages)": {
        "up": "Start everything on this machine: servers, gateway, a sandbox carrier.",
        "send": "Send a message, or one to every row of a file.",
        "trace": "Everything that happened to a message, by id, ref or number.",
        "listen": "Show events as they come, and hand them on to your application.",
        "trigger": "Send a sample event, signed as any other.",
        "sandbox": "A carrier to practise on: an SMSC that speaks real SMPP.",
    },
    "Operations (see what goes on, and act)": {
        "top": "Live: rates, queues, windows, and what limits now.",
        "stats": "What was sent, delivered and spent.",
        "incidents": "What is unusual now, worst first.",
        "carriers": "How the carriers are; check, pause, resume or drain one.",
        "pause": "Keep a class, a client or a tag from sending; what is paused now.",
        "resume": "Let what was paused send again.",
        "callbacks": "Events for applications: what became of them, sending them again.",
        "plan": "The routing plan: check, apply, activate, roll back.",
        "numbers": "Whose a number is: numbering plans and ported numbers, import, show.",
        "rates": "What carriers ask for a part: price lists, their versions.",
        "senders": "Which senders are registered where: import, check.",
        "explain": "Where a message to a number would go, and why.",
        "messages": "Failed ones sent again; receipts and submissions that nobody can place.",
        "stoplist": "Numbers that are not to be sent to: add, remove, import, check.",
        "health": "Whether the process on this machine lives, and can work.",
        "recover": "After Redis was restored from an older state.",
    },
    "Administration (install, give access)": {
        "run": "Run stages in this process, with your own Redis and PostgreSQL.",
        "config": "Check settings, or print an example with every one of them.",
        "db": "The schema in PostgreSQL; logins for analysts.",
        "export": "Facts as files for analysts: Parquet, CSV, JSON, a day each.",
        "demo-data": "A believable month of messages that nobody sent, to try reports on.",
        "keys": "Clients' keys: create, list, revoke; quotas.",
        "completion": "Let the shell complete commands and options.",
    },
}

SERVERS = ("run", "sandbox")
"""Run under a supervisor that keeps their output: a bug may show where it was."""

BUG, INTERRUPTED = 70, 130

EPILOG = """
\b
Start here:
  sluice up
  sluice send +79161234567 "Hello"
  sluice trace +79161234567
  sluice top
\b
Exit codes of every command:
  0    done
  1    refused or out of reach: the message says what to do
  2    the command or a setting cannot be understood
  3    done, but not all of it as you wished: its --help says what that means
  70   a bug in Sluice: SLUICE_TRACEBACK=1 shows where
  130  stopped by Ctrl-C
\b
Where they look:
  the gateway  SLUICE_URL and SLUICE_KEY, else .sluice/client.env,
               which `sluice up` writes (SLUICE_DATA: another directory)
  settings     defaults, --config or SLUICE_CONFIG, SLUICE_* variables, options:
               sluice config check
  colours      only on a terminal, and not with NO_COLOR; --json for programs

Every command explains itself: sluice COMMAND --help
"""


class SettingsRefusal(click.ClickException):
    """A mistake in what we were told, not in the world."""

    exit_code = 2


class Bug(click.ClickException):
    """A mistake of ours."""

    exit_code = BUG


class Shell(click.Group):
    """The group of all commands; a command's module is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"gateway.commands.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in (known := self.list_commands(ctx)):
            near = difflib.get_close_matches(args[0], known, 1, 0.5)
            meant = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(known)}."
            ctx.fail(f"No such command '{args[0]}'. {meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from the table alone: nothing is imported for it."""
        for section, entries in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl(list(entries.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()  # `| head` has gone: told here, it is no error at the end of the interpreter
            return found
        except SettingsError as e:
            raise SettingsRefusal(str(e)) from e
        except KeyboardInterrupt:
            click.echo(err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as e:
            if (isinstance(e, OSError) and e.errno == errno.EPIPE) or _shows_bugs(ctx):
                raise
            raise Bug(
                f"this is a mistake in Sluice itself ({type(e).__name__}).\n"
                "  What to do: repeat it with SLUICE_TRACEBACK=1, and show those who look after Sluice what it prints"
            ) from e


def _shows_bugs(ctx: click.Context) -> bool:
    return bool(os.environ.get("SLUICE_TRACEBACK")) or ctx.invoked_subcommand in SERVERS


@click.group(
    "sluice",
    cls=Shell,
    epilog=EPILOG,
    invoke_without_command=True,
    subcommand_metavar="COMMAND …",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="sluice")
@click.pass_context
def main(context: click.Context) -> None:
    """Sluice, an SMS gateway: HTTP in, SMPP and HTTP carriers out, every message accounted for in PostgreSQL."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
