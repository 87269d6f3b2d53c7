"""Lets a run of the Redis server move a shard's messages, when its events stream is in step with PostgreSQL.

A server that was restored from an older file has given out fewer ids than PostgreSQL has recorded. Such a shard stays
closed, with a reason for the operator, until `sluice recover` has compared both.
"""

from __future__ import annotations

import asyncio

from gateway import logs, metrics
from gateway.store import offsets
from gateway.store.offsets import Offsets, StreamId, stream_id, stream_id_text
from gateway.store.pool import Pool
from gateway.streams import facts
from gateway.streams.link import Link
from gateway.streams.opening import close_shard, is_open, open_shard

log = logs.stage("recorder")
_LOOK_S = 0.5


def behind(known: Offsets, run: str, given_out: StreamId) -> StreamId | None:
    """The id that the stream should have reached and has not; None when it is in step. Pure."""
    if not known:
        return None
    judge = known.get(run) or next(iter(known.values()))
    reached = judge.last if judge.run == run else judge.reached
    return reached if given_out < reached else None


async def admit(pool: Pool, link: Link, shard: int) -> Offsets:
    """Return the offsets once the run behind this link is let in. Raises RedisAwayError, StoreAwayError."""
    told = False
    while True:
        run = link.run_id
        given_out = stream_id(await facts.last_event(link))
        async with pool.transaction() as connection:
            known = await offsets.load(connection, shard, lock=True)
            missing = behind(known, run.decode(), given_out)
            if missing is None and run.decode() not in known:
                await offsets.begin(connection, shard, run.decode(), given_out)
                known = await offsets.load(connection, shard)
        if missing is None:
            if not await is_open(link):
                await open_shard(link, shard, run)
                log.info("shard_opened", shard=shard, run=run.decode())
            metrics.shard_open.labels(str(shard)).set(1)
            return known
        metrics.shard_open.labels(str(shard)).set(0)
        if not told:
            reason = (
                f"Redis has events up to {stream_id_text(given_out)}, PostgreSQL recorded {stream_id_text(missing)}:"
                " Redis was restored from an older state; run `sluice recover`"
            )
            await close_shard(link, shard, reason)
            log.error(
                "shard_closed", shard=shard, given_out=stream_id_text(given_out), recorded=stream_id_text(missing)
            )
            told = True
        await asyncio.sleep(_LOOK_S)
