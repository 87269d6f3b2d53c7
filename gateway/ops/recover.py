"""`sluice recover`: brings the queues of a Redis that was restored from an older state in step with PostgreSQL.

What PostgreSQL shows as accepted and the queues lack is put back; what the queues still hold and PostgreSQL knows as
sent or ended is taken off. Then the shard may open. Works on closed shards only, where nothing else moves.
"""

from __future__ import annotations

import asyncpg
import msgspec

from gateway.events import Batched, Came, Received, Waiting, unpack_facts
from gateway.message import UnknownVersionError
from gateway.store import offsets, recovery
from gateway.store.days import DAY_MS
from gateway.store.offsets import Offsets, stream_id, stream_id_text
from gateway.store.pool import Pool
from gateway.streams import facts, restore
from gateway.streams.link import Link
from gateway.streams.opening import open_shard

_LOOK_BACK_MS = 34 * DAY_MS  # send_at lies at most 30 days ahead, and validity ends at most three days after it
_ABOUT_NO_MESSAGE = (Received, Came, Waiting, Batched)


class Recovered(msgspec.Struct):
    """What was done to one shard. `needed` False: it was in step."""

    shard: int
    needed: bool
    put_back: int = 0
    taken_off: int = 0


async def recover(pool: Pool, link: Link, shard: int, dry_run: bool = False) -> Recovered:
    """Raises StoreAwayError, RedisAwayError. A dry run changes nothing."""
    async with pool.transaction() as connection:
        known = await offsets.load(connection, shard, lock=True)  # no recorder writes meanwhile
        newest = offsets.newest(known)
        if newest is None or await facts.in_step(link, stream_id_text(newest[1]).encode(), newest[0].encode()):
            return Recovered(shard, needed=False)
        done = Recovered(shard, needed=True)
        unrecorded = await _unrecorded(link, shard, known)
        queued = await _take_off(connection, link, done, dry_run)
        now_ms = link.clock_ms()
        async for page in recovery.still_queued(connection, shard, now_ms - _LOOK_BACK_MS, now_ms):
            lost = [(one, message) for one, message in page if one not in queued and one not in unrecorded]
            if not dry_run:
                await restore.put_back(link, lost)
            done.put_back += len(lost)
        if not dry_run:
            await link.call(b"SET", link.prefix + "recorded", stream_id_text(newest[1]))
            await open_shard(link, shard, link.run_id)
        return done


async def _take_off(connection: asyncpg.Connection, link: Link, done: Recovered, dry_run: bool) -> set[bytes]:
    """Drop what is over from the queues; the ids that stay in them."""
    queued: set[bytes] = set()
    over: list[restore.Place] = []
    async for page in restore.places(link):
        gone = await recovery.over(connection, {place.message_id for place in page})
        over += [place for place in page if place.message_id in gone]
        queued |= {place.message_id for place in page} - gone
    if not dry_run:
        await restore.drop(link, over)
    done.taken_off = len(over)
    return queued


async def _unrecorded(link: Link, shard: int, known: Offsets) -> set[bytes]:
    """Messages with facts that the recorder has not read yet: late answers that came after the restore."""
    found: set[bytes] = set()
    after = b"0-0"
    while entries := await facts.read(link, shard, after, 200):
        after = entries[-1].id
        for entry in entries:
            if entry.facts and stream_id(entry.id) > known.get(entry.run.decode(), offsets.ZERO):
                try:
                    told = unpack_facts(entry.facts)
                except (UnknownVersionError, msgspec.DecodeError):
                    continue  # the recorder keeps it in quarantine
                found |= {fact.id for fact in told if not isinstance(fact, _ABOUT_NO_MESSAGE)}
    return found
