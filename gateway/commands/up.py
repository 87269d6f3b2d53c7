"""`sluice up`: everything on this machine, from an empty directory, until Ctrl-C.

In: a directory and an address. Out: what is going on, as it happens on a terminal, else as plain lines; then how to go
on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from gateway import __version__, config, logs
from gateway.commands.target import DEFAULT_DATA
from gateway.commands.teaching import SETTINGS, lesson
from gateway.embedded.child import StartError
from gateway.embedded.sandbox.profile import ProfileError, read_profile, shipped_names
from gateway.embedded.up import Ready, Up, open_up

READY = """
Sluice {version} is ready after {seconds:.1f} s.

  URL      {url}
  docs     {url}/docs
  key      in {client_env}, where `sluice send`, `trace` and `stats` find it{elsewhere}
  phones   {phones}, what the sandbox carrier delivered
  metrics  {metrics}
  logs     {data}/logs

Send a message:

. {client_env}
curl -s "$SLUICE_URL/v1/messages" -H "Authorization: Bearer $SLUICE_KEY" \\
  -H 'Content-Type: application/json' -d '{{"to": "+79161234567", "text": "Hello from Sluice", "class": "otp"}}'

Ctrl-C stops everything; the data stays in {data}.
"""


@click.command(
    "up",
    epilog=lesson(
        "sluice up",
        "sluice up --data /srv/sluice --listen 0.0.0.0:8080",
        "sluice up --sandbox-profile flaky",
        source=SETTINGS,
        codes={0: "stopped by a signal, nothing is left running", 1: "it cannot start: the message says what to do"},
    ),
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, readable=False),
    envvar="SLUICE_DATA",
    default=DEFAULT_DATA,
    show_default=True,
    help="Directory for everything that is kept.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    envvar="SLUICE_LISTEN",
    default="127.0.0.1:8080",
    show_default=True,
    help="The HTTP API; port 0 takes a free one.",
)
@click.option("--config", "path", type=click.Path(path_type=Path), envvar="SLUICE_CONFIG", help="A sluice.toml.")
@click.option(
    "--sandbox-profile",
    default="",
    metavar="NAME|FILE",
    help="How the sandbox carrier behaves: see `sluice sandbox profiles`.  [default: well]",
)
@click.option(
    "--bi-listen",
    metavar="HOST:PORT",
    help="Where PostgreSQL lets in analysts, see `sluice db bi-user`.  [default: nowhere]",
)
def command(data: Path, listen: str, path: Path | None, sandbox_profile: str, bi_listen: str | None) -> None:
    """Start everything on this machine: servers, gateway, a sandbox carrier.

    Valkey and PostgreSQL come from Python packages and keep their data in --data. Nothing else is needed: no root, no
    Docker. Ctrl-C stops everything in order. Your own servers: sluice run.
    """
    settings = config.load(path, bi_listen=bi_listen)
    logs.setup("warning", "text")
    progress = Steps(Console(highlight=False, markup=False, soft_wrap=True))
    try:
        with open_up(data, listen, path, settings, progress, _profile(sandbox_profile)) as up:
            asyncio.run(until_signal(up, progress))
    except StartError as e:
        raise click.ClickException(str(e)) from e
    finally:
        progress.close()


def _profile(source: str) -> str:
    """The sandbox's profile as another process finds it. Raises click.ClickException for one that cannot be used."""
    if not source:
        return ""
    try:
        read_profile(source)
    except ProfileError as e:
        raise click.ClickException(str(e)) from e
    return source if source in shipped_names() else str(Path(source).resolve())


class Steps:
    """The steps as they go: with a spinner on a terminal, a line for each that is done elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._since: dict[str, float] = {}
        self._live = Live(console=console, transient=True, refresh_per_second=12)

    def begin(self, step: str) -> None:
        self._since[step] = time.monotonic()
        self._show()

    def done(self, step: str, detail: str) -> None:
        seconds = time.monotonic() - self._since.pop(step)
        self._show()
        self._console.print(f"  ✓ {step:<16} {detail}  ({seconds:.1f} s)")

    def broken(self, step: str) -> None:
        self._since.pop(step)
        self._show()

    def note(self, line: str) -> None:
        self._console.print(f"  {time.strftime('%H:%M:%S')} {line}")

    def ready(self, ready: Ready) -> None:
        self._console.print(
            READY.format(
                version=__version__,
                seconds=ready.seconds,
                url=ready.url,
                client_env=near(ready.client_env),
                elsewhere=_elsewhere(ready.data),
                phones=ready.phones,
                metrics=" and ".join(ready.metrics),
                data=near(ready.data),
            )
        )

    def close(self) -> None:
        self._live.stop()

    def _show(self) -> None:
        if not self._console.is_terminal:
            return
        if not self._since:
            self._live.stop()
            return
        self._live.start()
        self._live.update(Spinner("dots", " " + ", ".join(self._since)), refresh=True)


def _elsewhere(data: Path) -> str:
    """What other terminals need, where the data is not where everybody looks."""
    text = near(data)
    return "" if text == f"./{DEFAULT_DATA}" else f"\n           once they have: export SLUICE_DATA={text}"


def near(path: Path) -> str:
    """A path as one would type it here."""
    text = os.path.relpath(path)
    return str(path) if text.startswith("..") else f"./{text}"


async def until_signal(up: Up, steps: Steps) -> None:
    """Run it until SIGINT, SIGTERM or SIGHUP; a second one ends everything at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    killers: set[asyncio.Task[None]] = set()

    def told() -> None:
        if stop.is_set():
            killers.add(asyncio.create_task(up.kill(), name="kill"))
        else:
            steps.note("stopping; once more, and everything ends at once")
            stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told)
    await up.run(stop)
    await asyncio.gather(*killers)
