"""Work that one process does for all, again and again: under a lease, with a pause between two turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from gateway import logs
from gateway.config import Settings
from gateway.store.pool import StoreAwayError
from gateway.streams.lease import Lease
from gateway.streams.link import Redis, RedisAwayError, ScriptError


async def take_turns(
    settings: Settings,
    redis: Redis,
    owner: str,
    name: str,
    begin: Callable[[], Callable[[], Awaitable[object]]],
    every_s: float,
    log: logs.Stage,
    event: str,
) -> None:
    """Until cancelled. Each lease `lease:<name>` begins anew; each turn is awaited, then `every_s` go by.

    A turn that finds PostgreSQL or Redis away, or is refused by them, is tried again; `event` says so once.
    """
    while True:
        lease = Lease(redis.link(None), f"lease:{name}", owner, settings.lease_s)
        await lease.acquire()
        try:
            await lease.while_held(_turns(begin(), every_s, log, event), name)
        finally:
            await lease.release()


async def _turns(turn: Callable[[], Awaitable[object]], every_s: float, log: logs.Stage, event: str) -> None:
    told = ""
    while True:
        try:
            await turn()
            told = ""
        except (StoreAwayError, RedisAwayError, ScriptError, asyncpg.PostgresError) as e:
            if told != type(e).__name__:
                told = type(e).__name__
                log.warning(event, reason=e)
        await asyncio.sleep(every_s)
