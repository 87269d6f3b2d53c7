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
from gateway.embedded.sandbox.profile import Profile, ProfileError, make_profile, read_profile, shipped_names
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc

Address = tuple[str, int]


@click.command(
    "sandbox",
    epilog=lesson(
        "sluice sandbox --password-file password.txt",
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
    default="127.0.0.1:2776",
    show_default=True,
    help="The control port.",
)
@click.option(
    "--web", metavar="HOST:PORT", default="", help="Where to be a carrier reached by HTTP.  [default: nowhere]"
)
@click.option("--system-id", default="sandbox", show_default=True, help="Who may bind.")
@click.option("--password-file", type=click.Path(path_type=Path), required=True, help="The password of --system-id.")
@click.option("--profile", default="", help=f"A TOML file, or one of: {', '.join(shipped_names())}.")
@click.option("--answer-delay-ms", type=click.FloatRange(min=0), help="Overrides the profile's.")
@click.option("--receipt-delay-s", type=click.FloatRange(min=0), help="Overrides the profile's.")
@click.option("--keep", type=click.IntRange(min=1), default=20_000, show_default=True, help="Submits kept to show.")
@click.option("--no-keep", is_flag=True, help="Show nothing but what the profile watches; only count.")
def command(
    smpp: str,
    control: str,
    web: str,
    system_id: str,
    password_file: Path,
    profile: str,
    answer_delay_ms: float | None,
    receipt_delay_s: float | None,
    keep: int,
    no_keep: bool,
) -> None:
    """An SMSC that speaks SMPP on a port of this machine and shows, on another, what phones would show."""
    given = {"answer_delay_ms": answer_delay_ms, "receipt_delay_s": receipt_delay_s}
    try:
        base = read_profile(profile) if profile else Profile()
        chosen = make_profile({k: v for k, v in given.items() if v is not None}, base)
        password = password_file.read_text("utf-8").strip()
        places = parse(smpp), parse(control), parse(web) if web else None
    except (ProfileError, StartError) as e:
        raise click.ClickException(str(e)) from e
    except OSError as e:
        raise click.ClickException(f"{password_file}: cannot be read: {e.strerror}") from e
    smsc = Smsc({system_id: password}, chosen, keep=0 if no_keep else keep)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(smsc, *places))


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
