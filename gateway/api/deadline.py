"""A coarse deadline for many short waits: one timer for all, where one for each would cost more than the wait.

In: waiting tasks. Out: those are cancelled that wait longer than the limit, after twice the limit at the latest. Owned
by one process; `close` ends its timer.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Deadline:
    """`begin(task)`, wait, `end(task, error)`: in any number of tasks at once, one wait a task."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._young: set[asyncio.Task[Any]] = set()
        self._old: set[asyncio.Task[Any]] = set()
        self._late: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(limit_s, self._turn)

    def begin(self, task: asyncio.Task[Any]) -> None:
        """The task waits from now on."""
        self._young.add(task)

    def end(self, task: asyncio.Task[Any]) -> bool:
        """The wait is over, in whatever way. True: we cut it off, so that its CancelledError is a time-out."""
        self._young.discard(task)
        self._old.discard(task)
        if task not in self._late:
            return False
        self._late.discard(task)
        return task.uncancel() == 0

    def close(self) -> None:
        """Nobody is timed out any more."""
        self._timer.cancel()

    def _turn(self) -> None:
        for task in self._old:
            self._late.add(task)
            task.cancel()
        self._old, self._young = self._young, set()
        self._timer = self._loop.call_later(self._limit_s, self._turn)
