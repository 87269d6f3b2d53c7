"""`sluice run`: the stages named by --roles in this process, until SIGTERM or Ctrl-C.

In: settings. Out: logs on standard error, and one JSON line on standard output once the stages serve; a second one, for
`sluice up`, once no check has anything to say.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import uvloop

from gateway import daemon, logs
from gateway.commands.settings import read_settings
from gateway.commands.teaching import SETTINGS, lesson
from gateway.config import ROLES, Settings
from gateway.ops.startup import UnfitStoreError
from gateway.streams.link import RedisAwayError

Announce = Callable[[Mapping[str, str]], None]


@click.command(
    "run",
    epilog=lesson(
        "sluice run",
        "sluice run --roles api --listen 0.0.0.0:8080",
        "sluice run --config sluice.toml --roles router,connector",
        source=SETTINGS,
        codes={0: "stopped by a signal", 1: "it cannot start, or a stage ended: the last line says why"},
    ),
)
@click.option("--roles", metavar="A,B", help=f"Stages to run, of {', '.join(ROLES)}.  [default: all]")
@click.option("--config", "path", type=click.Path(path_type=Path), envvar="SLUICE_CONFIG", help="A sluice.toml.")
@click.option("--redis-url", metavar="URL", help="Redis >= 7 or Valkey.")
@click.option("--postgres-url", metavar="URL", help="PostgreSQL >= 14.")
@click.option("--listen", metavar="HOST:PORT", help="The HTTP API.")
@click.option("--callbacks-listen", metavar="HOST:PORT", help="Carriers' webhooks, and nothing else.")
@click.option("--tls-cert", metavar="FILE", help="Certificate of the API with its chain (PEM): https instead of http.")
@click.option("--tls-key", metavar="FILE", help="Its key (PEM). Both are read again when they change.")
@click.option("--told", is_flag=True, hidden=True, help="Load, then wait on standard input for variables, as JSON.")
def command(roles: str | None, path: Path | None, told: bool, **given: str | None) -> None:
    """Run stages in this process, with your own Redis and PostgreSQL.

    Processes share nothing but Redis and PostgreSQL: start as many as you like, anywhere, each with its roles.
    All settings: sluice config example.
    """
    chosen = tuple(r.strip() for r in roles.split(",") if r.strip()) if roles is not None else None
    if told:
        daemon.load(chosen or ROLES)
        _be_told()
    settings = read_settings(path, roles=chosen, **given)
    logs.setup(settings.log_level, settings.log_format)
    faulthandler.enable()  # a watchdog's SIGABRT shows where the process hung
    serve(settings, announce_able if told else None)


def _be_told() -> None:
    """Whoever started us knows the last of our settings only when others have started."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(0)  # it has gone
    os.environ.update(json.loads(line))


def serve(settings: Settings, able: Announce | None = None) -> None:
    """Run the daemon on uvloop until it is told to stop. What keeps it from starting is one line."""

    async def work() -> None:
        logs.watch(asyncio.get_running_loop())
        await daemon.run(settings, ready=announce, able=able)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work())
    except (RedisAwayError, UnfitStoreError, daemon.ListenError, daemon.StageError) as e:
        raise click.ClickException(str(e)) from e


def announce(url: str) -> None:
    """Tell whoever started us that the stages serve, and where."""
    click.echo(json.dumps({"ready": url}))


def announce_able(reasons: Mapping[str, str]) -> None:
    """Tell what keeps us from working; empty: nothing does."""
    click.echo(json.dumps({"waits": reasons} if reasons else {"able": True}))
