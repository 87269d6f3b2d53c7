"""Whether roll-ups and slices of statistics equal the rows: by queries of their own, and by `sluice db recount`.

In: a world at rest. Out: sentences; none when there is not one difference.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from gateway.ledger.slices import COLUMNS, VIEWS
from tests.acceptance.gateway_account import check_rollups
from tests.acceptance.gateway_world import World


async def differences(w: World, since: datetime) -> list[str]:
    """Recounts everything from this day on; what changed by it, and what the queries found."""
    found = []
    try:
        await check_rollups(w)
    except AssertionError as e:
        found.append(f"books: {e}")
    before = await _slices(w)
    await w.sluice("db", "recount", "--since", f"{since.astimezone(UTC):%Y-%m-%d}", "--postgres-url", w.postgres.url)
    after = await _slices(w)
    for table, rows in before.items():
        changed = rows ^ after[table]
        if changed:
            found.append(
                f"recount: {len(changed)} rows of {table} are others now, such as {sorted(map(str, changed))[0]}"
            )
    if not any(after.values()):
        found.append("recount: there are no statistics at all")
    return found


async def _slices(w: World) -> dict[str, set[tuple[Any, ...]]]:
    """Rows of every table, those that came back to nothing left out."""
    something = f"num_nonnulls({', '.join(COLUMNS)}) > 0"
    connection = await asyncpg.connect(w.postgres.url)
    try:
        return {
            table: {tuple(row) for row in await connection.fetch(f"select * from {table} where {something}")}
            for view in VIEWS
            for table in view.tables
        }
    finally:
        await connection.close()
