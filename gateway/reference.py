"""Pages that are made of the program: docs/cli.md, docs/settings.md, docs/test-keys.md, docs/sandbox.md.

`python -m gateway.reference DIRECTORY` writes all. Never: a word that --help or `sluice config example`
lacks, beside the introductions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from gateway.cli import COMMANDS, main
from gateway.commands.origins import Setting, settings
from gateway.config import IN_FILES
from gateway.embedded.sandbox import magic_page, profile_page

WIDTH: Final = 80

CLI_INTRO: Final = """\
# Commands

`sluice` is one command with many below it. Who uses what:

{overview}

Every one explains itself with `--help`; this page is made of that (`make docs`). Where to begin:
[five minutes](start.md). All settings: [settings](settings.md).

- **Which gateway, which key.** `SLUICE_URL` and `SLUICE_KEY`; else `.sluice/client.env`, which `sluice up` writes
  (`SLUICE_DATA` names another directory). `plan` and `keys` also work on PostgreSQL and Redis themselves, before any
  key exists: `--config FILE`, or `SLUICE_POSTGRES_URL` and `SLUICE_REDIS_URL`.
- **For people and for programs.** On a terminal, tables are as wide as the terminal and in colour (`NO_COLOR` turns
  that off). In a pipe they are plain aligned text, never cut. `--json` gives programs a document on standard output;
  progress and errors go to standard error.
- **Errors** say what is wrong, what to do, and the request id that leads to the gateway's log. `SLUICE_TRACEBACK=1`
  shows where a bug was.
- **Exit codes**: 0 done; 1 refused or out of reach; 2 the command or a setting cannot be understood; 3 done, but not
  all of it as you wished (a message was not delivered, rows were refused, a carrier cannot send); 70 a bug in Sluice;
  130 stopped by Ctrl-C.
- **Completion**: `sluice completion bash >> ~/.bashrc`.
"""

SETTINGS_INTRO: Final = """\
# Settings

What a process of `sluice run` or `sluice up` can be told. This page is made of the program's own table (`make docs`),
as is `sluice config example`, which prints a `sluice.toml` with all of them.

The later of these holds: the default, the file (`--config FILE` or `SLUICE_CONFIG`), the variable, the option.
`sluice config check` prints what holds and where each value comes from, without passwords. An unknown setting, a wrong
type or a value out of bounds keeps a process from starting, with one line that says which.

In a variable, several values are separated by commas. {in_files} can be read from a file that
`SLUICE_<NAME>_FILE` names, so that a password stands in no variable.

What belongs to messages' way (carriers, operators, prices, routes) is no setting: see [the plan](plan.md).
"""


def cli_page() -> str:
    """docs/cli.md."""
    root = root_context()
    parts = [CLI_INTRO.format(overview=_overview())]
    for section, names in COMMANDS.items():
        parts.append(f"## {section}\n")
        for name in names:
            command = main.get_command(root, name)
            assert command is not None
            parts += [
                f"{'#' * depth} {path}\n\n```text\n{text}\n```\n" for path, depth, text in pages(root, command, 3)
            ]
    return "\n".join(parts)


def root_context() -> click.Context:
    """As `sluice` itself makes it, 80 columns wide."""
    names = main.context_settings["help_option_names"]
    return click.Context(main, info_name="sluice", terminal_width=WIDTH, help_option_names=names)


def _overview() -> str:
    lines = ["| command | what for | who |", "|---|---|---|"]
    for section, entries in COMMANDS.items():
        who = section.partition(" (")[0].lower()
        lines += [f"| [`sluice {name}`](#sluice-{name}) | {says} | {who} |" for name, says in entries.items()]
    return "\n".join(lines)


def pages(parent: click.Context, command: click.Command, depth: int) -> Iterator[tuple[str, int, str]]:
    """A command and those below it: its path, how deep it is, its help."""
    context = click.Context(command, info_name=command.name, parent=parent, terminal_width=WIDTH)
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield context.command_path, depth, text
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from pages(context, inner, depth + 1)


def settings_page() -> str:
    """docs/settings.md."""
    in_files = " and ".join(f"`{name}`" for name in IN_FILES)
    lines = [SETTINGS_INTRO.format(in_files=in_files), "| setting | default | what it is |", "|---|---|---|"]
    return "\n".join([*lines, *map(_row, settings())]) + "\n"


def _row(setting: Setting) -> str:
    kind = f"{setting.kind}, {setting.bounds}" if setting.bounds else setting.kind
    says = setting.says.replace("|", "\\|")
    return f"| `{setting.name}`<br>`{setting.variable}` | `{setting.default}` | {says} ({kind}) |"


PAGES: Final = {
    "cli.md": cli_page,
    "settings.md": settings_page,
    "test-keys.md": magic_page.page,
    "sandbox.md": profile_page.page,
}


def write(directory: Path) -> None:
    """Write every page."""
    for name, made in PAGES.items():
        (directory / name).write_text(made(), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
