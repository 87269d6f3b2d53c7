"""Who did what, when: one row for every change that a person makes.

In: an open transaction, so that the row and what it tells of are committed together. Out: nothing. Never secrets, texts
or phone numbers in the details.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg


async def note(
    connection: asyncpg.Connection, who: str, what: str, subject: str, details: Mapping[str, Any] | None = None
) -> None:
    """Write a row; `what` is noun and verb, such as `plan.activate`."""
    await connection.execute(
        "insert into audit (who, what, subject, details) values ($1, $2, $3, $4)", who, what, subject, details or {}
    )
