"""Mirrors that are published now and then: a process may die between a change and its mirror, and Redis may come back
empty or older."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway import logs
from gateway.store.pool import StoreAwayError
from gateway.streams.link import RedisAwayError, ScriptError

EVERY_S: Final = 30.0
_AGAIN_S: Final = 1.0


async def keep(publish: Callable[[], Awaitable[object]], log: logs.Stage, event: str) -> None:
    """Publish now and then, soon again after it failed, which `event` says. Runs until cancelled."""
    while True:
        try:
            await publish()
        except (StoreAwayError, RedisAwayError, ScriptError) as e:
            log.warning(event, reason=e)
            await asyncio.sleep(_AGAIN_S)
        else:
            await asyncio.sleep(EVERY_S)
