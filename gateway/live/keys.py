"""Clients' keys in the mirror: PostgreSQL owns them, the keyring of every api follows the mirror.

In: PostgreSQL. Out: the mirrored document. Never: a secret; a key is known by its hash.
"""

from __future__ import annotations

from typing import Final

from gateway import logs
from gateway.live.publishing import keep
from gateway.store import keys
from gateway.store.pool import Pool
from gateway.streams.link import Redis
from gateway.streams.mirror import Mirror

log = logs.stage("api")

MIRROR: Final = "keys"


async def publish(pool: Pool, redis: Redis) -> None:
    """Mirror the keys of PostgreSQL in Redis. Raises StoreAwayError, RedisAwayError, ScriptError."""
    async with pool.transaction() as connection:
        await Mirror(redis).replace(MIRROR, keys.pack(await keys.live_keys(connection)))


async def keep_published(pool: Pool, redis: Redis) -> None:
    """Publish now and then. Runs until cancelled."""
    await keep(lambda: publish(pool, redis), log, "keys_not_published")
