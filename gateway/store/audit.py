"""Who did what, when: one row for every change that a person makes, and for every look at numbers and texts in full.

In: an open transaction, so that the row and what it tells of are committed together. Out: nothing. Never secrets, texts
or phone numbers in the details.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from gateway.store.pool import Pool

_NOTE = "insert into audit (who, what, subject, details)"


async def note(
    connection: asyncpg.Connection, who: str, what: str, subject: str, details: Mapping[str, Any] | None = None
) -> None:
    """Write a row; `what` is noun and verb, such as `plan.activate`."""
    await connection.execute(f"{_NOTE} values ($1, $2, $3, $4)", who, what, subject, details or {})


async def note_look(pool: Pool, who: str, what: str, subject: str, details: Mapping[str, Any]) -> None:
    """Write a row about what is only read, without waiting for the disk: when PostgreSQL itself dies, the last looks of
    a second may go with it. Raises StoreAwayError."""
    await pool.execute(
        "with unsynced as materialized (select set_config('synchronous_commit', 'off', true))"
        f" {_NOTE} select $1, $2, $3, $4 from unsynced",
        who, what, subject, details,
    )  # fmt: skip
