"""Versions of datasets, the long things beside the plan: kept, made active, rolled back, each with its audit row.

In: the content of a CSV file, piece by piece. Out: versions; the content again, piece by piece. `pack` gives what is
mirrored in Redis. Never: the whole of a content in memory; a look into it, which is its kind's business.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from gateway.message import VERSION, UnknownVersionError
from gateway.store import audit
from gateway.store.pool import Pool

CHUNK_BYTES: Final = 1 << 20
KEPT: Final = 30
"""Newest versions of a kind whose content is kept; of older ones only the row stays, unless active now."""

_LOCK: Final = 7_517_010  # advisory lock: versions are kept and made active one after the other
_ZLIB_LEVEL: Final = 1


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One version as processes need to know it. Fields grow only at the end, with defaults."""

    kind: str
    version: int
    sha256: bytes
    rows: int
    active: bool
    """False: the newest of its kind, which processes fetch ahead so that making it active takes no time."""


class Standing(msgspec.Struct, array_like=True, frozen=True):
    """What is mirrored in Redis: the active version of every kind, and newer ones that wait to be made active."""

    at_us: int
    """When anything changed last, µs since the epoch; only grows."""
    entries: tuple[Entry, ...] = ()

    def active(self, kind: str) -> Entry | None:
        """The version of a kind that is in use."""
        return next((e for e in self.entries if e.kind == kind and e.active), None)


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A version as operators see it. Times are ms since the epoch."""

    version: int
    kind: str
    active: bool
    rows: int
    size_bytes: int
    sha256: str
    note: str
    source: str
    created_ms: int
    created_by: str
    activated_ms: int | None
    activated_by: str | None
    kept: bool
    """Whether the content is still there: of the last 30 versions of a kind it is."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Standing).decode

_ROW: Final = (
    "select d.*, encode(d.sha256, 'hex') as hex, a.version is not null as active,"
    " exists (select from dataset_chunks c where c.version = d.version and c.number = 0) as kept"
    " from datasets d left join dataset_active a on a.version = d.version"
)


def pack(standing: Standing) -> bytes:
    """The mirrored document: version byte and msgpack."""
    return VERSION + _encode(standing)


def unpack(data: bytes) -> Standing:
    """Inverse of `pack`. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"the mirror of datasets has version {data[:1]!r}, this release reads {VERSION!r}")
    return _decode(memoryview(data)[1:])


def pieces(path: Path) -> Iterator[bytes]:
    """A file in pieces that `put` takes."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


async def put(
    pool: Pool, kind: str, content: Iterable[bytes], *, rows: int, who: str, note: str = "", source: str = ""
) -> int:
    """Keep a content as a new version of its kind and return the version; not active yet.

    `content` in pieces of any size, read in a thread (see `pieces`). The newest version again when it is the same
    content. All or nothing: a content that breaks off leaves no trace. Raises StoreAwayError.
    """
    digest, size = hashlib.sha256(), 0
    chunks = _even(content)

    def next_chunk() -> bytes:
        nonlocal size
        chunk = next(chunks, b"")
        digest.update(chunk)
        size += len(chunk)
        return zlib.compress(chunk, _ZLIB_LEVEL) if chunk else b""

    async with pool.transaction() as connection:
        version = await connection.fetchval(
            "insert into datasets (kind, rows, note, source, created_by) values ($1, $2, $3, $4, $5) returning version",
            *(kind, rows, note, source, who),
        )
        insert = await connection.prepare("insert into dataset_chunks (version, number, data) values ($1, $2, $3)")
        number = 0
        while (chunk := await asyncio.to_thread(next_chunk)) or not number:
            await insert.fetch(version, number, chunk or zlib.compress(b""))
            number += 1
        await _one_at_a_time(connection)
        same = await connection.fetchval(
            "select version from datasets where kind = $1 and sha256 = $2 and version = (select max(version) from"
            " datasets d join dataset_chunks using (version) where kind = $1 and version <> $3 and number = 0)",
            *(kind, digest.digest(), version),
        )
        if same is not None:
            await connection.execute("delete from datasets where version = $1", version)
            return int(same)
        await connection.execute(
            "update datasets set sha256 = $2, size_bytes = $3 where version = $1", version, digest.digest(), size
        )
        await _forget_old(connection, kind)
        details = {"kind": kind, "rows": rows, "sha256": digest.hexdigest(), "note": note, "source": source}
        await audit.note(connection, who, "dataset.put", str(version), details)
        await _changed(connection)
        return int(version)


async def content(pool: Pool, version: int) -> AsyncIterator[bytes]:
    """The content in pieces of a MiB; nothing at all when it is not kept. Raises StoreAwayError."""
    number = 0
    while True:
        data = await pool.fetchval(
            "select data from dataset_chunks where version = $1 and number = $2", version, number
        )
        if data is None:
            return
        yield await asyncio.to_thread(zlib.decompress, data)
        number += 1


async def activate(pool: Pool, version: int, *, who: str) -> Dataset | None:
    """Make a version the one of its kind that is in use; None when there is none such, or its content is not kept.

    Again for the active version changes nothing. Raises StoreAwayError.
    """
    async with pool.transaction() as connection:
        return await _activate(connection, version, who, "dataset.activate")


async def rollback(pool: Pool, kind: str, version: int | None = None, *, who: str) -> Dataset | None:
    """Return to a version of the kind, or to the one that was active before; None when there is none such.

    Raises StoreAwayError.
    """
    async with pool.transaction() as connection:
        await _one_at_a_time(connection)
        found = await connection.fetchval(
            "select version from datasets where kind = $1 and activated_at is not null and ($2::bigint is null and"
            " version not in (select version from dataset_active) or version = $2)"
            " order by activated_at desc limit 1",
            *(kind, version),
        )
        return None if found is None else await _activate(connection, found, who, "dataset.rollback")


async def deactivate(pool: Pool, kind: str, *, who: str) -> bool:
    """Use no version of a kind any more; False when none was in use. Raises StoreAwayError."""
    async with pool.transaction() as connection:
        await _one_at_a_time(connection)
        before = await connection.fetchval("delete from dataset_active where kind = $1 returning version", kind)
        if before is not None:
            await audit.note(connection, who, "dataset.deactivate", str(before), {"kind": kind})
            await _changed(connection)
        return before is not None


async def standing(pool: Pool) -> Standing:
    """What is to be mirrored. Raises StoreAwayError."""
    async with pool.transaction() as connection:
        await connection.execute("set transaction isolation level repeatable read")
        at = await connection.fetchval("select (extract(epoch from at) * 1000000)::bigint from dataset_changes")
        rows = await connection.fetch(
            "select kind, version, sha256, rows, a.version is not null as active from datasets d"
            " left join dataset_active a using (kind, version) where a.version is not null or"
            " version = (select max(version) from datasets n join dataset_chunks using (version)"
            " where n.kind = d.kind and number = 0) order by kind, version"
        )
        return Standing(at, tuple(Entry(r["kind"], r["version"], r["sha256"], r["rows"], r["active"]) for r in rows))


async def row(pool: Pool, version: int) -> Dataset | None:
    """One version. Raises StoreAwayError."""
    found = await pool.fetchrow(_ROW + " where d.version = $1", version)
    return None if found is None else _as_dataset(found)


async def active(pool: Pool, kind: str) -> Dataset | None:
    """The version of a kind that is in use. Raises StoreAwayError."""
    found = await pool.fetchrow(_ROW + " where a.kind = $1", kind)
    return None if found is None else _as_dataset(found)


async def history(pool: Pool, kind: str | None = None, limit: int = 50) -> list[Dataset]:
    """Versions of one kind or of all, the newest first. Raises StoreAwayError."""
    sql = _ROW + " where $1::text is null or d.kind = $1 order by d.version desc limit $2"
    return [_as_dataset(found) for found in await pool.fetch(sql, kind, limit)]


def _even(content: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of `CHUNK_BYTES`, the last one shorter."""
    held = bytearray()
    for piece in content:
        held += piece
        while len(held) >= CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)


async def _one_at_a_time(connection: asyncpg.Connection) -> None:
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)


async def _changed(connection: asyncpg.Connection) -> None:
    # A clock that was set back must not make this change older than the last one: mirrors only go forward.
    await connection.execute(
        "update dataset_changes set at = greatest(clock_timestamp(), at + interval '1 microsecond')"
    )


async def _forget_old(connection: asyncpg.Connection, kind: str) -> None:
    await connection.execute(
        "delete from dataset_chunks where version in (select version from datasets where kind = $1"
        " and version not in (select version from dataset_active) order by version desc offset $2)",
        *(kind, KEPT),
    )


async def _activate(connection: asyncpg.Connection, version: int, who: str, what: str) -> Dataset | None:
    await _one_at_a_time(connection)
    found = await connection.fetchrow(_ROW + " where d.version = $1", version)
    if found is None or not found["kept"]:
        return None
    kind = found["kind"]
    before = await connection.fetchval("select version from dataset_active where kind = $1", kind)
    if before != version:
        await connection.execute(
            "insert into dataset_active (kind, version) values ($1, $2) on conflict (kind) do update set version = $2",
            *(kind, version),
        )
        await connection.execute(
            "update datasets set activated_at = clock_timestamp(), activated_by = $2 where version = $1", version, who
        )
        await audit.note(connection, who, what, str(version), {"kind": kind, "before": before})
        await _changed(connection)
    return _as_dataset(await connection.fetchrow(_ROW + " where d.version = $1", version))


def _as_dataset(found: asyncpg.Record) -> Dataset:
    return Dataset(
        version=found["version"],
        kind=found["kind"],
        active=found["active"],
        rows=found["rows"],
        size_bytes=found["size_bytes"],
        sha256=found["hex"],
        note=found["note"],
        source=found["source"],
        created_ms=found["created_at"],
        created_by=found["created_by"],
        activated_ms=found["activated_at"],
        activated_by=found["activated_by"],
        kept=found["kept"],
    )
