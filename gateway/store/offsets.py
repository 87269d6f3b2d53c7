"""Where a shard's recorder stands: for each run of the Redis server, the last entry of `{s}:events` that is recorded.

A run is one life of the server. After a restore its stream ids can go backwards, so an offset says nothing about
another run's entries; that a stream is in step at all is judged when a run begins.
"""

from __future__ import annotations

import asyncpg

StreamId = tuple[int, int]
ZERO: StreamId = (0, 0)


def stream_id(text: bytes | str) -> StreamId:
    """`ms-number` as something that compares."""
    ms, _, number = (text if isinstance(text, str) else text.decode()).partition("-")
    return int(ms), int(number or 0)


def stream_id_text(value: StreamId) -> str:
    """As Redis writes it."""
    return f"{value[0]}-{value[1]}"


Offsets = dict[str, StreamId]
"""The last recorded entry by run, `ZERO`: none yet. The run that was written last comes first."""


async def load(connection: asyncpg.Connection, shard: int, lock: bool = False) -> Offsets:
    """All of a shard. `lock`: no other recorder moves them before this transaction ends."""
    tail = " for update" if lock else ""
    rows = await connection.fetch("select run, last_id from offsets where shard = $1 order by at desc" + tail, shard)
    return {run: stream_id(last) for run, last in rows}


async def begin(connection: asyncpg.Connection, shard: int, run: str) -> None:
    """Give a run its row: what recorders lock. Nothing when it has one."""
    await connection.execute(
        "insert into offsets (shard, run, last_id) values ($1, $2, '0-0') on conflict do nothing", shard, run
    )


async def advance(connection: asyncpg.Connection, shard: int, last: Offsets) -> None:
    """Note what this transaction recorded, in the order given."""
    for run, value in last.items():
        await connection.execute(
            "insert into offsets (shard, run, last_id) values ($1, $2, $3) on conflict (shard, run)"
            " do update set last_id = excluded.last_id, at = clock_timestamp()",
            shard, run, stream_id_text(value),
        )  # fmt: skip


def newest(known: Offsets) -> tuple[str, StreamId] | None:
    """The run and entry that were recorded last; None: nothing ever was."""
    return next(((run, last) for run, last in known.items() if last != ZERO), None)
