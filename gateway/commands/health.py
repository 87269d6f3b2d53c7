"""`sluice health`: does the gateway process on this machine live, and can it do its work? For HEALTHCHECK and people.

In: the settings that the process itself has. Out: a line a check. Exit codes: 0 it lives (with --ready: it is ready,
too), 1 not, 2 a command that cannot be understood.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import click

from gateway.commands.options import CONFIG
from gateway.commands.settings import read_settings
from gateway.commands.teaching import SETTINGS, lesson
from gateway.config import Settings

TIMEOUT_S = 2.5
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - where others listen, seen from here


@click.command(
    "health",
    epilog=lesson(
        "sluice health",
        "SLUICE_ROLES=recorder SLUICE_METRICS_LISTEN=127.0.0.1:9102 sluice health --ready",
        source=SETTINGS,
        codes={1: "no process answers; with --ready: it answers and cannot work now"},
    ),
)
@CONFIG
@click.option("--ready", is_flag=True, help="Fail, too, when the process lives and cannot do its work.")
def command(path: Path | None, ready: bool) -> None:
    """Ask the process of these settings on this machine how it is.

    A process with the role api answers on `listen`, others on `metrics_listen`.
    """
    place = address(read_settings(path))
    if not place:
        raise click.ClickException("nothing to ask: these roles have no pages; set metrics_listen")
    said = ask(place)
    for name, words in said["checks"].items():
        click.echo(f"{name}: {words}")
    if ready and not said["ready"]:
        raise click.ClickException("it lives and is not ready")


def address(settings: Settings) -> str:
    """Where the pages of such a process are, seen from its own machine; empty when it has none."""
    host, _, port = (settings.listen if "api" in settings.roles else settings.metrics_listen).rpartition(":")
    return f"{_ANYWHERE.get(host, host)}:{port}" if port else ""


def ask(place: str) -> dict[str, Any]:
    """What /readyz says, over TLS where the process has it. Raises ClickException when nobody answers."""
    why = ""
    for scheme in ("http", "https"):
        try:
            body = _get(f"{scheme}://{place}/readyz")
        except (OSError, ValueError, http.client.HTTPException) as e:
            why = why or str(getattr(e, "reason", e))
            continue
        try:
            said: dict[str, Any] = json.loads(body)
            return {"ready": said["ready"], "checks": dict(said["checks"])}
        except (ValueError, KeyError, TypeError):
            raise click.ClickException(f"what answers at {place} is no process of Sluice") from None
    raise click.ClickException(
        f"{place} does not answer: {why}\n  What to do: start the process, or say which one: SLUICE_LISTEN=HOST:PORT"
    )


def _get(url: str) -> bytes:
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE  # our own process, by its address
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=unchecked) as answer:  # noqa: S310
            found: bytes = answer.read()
    except urllib.error.HTTPError as e:  # not ready
        with e:
            found = e.read()
    return found
