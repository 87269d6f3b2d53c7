"""Keeps raw what could not be written, so that one bad value never stops the ledger and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg


class Refused(NamedTuple):
    """`what`: accepted, facts, or the name of a fact. `raw` starts with its version byte."""

    entry: str
    what: str
    message_id: bytes | None
    error: str
    raw: bytes


async def count(connection: asyncpg.Connection) -> int:
    """How many values wait for somebody to look."""
    number: int = await connection.fetchval("select count(*) from quarantine")
    return number


async def keep(connection: asyncpg.Connection, shard: int, refused: Sequence[Refused]) -> None:
    """Add rows."""
    if refused:
        await connection.copy_records_to_table(
            "quarantine",
            columns=("shard", "entry", "what", "message_id", "error", "raw"),
            records=[(shard, *one) for one in refused],
        )
