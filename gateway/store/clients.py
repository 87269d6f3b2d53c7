"""Clients and their quotas. A client is made with its first key.

In: how much a client may send. Out: rows for operators. Publishing the keys makes a change known, because every key is
mirrored with its client's quota.
"""

from __future__ import annotations

import msgspec

from gateway.store import audit
from gateway.store.pool import Pool


class ClientRow(msgspec.Struct, frozen=True, kw_only=True):
    """A client as operators see it. `messages_per_s` None: what the settings give to everybody; 0: no limit."""

    name: str
    created_ms: int
    disabled_ms: int | None
    messages_per_s: float | None
    burst: int
    keys: int


async def list_clients(pool: Pool, name: str | None = None) -> list[ClientRow]:
    """All clients by name, or the one of this name. Raises StoreAwayError."""
    rows = await pool.fetch(
        "select c.name, c.created_at, c.disabled_at, c.quotas, count(k.id) as keys from clients c"
        " left join keys k on k.client = c.name and revoked_at is null and (expires_at is null or expires_at > now())"
        " where $1::text is null or c.name = $1 group by c.name order by c.name",
        name,
    )
    return [
        ClientRow(
            name=r["name"],
            created_ms=r["created_at"],
            disabled_ms=r["disabled_at"],
            messages_per_s=r["quotas"].get("messages_per_s"),
            burst=r["quotas"].get("burst", 0),
            keys=r["keys"],
        )
        for r in rows
    ]


async def set_quota(pool: Pool, client: str, messages_per_s: float | None, burst: int, *, who: str) -> bool:
    """Give a client its quota; False when there is no such client. Raises StoreAwayError."""
    quotas = {} if messages_per_s is None else {"messages_per_s": messages_per_s, "burst": burst}
    async with pool.transaction() as connection:
        status = await connection.execute("update clients set quotas = $2 where name = $1", client, quotas)
        if status != "UPDATE 1":
            return False
        await audit.note(connection, who, "client.quota", client, quotas)
        return True
