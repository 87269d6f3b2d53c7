"""Versions of the plan: drafted, made active, rolled back, each with its audit row in one transaction.

In: documents that were checked. Out: versions. `pack` gives what is mirrored in Redis, so that the plan is known while
PostgreSQL is away. Never changes or deletes a version.
"""

from __future__ import annotations

import hashlib
from typing import Final

import asyncpg
import msgspec

from gateway.message import VERSION, UnknownVersionError
from gateway.store import audit
from gateway.store.pool import Pool

_LOCK: Final = 7_517_007  # advisory lock: drafts and activations are one after the other


class Active(msgspec.Struct, array_like=True, frozen=True):
    """The plan in use, as it is mirrored. Fields grow only at the end, with defaults."""

    version: int
    document: str
    since_us: int
    """When it became active, µs since the epoch; grows with every activation, also with one of an older version."""


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version as operators see it. Times are ms since the epoch."""

    version: int
    active: bool
    note: str
    sha256: str
    created_ms: int
    created_by: str
    activated_ms: int | None
    activated_by: str | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Active).decode

_ACTIVE: Final = (
    "select version, document, (extract(epoch from since) * 1000000)::bigint as since_us"
    " from plan_active join plans using (version)"
)
_ROW: Final = (
    "select p.version, a.version is not null as active, note, encode(sha256, 'hex') as sha256, created_at, created_by,"
    " activated_at, activated_by from plans p left join plan_active a on a.version = p.version"
)


def pack(active: Active) -> bytes:
    """The mirrored document: version byte and msgpack."""
    return VERSION + _encode(active)


def unpack(data: bytes) -> Active:
    """Inverse of `pack`. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"the plan's mirror has version {data[:1]!r}, this release reads {VERSION!r}")
    return _decode(memoryview(data)[1:])


async def draft(pool: Pool, document: str, *, who: str, note: str = "") -> int:
    """Keep a document as a new version; the newest version again when it is the same text. Raises StoreAwayError."""
    sha256 = hashlib.sha256(document.encode()).digest()
    async with pool.transaction() as connection:
        await _one_at_a_time(connection)
        newest = await connection.fetchrow("select version, sha256 from plans order by version desc limit 1")
        if newest is not None and newest["sha256"] == sha256:
            return int(newest["version"])
        version = await connection.fetchval(
            "insert into plans (document, sha256, note, created_by) values ($1, $2, $3, $4) returning version",
            *(document, sha256, note, who),
        )
        await audit.note(connection, who, "plan.draft", str(version), {"sha256": sha256.hex(), "note": note})
        return int(version)


async def activate(pool: Pool, version: int, *, who: str, note: str = "") -> Active | None:
    """Make a version the one in use; None when there is no such version. Raises StoreAwayError.

    Again for the active version changes nothing. Who knows the plan only from its mirror learns it by `pack`.
    """
    async with pool.transaction() as connection:
        return await _activate(connection, version, who, "plan.activate", note)


async def rollback(pool: Pool, version: int | None = None, *, who: str, note: str = "") -> Active | None:
    """Return to a version, or to the one that was active before; None when there is none. Raises StoreAwayError."""
    async with pool.transaction() as connection:
        await _one_at_a_time(connection)
        if version is None:
            version = await connection.fetchval(
                "select version from plans where activated_at is not null"
                " and version not in (select version from plan_active) order by activated_at desc limit 1"
            )
        return None if version is None else await _activate(connection, version, who, "plan.rollback", note)


async def active(pool: Pool) -> Active | None:
    """The plan in use; None before the first activation. Raises StoreAwayError."""
    return _as_active(await pool.fetchrow(_ACTIVE))


async def document(pool: Pool, version: int) -> str | None:
    """The text of a version. Raises StoreAwayError."""
    text: str | None = await pool.fetchval("select document from plans where version = $1", version)
    return text


async def row(pool: Pool, version: int) -> PlanRow | None:
    """One version without its text. Raises StoreAwayError."""
    found = await pool.fetchrow(_ROW + " where p.version = $1", version)
    return None if found is None else _as_row(found)


async def history(pool: Pool, limit: int = 50) -> list[PlanRow]:
    """Versions, newest first. Raises StoreAwayError."""
    return [_as_row(found) for found in await pool.fetch(_ROW + " order by p.version desc limit $1", limit)]


async def _one_at_a_time(connection: asyncpg.Connection) -> None:
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)


async def _activate(connection: asyncpg.Connection, version: int, who: str, what: str, note: str) -> Active | None:
    await _one_at_a_time(connection)
    before = await connection.fetchval("select version from plan_active")
    if before != version:
        status = await connection.execute(
            "update plans set activated_at = clock_timestamp(), activated_by = $2 where version = $1", version, who
        )
        if status != "UPDATE 1":
            return None
        # A clock that was set back must not make this activation older than the last one: mirrors only go forward.
        await connection.execute(
            'insert into plan_active (version, since) values ($1, clock_timestamp()) on conflict ("only") do update set'
            " version = $1, since = greatest(clock_timestamp(), plan_active.since + interval '1 microsecond')",
            version,
        )
        await audit.note(connection, who, what, str(version), {"before": before, "note": note})
    return _as_active(await connection.fetchrow(_ACTIVE))


def _as_active(found: asyncpg.Record | None) -> Active | None:
    return None if found is None else Active(found["version"], found["document"], found["since_us"])


def _as_row(found: asyncpg.Record) -> PlanRow:
    return PlanRow(
        version=found["version"],
        active=found["active"],
        note=found["note"],
        sha256=found["sha256"],
        created_ms=found["created_at"],
        created_by=found["created_by"],
        activated_ms=found["activated_at"],
        activated_by=found["activated_by"],
    )
