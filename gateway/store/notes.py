"""Lines of timelines that are neither submissions nor receipts, from those who write no other facts."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from gateway.ledger.rows import Note
from gateway.store import records


async def add(connection: asyncpg.Connection, notes: Sequence[Note]) -> None:
    """In the caller's transaction; their days must be there."""
    if notes:
        await connection.copy_records_to_table("notes", columns=records.NOTE, records=map(records.note, notes))
