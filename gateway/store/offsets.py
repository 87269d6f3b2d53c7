"""Where a shard's recorder stands: for each run of the Redis server, the last entry of `{s}:events` that is recorded.

A run is one life of the server. After a restore its stream ids can go backwards, so an offset says nothing about
another run's entries; that a stream is in step at all is judged when a run begins.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Offset:
    """What is recorded of one run. `opened`: the last id that the stream had given out when the run was let in."""

    run: str
    last: StreamId
    opened: StreamId

    @property
    def reached(self) -> StreamId:
        """The stream is in step with PostgreSQL when it has given out at least this id."""
        return max(self.last, self.opened)


Offsets = dict[str, Offset]
"""By run; the one written last comes first."""


async def load(connection: asyncpg.Connection, shard: int, lock: bool = False) -> Offsets:
    """All of a shard. `lock`: no other recorder moves them before this transaction ends."""
    rows = await connection.fetch(
        "select run, last_id, opened_id from offsets where shard = $1 order by at desc"
        + (" for update" if lock else ""),
        shard,
    )
    return {run: Offset(run, stream_id(last), stream_id(opened)) for run, last, opened in rows}


async def begin(connection: asyncpg.Connection, shard: int, run: str, opened: StreamId) -> None:
    """Let a run in."""
    await connection.execute(
        "insert into offsets (shard, run, last_id, opened_id) values ($1, $2, '0-0', $3) on conflict (shard, run)"
        " do update set last_id = '0-0', opened_id = excluded.opened_id, at = clock_timestamp()",
        shard, run, stream_id_text(opened),
    )  # fmt: skip


async def advance(connection: asyncpg.Connection, shard: int, last: dict[str, StreamId]) -> None:
    """Note what this transaction recorded, the newest run last."""
    for run, value in last.items():
        await connection.execute(
            "insert into offsets (shard, run, last_id, opened_id) values ($1, $2, $3, '0-0') on conflict (shard, run)"
            " do update set last_id = excluded.last_id, at = clock_timestamp()",
            shard, run, stream_id_text(value),
        )  # fmt: skip
