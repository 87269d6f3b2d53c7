"""Notes which days' facts a transaction changed, so that incremental loads (bi.messages_since) read no others.

In: the days. Out: a row of `changed_days` for each and this connection. Never: a wait for another writer.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import asyncpg

_EPOCH = datetime.date(1970, 1, 1)


async def note(connection: asyncpg.Connection, days: Iterable[int]) -> None:
    """Days since the epoch, UTC. An update that changes nothing still gives the row this transaction's number."""
    await connection.execute(
        "insert into changed_days (day, writer) select day, pg_backend_pid() from unnest($1::date[]) as u(day)"
        " on conflict (day, writer) do update set writer = excluded.writer",
        [_EPOCH + datetime.timedelta(days=day) for day in sorted(set(days))],
    )
