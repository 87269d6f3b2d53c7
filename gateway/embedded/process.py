"""A `sluice …` process of our own as a child: it is ready when it prints one JSON line on its standard output.

In: arguments of `sluice`. Out: what its lines said. It may be launched ahead of its start, so that it loads what it
needs while it cannot work yet. SIGTERM lets it finish; with us it dies at once, as in a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
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
    """`start` and `stop` any number of times. `said` is what it said since the last start, `told` the variables that
    are told to a process with `--told` when it starts."""

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
        self.told: dict[str, str] = {}
        self._env = dict(env)
        self.log = log
        self._pidfile = run / f"{name}.pid"
        self._stop_s, self._nice = stop_s, nice
        self._child: Child | None = None
        self._is_launched = False
        self._heard = asyncio.Event()
        self._rest: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the running process; 0 when there is none."""
        return self._child.pid if self._child and self._child.alive else 0

    async def end_leftover(self) -> None:
        """End what a killed parent of ours left running."""
        await end_leftover(self._pidfile, signal.SIGKILL, 5)

    async def launch(self) -> None:
        """Let it load what it needs; the next `start` goes on with it. One without `--told` starts at once."""
        await self.end_leftover()
        argv = [sys.executable, "-m", "gateway", *self.arguments]
        self._child = await spawn(
            self.name,
            argv,
            log=self.log,
            pidfile=self._pidfile,
            death=signal.SIGKILL,
            env=dict(os.environ) | self._env,
            listen=True,
            talk="--told" in self.arguments,
            nice=self._nice,
        )
        self._is_launched = True

    async def start(self) -> None:
        """Returns when it is ready. Raises StartError with the last words of its log."""
        if not self._is_launched:
            await self.launch()
        self._is_launched = False
        assert self._child is not None
        child = self._child
        try:
            await self._tell(child)
            self.said = await self._first_line(child)
        except BaseException:
            await child.kill()
            raise
        self._rest = asyncio.create_task(self._listen(child), name=f"listen to {self.name}")

    async def until(self, word: str, timeout_s: float) -> bool:
        """Wait for a line that has this word; False: there was none in that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while word not in self.said:
                    self._heard.clear()
                    await self._heard.wait()
        return word in self.said

    async def _tell(self, child: Child) -> None:
        if child.stdin is None:
            return
        with contextlib.suppress(ConnectionError):  # it has ended: the missing first line says so
            child.stdin.write(msgspec.json.encode(self.told) + b"\n")
            await child.stdin.drain()
        child.stdin.close()

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

    async def _listen(self, child: Child) -> None:
        """Read what it says after its line, so that it never waits for us."""
        assert child.stdout is not None
        while True:
            try:
                line = await child.stdout.readline()
                if not line:
                    return
                self.said |= msgspec.json.decode(line, type=dict[str, Any])
            except (ValueError, msgspec.DecodeError):
                continue  # of a library, not for us
            self._heard.set()

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
        self._is_launched = False
        if self._child:
            await self._child.stop(number, timeout_s)
        if self._rest:
            await self._rest
            self._rest = None
