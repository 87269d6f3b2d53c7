"""Lets a run of the Redis server move a shard's messages, when its events stream is in step with PostgreSQL.

A server that was restored from an older file does not know the entry that PostgreSQL recorded last. Such a shard stays
closed, with a reason for the operator, until `sluice recover` has compared both. A PostgreSQL that was restored from an
older state cannot get back what Redis has trimmed since: work goes on, and the gap is told.
"""

from __future__ import annotations

import asyncio

import asyncpg

from gateway import logs
from gateway.store import offsets, quarantine
from gateway.store.offsets import ZERO, Offsets, StreamId, stream_id, stream_id_text
from gateway.store.pool import Pool
from gateway.store.quarantine import Refused
from gateway.streams import facts
from gateway.streams.link import Link
from gateway.streams.opening import close_shard, is_open, open_shard

log = logs.stage("recorder")
_LOOK_S = 0.5


async def admit(pool: Pool, link: Link, shard: int) -> Offsets:
    """Return the offsets once the run behind this link is let in. Raises RedisAwayError, StoreAwayError."""
    told = False
    while True:
        run = link.run_id
        async with pool.transaction() as connection:
            known = await offsets.load(connection, shard)
            newest = offsets.newest(known)
            in_step = newest is None or await _in_step(link, *newest)
            if in_step:
                await _note_gap(connection, link, shard, newest[1] if newest else ZERO)
                await offsets.begin(connection, shard, run.decode())
                known = await offsets.load(connection, shard)
        if in_step:
            if not await is_open(link):
                await open_shard(link, shard, run)
                log.info("shard_opened", shard=shard, run=run.decode())
            return known
        if newest is not None and not told:
            reason = (
                f"PostgreSQL has recorded event {stream_id_text(newest[1])} and Redis does not know it:"
                " Redis was restored from an older state; run `sluice recover`"
            )
            await close_shard(link, shard, reason)
            log.error("shard_closed", shard=shard, reason=reason)
            told = True
        await asyncio.sleep(_LOOK_S)


async def _note_gap(connection: asyncpg.Connection, link: Link, shard: int, recorded: StreamId) -> None:
    """Redis trims only what PostgreSQL has; when it trimmed more than that, PostgreSQL has lost it again."""
    trimmed = await facts.trimmed_through(link)
    if stream_id(trimmed) <= recorded:
        return
    told = f"events after {stream_id_text(recorded)} were in PostgreSQL once: it was restored from an older state"
    gap = Refused(trimmed.decode(), "gap", None, told, b"")
    if not await quarantine.is_kept(connection, shard, gap):
        await quarantine.keep(connection, shard, [gap])
        log.error("ledger_gap", shard=shard, after=stream_id_text(recorded), through=trimmed.decode())


async def _in_step(link: Link, run: str, last: StreamId) -> bool:
    return await facts.in_step(link, stream_id_text(last).encode(), run.encode())
