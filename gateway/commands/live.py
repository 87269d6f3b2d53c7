"""The plan's data as running processes have it, for commands that work on the servers themselves.

In: PostgreSQL, Redis, settings. Out: a `LivePlan` with the datasets in use, from the files that the processes of this
machine have, too. Never: a plan; the command says which.
"""

from __future__ import annotations

import asyncio

from gateway.config import Settings
from gateway.datasets.files import directory_of
from gateway.live import numbers as live_numbers
from gateway.live import sheets as live_sheets
from gateway.live.datasets import LiveDatasets
from gateway.live.plan import LivePlan
from gateway.store.pool import Pool
from gateway.streams.link import Redis

_SETTLE_S = 600.0


async def with_data(settings: Settings, pool: Pool, redis: Redis) -> LivePlan:
    """Wait until the datasets in use are here; what cannot be had is left out. The values do not change any more."""
    datasets = LiveDatasets(redis, pool, directory_of(settings.cache_dir, settings.redis_url))
    plan = LivePlan(redis)
    live_numbers.attach(datasets, plan)
    live_sheets.attach(datasets, plan)
    watching = asyncio.create_task(datasets.watch(), name="watch datasets")
    try:
        await datasets.settled(_SETTLE_S)
    finally:
        watching.cancel()
        await asyncio.wait((watching,))
    return plan
