"""Endpoints of clients: made, changed, removed, each with its audit row; and what signs requests to them.

In: what a client asks for. Out: rows with times in ms, secrets as bytes. Secrets are kept as they are, because every
request is signed with them.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from gateway.callbacks.audience import Listener
from gateway.callbacks.event import DEFAULT_TYPES
from gateway.callbacks.signing import new_secret
from gateway.store import audit
from gateway.store.pool import Pool

MAX_ENDPOINTS: Final = 50
"""Of one client."""

_LOCK: Final = 7_517_007  # advisory lock: the order in which mirrors are written is that of the commits


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `expires_ms`: a temporary one goes away then; `disabled_why` is empty where a client did it."""

    id: str
    client: str
    url: str
    events: tuple[str, ...]
    bundle: bool
    description: str
    secret: bytes
    former_secret: bytes | None
    former_until_ms: int | None
    created_ms: int
    changed_ms: int
    expires_ms: int | None
    disabled_ms: int | None
    disabled_why: str
    failing_since_ms: int | None
    last_error: str

    def secrets(self, now_ms: int) -> tuple[bytes, ...]:
        """What signs a request now: after a rotation the old one too, for a time."""
        return _valid(self.secret, self.former_secret, self.former_until_ms, now_ms)


class CallbackSecret(msgspec.Struct, frozen=True):
    """What signs requests to a client's callback URLs."""

    secret: bytes
    former_secret: bytes | None
    former_until_ms: int | None

    def secrets(self, now_ms: int) -> tuple[bytes, ...]:
        """As `EndpointRow.secrets`."""
        return _valid(self.secret, self.former_secret, self.former_until_ms, now_ms)


class TooManyError(ValueError):
    """The client has as many endpoints as it may have."""


_COLUMNS = """id, client, url, events, bundle, description, secret, former_secret, former_until, created_at, changed_at,
    expires_at, disabled_at, disabled_why, failing_since, last_error"""
_LIVE = "(expires_at is null or expires_at > now())"


async def create(
    pool: Pool,
    client: str,
    url: str,
    *,
    who: str,
    events: Sequence[str] = DEFAULT_TYPES,
    bundle: bool = False,
    description: str = "",
    expires_ms: int | None = None,
) -> EndpointRow:
    """Make one. Raises TooManyError, StoreAwayError. Publishing makes it known."""
    endpoint_id = "ep_" + random.token_hex(8)
    async with pool.transaction() as connection:
        await connection.execute("select from clients where name = $1 for update", client)
        count = await connection.fetchval(f"select count(*) from endpoints where client = $1 and {_LIVE}", client)
        if count >= MAX_ENDPOINTS:
            raise TooManyError
        row = await connection.fetchrow(
            "insert into endpoints (id, client, url, events, bundle, description, secret, expires_at)"
            f" values ($1, $2, $3, $4, $5, $6, $7, $8) returning {_COLUMNS}",
            endpoint_id, client, url, list(events), bundle, description, new_secret(), expires_ms,
        )  # fmt: skip
        await audit.note(
            connection, who, "endpoint.create", endpoint_id, {"client": client, "temporary": bool(expires_ms)}
        )
    return _row(row)


async def get(pool: Pool, client: str | None, endpoint_id: str) -> EndpointRow | None:
    """One, when it is this client's (None: anybody's)."""
    rows = await _fetch(pool, "id = $1 and ($2::text is null or client = $2)", endpoint_id, client)
    return rows[0] if rows else None


async def of_client(pool: Pool, client: str) -> list[EndpointRow]:
    """A client's, oldest first."""
    return await _fetch(pool, "client = $1", client)


async def everybodys(pool: Pool) -> list[EndpointRow]:
    """All of them."""
    return await _fetch(pool, "true")


async def _fetch(pool: Pool, where: str, *values: Any) -> list[EndpointRow]:
    rows = await pool.fetch(
        f"select {_COLUMNS} from endpoints where {_LIVE} and {where} order by created_at, id", *values
    )
    return [_row(row) for row in rows]


async def change(
    pool: Pool, client: str, endpoint_id: str, given: Mapping[str, Any], *, who: str
) -> EndpointRow | None:
    """Give it other values: url, events, bundle, description, expires_ms, enabled. None: there is no such endpoint."""
    sets: list[str] = []
    values: list[Any] = [endpoint_id, client]
    for name, value in given.items():
        if name == "enabled":
            sets.append(
                "disabled_at = null, disabled_why = ''" if value else "disabled_at = coalesce(disabled_at, now())"
            )
            continue
        values.append(list(value) if name == "events" else value)
        sets.append(f"{'expires_at' if name == 'expires_ms' else name} = ${len(values)}")
    async with pool.transaction() as connection:
        row = await connection.fetchrow(
            f"update endpoints set {', '.join([*sets, 'changed_at = clock_timestamp()'])}"
            f" where id = $1 and client = $2 and {_LIVE} returning {_COLUMNS}",
            *values,
        )
        if row is None:
            return None
        if set(given) != {"expires_ms"}:
            await audit.note(connection, who, "endpoint.change", endpoint_id, {"client": client, "what": sorted(given)})
    return _row(row)


async def rotate(pool: Pool, client: str, endpoint_id: str, overlap_ms: int, *, who: str) -> EndpointRow | None:
    """Another secret; the one before signs too, for `overlap_ms`. None: there is no such endpoint."""
    async with pool.transaction() as connection:
        row = await connection.fetchrow(
            "update endpoints set former_secret = secret, secret = $3, changed_at = clock_timestamp(),"
            " former_until = now() + $4 * interval '1 ms'"
            f" where id = $1 and client = $2 and {_LIVE} returning {_COLUMNS}",
            endpoint_id, client, new_secret(), overlap_ms,
        )  # fmt: skip
        if row is None:
            return None
        await audit.note(
            connection, who, "endpoint.rotate", endpoint_id, {"client": client, "overlap_s": overlap_ms // 1000}
        )
    return _row(row)


async def remove(pool: Pool, client: str, endpoint_id: str, *, who: str) -> bool:
    """End it for good, with what waits for it; False when there is none such."""
    async with pool.transaction() as connection:
        status = await connection.execute("delete from endpoints where id = $1 and client = $2", endpoint_id, client)
        if status != "DELETE 1":
            return False
        await audit.note(connection, who, "endpoint.remove", endpoint_id, {"client": client})
    return True


async def remove_expired(connection: asyncpg.Connection) -> None:
    """Temporary endpoints whose time is over."""
    await connection.execute("delete from endpoints where expires_at <= now()")


async def disable(connection: asyncpg.Connection, endpoint_id: str, why: str, *, who: str) -> bool:
    """What its owner's server asked for; False when it was disabled before."""
    status = await connection.execute(
        "update endpoints set disabled_at = now(), disabled_why = $2, changed_at = clock_timestamp()"
        " where id = $1 and disabled_at is null",
        endpoint_id, why,
    )  # fmt: skip
    if status != "UPDATE 1":
        return False
    await audit.note(connection, who, "endpoint.disable", endpoint_id, {"why": why})
    return True


async def note_health(connection: asyncpg.Connection, endpoint_id: str, failing_ms: int, error: str) -> None:
    """Since when it fails, and how; 0: it works again."""
    await connection.execute(
        "update endpoints set failing_since = $2, last_error = $3 where id = $1", endpoint_id, failing_ms or None, error
    )


async def callback_secret(pool: Pool, client: str) -> CallbackSecret:
    """What signs requests to the client's callback URLs; made when it is asked for first."""
    row = await pool.fetchrow(
        "with made as (insert into callback_secrets (client, secret) values ($1, $2) on conflict do nothing"
        " returning secret, former_secret, former_until) select * from made"
        " union all select secret, former_secret, former_until from callback_secrets where client = $1 limit 1",
        client, new_secret(),
    )  # fmt: skip
    return CallbackSecret(*row) if row is not None else await callback_secret(pool, client)  # made by another just now


async def rotate_callback_secret(pool: Pool, client: str, overlap_ms: int, *, who: str) -> CallbackSecret:
    """Another one; the one before signs too, for `overlap_ms`."""
    await callback_secret(pool, client)
    async with pool.transaction() as connection:
        row = await connection.fetchrow(
            "update callback_secrets set former_secret = secret, secret = $2,"
            " former_until = now() + $3 * interval '1 ms' where client = $1"
            " returning secret, former_secret, former_until",
            client, new_secret(), overlap_ms,
        )  # fmt: skip
        await audit.note(connection, who, "callback_secret.rotate", client, {"overlap_s": overlap_ms // 1000})
    return CallbackSecret(*row)


async def listeners(connection: asyncpg.Connection) -> list[Listener]:
    """Who is to be told now. One reader at a time until the transaction ends: mirrors keep the order of commits."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
    rows = await connection.fetch(
        f"select id, client, events, changed_at from endpoints where {_LIVE} and disabled_at is null order by id"
    )
    prefix = len("message.")
    return [Listener(r["id"], r["client"], tuple(e[prefix:] for e in r["events"]), r["changed_at"]) for r in rows]


def _valid(secret: bytes, former: bytes | None, until_ms: int | None, now_ms: int) -> tuple[bytes, ...]:
    return (secret, former) if former is not None and until_ms is not None and until_ms > now_ms else (secret,)


def _row(r: Any) -> EndpointRow:
    return EndpointRow(
        id=r["id"],
        client=r["client"],
        url=r["url"],
        events=tuple(r["events"]),
        bundle=r["bundle"],
        description=r["description"],
        secret=r["secret"],
        former_secret=r["former_secret"],
        former_until_ms=r["former_until"],
        created_ms=r["created_at"],
        changed_ms=r["changed_at"],
        expires_ms=r["expires_at"],
        disabled_ms=r["disabled_at"],
        disabled_why=r["disabled_why"],
        failing_since_ms=r["failing_since"],
        last_error=r["last_error"],
    )
