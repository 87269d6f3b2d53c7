"""A `sluice …` process of our own as a child: it is ready when it prints one JSON line on its standard output.

In: arguments of `sluice`. Out: what that line said. SIGTERM lets it finish; with us it dies at once, as in a crash.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.embedded.child import Child, StartError, end_leftover, spawn

START_TIMEOUT_S = 30.0


class Process:
    """`start` and `stop` any number of times. `said` is the line of the last start."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        run: Path,
        stop_s: float,
        nice: int = 0,
    ) -> None:
        self.name = name
        self.arguments = list(arguments)
        self.said: dict[str, Any] = {}
        self._env = dict(env)
        self.log = log
        self._pidfile = run / f"{name}.pid"
        self._stop_s, self._nice = stop_s, nice
        self._child: Child | None = None
        self._rest: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the running process; 0 when there is none."""
        return self._child.pid if self._child and self._child.alive else 0

    async def start(self) -> None:
        """Returns when it is ready. Raises StartError with the last words of its log."""
        await end_leftover(self._pidfile, signal.SIGKILL, 5)
        argv = [sys.executable, "-m", "gateway", *self.arguments]
        env = dict(os.environ) | self._env
        child = await spawn(
            self.name,
            argv,
            log=self.log,
            pidfile=self._pidfile,
            death=signal.SIGKILL,
            env=env,
            listen=True,
            nice=self._nice,
        )
        self._child = child
        try:
            self.said = await self._first_line(child)
        except BaseException:
            await child.kill()
            raise
        self._rest = asyncio.create_task(drain(child), name=f"drain {self.name}")

    async def _first_line(self, child: Child) -> dict[str, Any]:
        assert child.stdout is not None
        try:
            line = await asyncio.wait_for(child.stdout.readline(), START_TIMEOUT_S)
        except TimeoutError:
            raise StartError(f"{self.name} was not ready within {START_TIMEOUT_S:.0f} s (see {self.log})") from None
        if not line:
            await child.wait()
            words = child.last_words().removeprefix("Error: ") or "without a word"
            raise StartError(f"{self.name} stopped while starting: {words} (see {self.log})")
        return msgspec.json.decode(line, type=dict[str, Any])

    async def wait(self) -> int:
        """Until it is gone; its exit status."""
        return await self._child.wait() if self._child else 0

    async def stop(self) -> None:
        """Let it finish what it has begun; kill it when that takes too long."""
        await self._end(signal.SIGTERM, self._stop_s)

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL, 5)

    async def _end(self, number: signal.Signals, timeout_s: float) -> None:
        if self._child:
            await self._child.stop(number, timeout_s)
        if self._rest:
            await self._rest
            self._rest = None


async def drain(child: Child) -> None:
    """Read what it prints after its line, so that it never waits for us."""
    assert child.stdout is not None
    while await child.stdout.read(65536):
        pass
