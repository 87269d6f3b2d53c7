"""Clients' keys in the mirror: PostgreSQL owns them, the keyring of every api follows the mirror.

In: PostgreSQL. Out: the mirrored document. Never: a secret; a key is known by its hash.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway import logs
from gateway.store import keys
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import Redis, RedisAwayError, ScriptError
from gateway.streams.mirror import Mirror

log = logs.stage("api")

MIRROR: Final = "keys"
_PUBLISH_EVERY_S: Final = 30.0


async def publish(pool: Pool, redis: Redis) -> None:
    """Mirror the keys of PostgreSQL in Redis. Raises StoreAwayError, RedisAwayError, ScriptError."""
    async with pool.transaction() as connection:
        await Mirror(redis).replace(MIRROR, keys.pack(await keys.live_keys(connection)))


async def keep_published(pool: Pool, redis: Redis) -> None:
    """Publish now and then, because a process may die between a key's row and its mirror. Runs until cancelled."""
    while True:
        try:
            await publish(pool, redis)
        except (StoreAwayError, RedisAwayError, ScriptError) as e:
            log.warning("keys not published", reason=e)
            await asyncio.sleep(1.0)
        else:
            await asyncio.sleep(_PUBLISH_EVERY_S)
