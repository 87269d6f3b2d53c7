"""Mirrors in Redis of what PostgreSQL owns and every process needs: the plan, keys and clients.

In: versioned documents. Out: the newest, and a call within a second of each change. Survives PostgreSQL being away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from gateway.streams.link import Redis, RedisAwayError, ScriptError

log = logging.getLogger("streams")

_PUT_TRIES = 5


class Mirror:
    """Documents under `{g}:mirror:<name>`; versions only go forward."""

    def __init__(self, redis: Redis) -> None:
        self._link = redis.link(None)

    async def get(self, name: str) -> tuple[int, bytes] | None:
        """Version and value, or None when it was never put."""
        version, value = await self._link.call(b"HMGET", self._link.prefix + "mirror:" + name, b"version", b"value")
        return None if version is None else (int(version), value)

    async def put(self, name: str, version: int, value: bytes) -> bool:
        """Put a newer version; False when what is there is as new or newer."""
        return bool(await self._link.script("mirror", (), (name, version, value)))

    async def replace(self, name: str, document: bytes) -> None:
        """Make `document` the newest, whatever others put meanwhile. Raises ScriptError when overtaken all the time."""
        for _ in range(_PUT_TRIES):
            version, value = await self.get(name) or (0, b"")
            if value == document or await self.put(name, max(version + 1, int(time.time() * 1000)), document):
                return
        raise ScriptError(f"the mirror of the {name} was overtaken again and again")

    async def watch(self, name: str, on_change: Callable[[int, bytes], None]) -> None:
        """Call at once with what is there, and again after each change. Runs until cancelled."""
        seen = -1
        while True:
            try:
                raw = await self._link.call(b"HGET", self._link.prefix + "mirror:" + name, b"version")
                if raw is not None and int(raw) != seen and (found := await self.get(name)) is not None:
                    on_change(*found)
                    seen = found[0]
            except RedisAwayError:
                await self._link.up()
                continue
            await asyncio.sleep(0.3)
