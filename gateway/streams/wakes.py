"""Wake-ups: which lanes got something, told by the scripts over sharded pub/sub. Polling makes up for lost ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.streams.link import Redis


class Wakes:
    """Calls `on_wake(lane)` for every publication on a channel of one shard, and `on_wake("")` whenever it begins to
    listen: something may have been missed."""

    def __init__(self, redis: Redis, shard: int | None, channel: str, on_wake: Callable[[str], None]) -> None:
        self._on_wake = on_wake
        self._link = redis.new_link(shard, self._push)
        self._channel = self._link.prefix + channel
        self._link.on_up.append(self._subscribe)

    def _subscribe(self) -> None:
        self._link.send(b"SSUBSCRIBE", self._channel).add_done_callback(self._subscribed)

    def _subscribed(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._on_wake("")

    def _push(self, reply: list[Any]) -> None:
        if reply[0] == b"smessage":
            self._on_wake(reply[2].decode())

    async def close(self) -> None:
        """Stop listening."""
        await self._link.close()
