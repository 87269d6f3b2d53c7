"""`sluice sandbox`: a carrier to practise on, as a process of its own.

Prints one JSON line with its addresses once it listens, and stops on SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
from pathlib import Path

import click
import uvloop

from gateway.commands.teaching import lesson
from gateway.embedded.address import parse
from gateway.embedded.child import StartError
from gateway.embedded.sandbox.journal import Journal
from gateway.embedded.sandbox.profile import (
    Profile,
    ProfileError,
    make_profile,
    profile_text,
    read_profile,
    shipped_names,
)
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc

Address = tuple[str, int]
_CONTROL = "127.0.0.1:2776"
_WEB = "127.0.0.1:2777"
_PASSWORD = "sandbox"  # of a carrier that delivers to nobody  # noqa: S105


@click.group(
    "sandbox",
    invoke_without_command=True,
    epilog=lesson(
        "sluice sandbox",
        "sluice sandbox --profile flaky --password-file password.txt",
        "sluice sandbox --password-file password.txt --smpp 127.0.0.1:0 --control 127.0.0.1:0",
        codes={0: "stopped by a signal"},
    ),
)
@click.option(
    "--smpp",
    metavar="HOST:PORT",
    default="127.0.0.1:2775",
    show_default=True,
    help="Where to speak SMPP.",
)
@click.option(
    "--control",
    metavar="HOST:PORT",
    default=_CONTROL,
    show_default=True,
    help="The control port.",
)
@click.option(
    "--web",
    metavar="HOST:PORT",
    help=f"Where to be a carrier reached by HTTP.  [default: {_WEB}, or nowhere where --control is given]",
)
@click.option("--system-id", default="sandbox", show_default=True, help="Who may bind.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help=f"The password of --system-id.  [default: the word {_PASSWORD}]",
)
@click.option(
    "--profile",
    default="",
    metavar="NAME|FILE",
    help="How it behaves: see `sluice sandbox profiles`.  [default: plain]",
)
@click.option("--answer-delay-ms", type=click.FloatRange(min=0), help="Overrides the profile's.")
@click.option("--receipt-delay-s", type=click.FloatRange(min=0), help="Overrides the profile's.")
@click.option("--keep", type=click.IntRange(min=1), default=20_000, show_default=True, help="Submits kept to show.")
@click.option("--no-keep", is_flag=True, help="Show nothing but what the profile watches; only count.")
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    help="Append all that is taken to this file, a JSON line each part; it outlives a kill -9.",
)
@click.pass_context
def command(
    context: click.Context,
    smpp: str,
    control: str,
    web: str | None,
    system_id: str,
    password_file: Path | None,
    profile: str,
    answer_delay_ms: float | None,
    receipt_delay_s: float | None,
    keep: int,
    no_keep: bool,
    journal: Path | None,
) -> None:
    """An SMSC that speaks SMPP on a port of this machine and shows, on another, what phones would show.

    A profile says how it behaves, well or badly: docs/sandbox.md has all that it may say. The control port changes it
    while it runs.
    """
    if context.invoked_subcommand is not None:
        return
    if web is None and control == _CONTROL:
        web = _WEB
    given = {"answer_delay_ms": answer_delay_ms, "receipt_delay_s": receipt_delay_s}
    try:
        base = read_profile(profile) if profile else Profile()
        chosen = make_profile({k: v for k, v in given.items() if v is not None}, base)
        password = password_file.read_text("utf-8").strip() if password_file else _PASSWORD
        places = parse(smpp), parse(control), parse(web) if web else None
    except (ProfileError, StartError) as e:
        raise click.ClickException(str(e)) from e
    except OSError as e:
        raise click.ClickException(f"{password_file}: cannot be read: {e.strerror}") from e
    try:
        note = Journal(journal).note if journal else None
    except OSError as e:
        raise click.ClickException(f"{journal}: cannot be written: {e.strerror}") from e
    smsc = Smsc({system_id: password}, chosen, keep=0 if no_keep else keep, note=note)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(smsc, *places))


@command.command("profiles", epilog=lesson("sluice sandbox profiles"))
def profiles() -> None:
    """List the profiles that ship with Sluice."""
    for name in shipped_names():
        click.echo(f"{name:<16} {read_profile(name).about}")


@command.command("show", epilog=lesson("sluice sandbox show flaky", "sluice sandbox show flaky > mine.toml"))
@click.argument("name", metavar="NAME|FILE")
def show(name: str) -> None:
    """Print a profile, to read or to begin with; a file of one's own is checked on the way."""
    try:
        read_profile(name)
        click.echo(profile_text(name), nl=False)
    except ProfileError as e:
        raise click.ClickException(str(e)) from e


async def _serve(smsc: Smsc, smpp: Address, control: Address, web: Address | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sandbox = Sandbox(smsc)
    try:
        await sandbox.open(smpp, control, web)
    except OSError as e:
        places = " or ".join(f"{host}:{port}" for host, port in filter(None, (smpp, control, web)))
        raise click.ClickException(f"cannot listen on {places}: {e}") from e
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # hundreds of thousands of receipts wait here: look at them rarely
    said = {"smpp": sandbox.smpp, "control": sandbox.control}
    click.echo(json.dumps(said | ({"web": sandbox.web} if web else {})))
    await stop.wait()
    await sandbox.close()
