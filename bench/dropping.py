"""Drops the first day as retention does, while a connection writes as the recorder does; how long each of them takes.

In: a filled database. Out: milliseconds. Never: the recorder itself.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Any, Final

from gateway.ledger.rollup import Delta
from gateway.ledger.slices import Slices
from gateway.store import rollups, slices
from gateway.store.days import DAY_MS, Days
from gateway.store.pool import Pool
from gateway.store.retention import Ages, drop_old

MOST_MS: Final = 1_000.0
_ENDED: Final = "update messages set final_at = now() where id < id_floor($1) and final_at is null"


async def drop_a_day(url: str, day: datetime.date) -> dict[str, Any]:
    """All of the first day goes: messages, submissions, receipts, every roll-up in partitions."""
    pool = await Pool.open(url, size=3)
    try:
        number = (day - datetime.date(1970, 1, 1)).days
        await pool.execute(_ENDED, (number + 1) * DAY_MS)
        await Days(pool).ensure([number + 40])
        writes: list[float] = []
        writer = asyncio.create_task(_write(pool, (number + 40) * DAY_MS, writes), name="writer")
        while len(writes) < 50:
            await asyncio.sleep(0.01)
        before = sorted(writes)
        writes.clear()
        began = time.perf_counter()
        today = day + datetime.timedelta(days=37)
        dropped = await drop_old(url, Ages(messages=36, minutes=36, quarters=36, hours=36), today)
        took = 1000 * (time.perf_counter() - began)
        writer.cancel()
        await asyncio.wait((writer,))
        meanwhile = sorted(writes or [0.0])
        return {
            "measure": "drop_a_day",
            "ms": round(took),
            "tables": len(dropped),
            "write_ms": {"before": before[len(before) // 2], "meanwhile": meanwhile[len(meanwhile) // 2]},
            "slowest_write_ms": {"before": before[-1], "meanwhile": meanwhile[-1]},
            "holds": took <= MOST_MS and len(dropped) > 0,
        }
    finally:
        await pool.close()


async def _write(pool: Pool, at_ms: int, took: list[float]) -> None:
    """Books messages of one client again and again, a transaction each, into the tables that lose a day meanwhile."""
    booked = Slices()
    cell = (at_ms, 0, "client00", "otp", "carrier0", "operator00")
    booked.add((*cell, "delivered", "", "RUB", "Sender0", "RU", ""), 1, 1, 1, [(5 << 7) + 9])
    delta: Delta = {(*cell, "delivered", "", "RUB"): [1, 1, 1]}
    while True:
        began = time.perf_counter()
        async with pool.transaction() as connection:
            await rollups.add(connection, delta)
            await slices.add(connection, booked.tables())
            await connection.execute(
                "insert into notes select id_floor($1::timestamptz), $1, null, 0, '', '', '', ''", at_ms
            )
        took.append(round(1000 * (time.perf_counter() - began), 1))
