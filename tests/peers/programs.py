"""Peers that are no Python packages: which there are, what becomes of a test whose peer is missing, where they listen.

`SLUICE_REQUIRE_PEERS=1` makes a missing one a failure; `.ci/run` sets it after having installed them all.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final, NoReturn

import pytest

MISSING: Final = "peer left out: "
"""How the reason of a skipped test begins; the end of a run lists them."""

REPOSITORY: Final = Path(__file__).parents[2]
NODE_MODULES: Final = REPOSITORY / "node_modules"


def program(name: str, install: str) -> str:
    """The path of a program that a test needs."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return found or _missing(name, install)


def node_module(name: str) -> str:
    """The path of Node.js, where that module of its registry can be loaded."""
    install = f"npm install --no-save {name}"
    node = program("node", "apt install nodejs npm")
    command = [node, "-e", f"require({name!r})"]
    if subprocess.run(command, capture_output=True, env=node_environment(), timeout=30).returncode:
        return _missing(f"{name} of Node.js", install)
    return node


def node_environment() -> dict[str, str]:
    """The environment in which modules are found that were installed for the project."""
    return os.environ | {"NODE_PATH": os.pathsep.join((str(NODE_MODULES), os.environ.get("NODE_PATH", "")))}


def needed(found: object, name: str, install: str) -> None:
    """Something else that a test needs, such as a driver."""
    if not found:
        _missing(name, install)


def leave_out(name: str, install: str) -> NoReturn:
    """Skips a test whose peer is missing, and that no run requires."""
    pytest.skip(f"{MISSING}{name} ({install})")


def _missing(name: str, install: str) -> NoReturn:
    if os.environ.get("SLUICE_REQUIRE_PEERS") == "1":
        pytest.fail(f"{MISSING}{name} ({install})")
    leave_out(name, install)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
        return port


async def listening(port: int, deadline_s: float) -> None:
    """Wait until somebody listens on a port of this machine."""
    async with asyncio.timeout(deadline_s):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
