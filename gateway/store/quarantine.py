"""Keeps raw what could not be written, so that one bad value never stops the ledger and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg


class Refused(NamedTuple):
    """`what`: accepted, facts, the name of a fact, or gap: events up to `entry` are missing. `raw` starts with its
    version byte."""

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


async def is_kept(connection: asyncpg.Connection, shard: int, one: Refused) -> bool:
    """Whether this very thing about this entry is kept already."""
    found: bool = await connection.fetchval(
        "select exists (select from quarantine where shard = $1 and entry = $2 and what = $3 and error = $4)",
        shard, one.entry, one.what, one.error,
    )  # fmt: skip
    return found
