"""`python -m gateway.ops.probe`: asks the process of this container whether it lives; for HEALTHCHECK and the like.

In: the settings that the process itself has. Out: exit code 0, or 1 and a line. Never: a setting that options gave.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

from gateway.config import Settings, SettingsError, load

TIMEOUT_S = 2.5
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what is listened on, not by us


def address(settings: Settings) -> str:
    """Where the pages of this process are, seen from its own machine; empty when it has none."""
    host, _, port = (settings.listen if "api" in settings.roles else settings.metrics_listen).rpartition(":")
    return f"{_ANYWHERE.get(host, host)}:{port}" if port else ""


def ask(place: str, scheme: str = "http") -> str:
    """Why the process there does not live; empty when it does."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE  # our own process, by its address
    try:
        with urllib.request.urlopen(f"{scheme}://{place}/healthz", timeout=TIMEOUT_S, context=unchecked) as answer:  # noqa: S310
            json.loads(answer.read())
    except (OSError, ValueError) as e:
        return f"{place} does not answer: {e}"
    return ""


def main() -> int:
    """The exit code."""
    try:
        config = os.environ.get("SLUICE_CONFIG")
        settings = load(Path(config) if config else None)
    except SettingsError as e:
        why = str(e)
    else:
        place = address(settings)
        why = ask(place) if place else "nothing to ask: set metrics_listen"
    if why:
        print(why, file=sys.stderr)
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
