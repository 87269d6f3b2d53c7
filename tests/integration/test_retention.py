"""docs/deploy/postgres-retention.sql: old days go, and nothing that still moves goes with them."""

from __future__ import annotations

import asyncpg
import pytest

from tests.installation import ROOT

RETENTION = (ROOT / "docs/deploy/postgres-retention.sql").read_text()
MESSAGE = """
insert into messages (id, deadline, changed_at, recipient_hash, parts, client, class, recipient, sender, text, encoding,
                      state, final_at)
values (id_floor(now() - make_interval(days => $1)), now(), now(), 0, 1, 'shop', 'otp', '', '', '', 'gsm7', $2, $3)
"""


async def days(connection: asyncpg.Connection) -> list[int]:
    """How many days old each day's partitions are, the oldest first."""
    found = await connection.fetch(
        "select distinct current_date - to_date(right(relname, 8), 'YYYYMMDD') as age from pg_class"
        " where relnamespace = 'days'::regnamespace and relkind = 'r' order by age desc"
    )
    return [row["age"] for row in found if row["age"] > 1]


async def clean(connection: asyncpg.Connection, keep: int) -> None:
    await connection.execute(f"set sluice.keep_days = '{keep}'")
    await connection.execute(RETENTION)


async def test_old_days_go_until_one_has_a_message_that_has_not_ended(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        for age in (100, 95, 92, 89):
            await connection.execute("select ensure_day(current_date - $1::int)", age)
        await connection.execute(MESSAGE, 100, "delivered", await connection.fetchval("select now()"))
        await connection.execute(MESSAGE, 95, "unknown", None)
        await clean(connection, 90)
        assert await days(connection) == [95, 92, 89]
        await connection.execute("update messages set state = 'expired', final_at = now()")
        await clean(connection, 90)
        assert await days(connection) == [89]
        assert await connection.fetchval("select count(*) from messages") == 0
        with pytest.raises(asyncpg.RaiseError, match="keep at least 36 days"):
            await clean(connection, 7)
    finally:
        await connection.close()
