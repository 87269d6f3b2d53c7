"""Rows of the stop lists: added, removed, listed, each change with its audit row in one transaction.

In: E.164 numbers. Out: rows, and the packed buckets that every process keeps. Never: a number in an audit row. Imports,
which have versions, are stop_versions'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeVar

import asyncpg
import msgspec

from gateway.stops.classes import classes_of
from gateway.stops.index import BUCKETS, Group, bounds_of, pack_bucket
from gateway.store import audit
from gateway.store.pool import Pool
from gateway.store.recipients import recipient_hash

T = TypeVar("T")

Source = Literal["operator", "client", "import", "inbound"]

_LOCK: Final = 7_517_014  # advisory lock: one publisher at a time, so that buckets keep the order of commits
_NAMED: Final = 20  # hashes that an audit row holds at the most
_COLUMNS: Final = "id, at, class_mask, client, source, recipient, who, reason"
_MERGE: Final = """insert into stops (recipient_hash, recipient, client, class_mask, source, who, reason)
    {rows}
    on conflict (recipient_hash, client, source) do update
        set class_mask = stops.class_mask | excluded.class_mask, recipient = excluded.recipient, at = now(),
            who = excluded.who, reason = excluded.reason
        where stops.class_mask | excluded.class_mask <> stops.class_mask
            or (excluded.reason <> '' and excluded.reason <> stops.reason)
    returning xmax = 0 as fresh"""


class StopRow(msgspec.Struct, frozen=True, gc=False):
    """An entry. `client` is empty for a list that holds for everybody; `recipient` may have been erased."""

    id: int
    at_ms: int
    mask: int
    client: str
    source: str
    recipient: str
    who: str
    reason: str


class Listed(msgspec.Struct, frozen=True):
    """What becomes of numbers that are put on a list."""

    client: str
    mask: int
    source: Source
    who: str
    reason: str = ""


class Added(msgspec.Struct, frozen=True):
    """`fresh` were not on the list; `changed` stop more now, or for another reason; the others were there."""

    fresh: int
    changed: int


async def add(pool: Pool, numbers: Sequence[str], listed: Listed) -> Added:
    """Put numbers on a list. Publishing makes it known. Raises StoreAwayError."""
    key = await pool.recipient_key()
    async with pool.transaction() as connection:
        return await add_within(connection, key, numbers, listed)


async def add_within(connection: asyncpg.Connection, key: bytes, numbers: Iterable[str], listed: Listed) -> Added:
    """The same in the caller's transaction."""
    pairs = sorted({recipient_hash(key, number): number for number in numbers}.items())
    rows = "select u.*, $3, $4, $5, $6, $7 from unnest($1::bigint[], $2::text[]) u"
    found = await connection.fetch(
        _MERGE.format(rows=rows), [p[0] for p in pairs], [p[1] for p in pairs],
        listed.client, listed.mask, listed.source, listed.who, listed.reason,
    )  # fmt: skip
    made = _added(found)
    if found:
        hashes = [number_hash for number_hash, _ in pairs]
        await _note(connection, "stoplist.add", listed, hashes, {"fresh": made.fresh, "changed": made.changed})
    return made


async def remove(
    pool: Pool, numbers: Sequence[str], client: str, *, who: str, mask: int = 15, sources: Sequence[Source] = ()
) -> int:
    """Take numbers off a list, or only some classes of them; how many numbers that changed. `sources`: only what these
    put there; none: all. Publishing makes it known."""
    key = await pool.recipient_key()
    async with pool.transaction() as connection:
        return await remove_within(connection, key, numbers, client, who=who, mask=mask, sources=sources)


async def remove_within(
    connection: asyncpg.Connection,
    key: bytes,
    numbers: Iterable[str],
    client: str,
    *,
    who: str,
    mask: int = 15,
    sources: Sequence[Source] = (),
) -> int:
    """The same in the caller's transaction."""
    hashes = sorted({recipient_hash(key, number) for number in numbers})
    where = (
        "recipient_hash = any($1::bigint[]) and client = $2 and (cardinality($4::text[]) = 0 or source = any($4))"
        " and class_mask & $3::smallint <> 0"
    )
    gone = await connection.fetch(
        f"delete from stops where {where} and class_mask & ~$3::smallint = 0 returning recipient_hash",
        hashes, client, mask, list(sources),
    )  # fmt: skip
    less = await connection.fetch(
        f"update stops set class_mask = class_mask & ~$3::smallint where {where} returning recipient_hash",
        hashes, client, mask, list(sources),
    )  # fmt: skip
    if not sources or "import" in sources:  # no return to an earlier import brings it back
        await connection.execute(
            "with gone as (delete from stop_past where client = $2 and recipient_hash = any($1::bigint[])"
            " and class_mask & ~$3::smallint = 0) update stop_past set class_mask = class_mask & ~$3::smallint"
            " where client = $2 and recipient_hash = any($1::bigint[]) and class_mask & ~$3::smallint <> 0",
            hashes, client, mask,
        )  # fmt: skip
    changed = {row["recipient_hash"] for row in (*gone, *less)}
    if changed:
        details = {"client": client, "classes": classes_of(mask), "put_there_by": list(sources) or "anybody"}
        await audit.note(connection, who, "stoplist.remove", client or "everybody", details | _named(sorted(changed)))
    return len(changed)


async def count_of(pool: Pool, numbers: Sequence[str], client: str, mask: int = 15) -> int:
    """Entries of these numbers on a list that stop any of these classes."""
    key = await pool.recipient_key()
    found: int = await pool.fetchval(
        "select count(*) from stops where recipient_hash = any($1::bigint[]) and client = $2"
        " and class_mask & $3::smallint <> 0",
        [recipient_hash(key, number) for number in numbers], client, mask,
    )  # fmt: skip
    return found


async def of_number(pool: Pool, number: str) -> list[StopRow]:
    """Every entry of a number, everybody's lists first."""
    number_hash = recipient_hash(await pool.recipient_key(), number)
    rows = await pool.fetch(
        f"select {_COLUMNS} from stops where recipient_hash = $1 order by client, source", number_hash
    )
    return list(map(_row, rows))


async def page(pool: Pool, client: str | None, limit: int, before: int = 0) -> list[StopRow]:
    """Entries of one list, or of all (None), newest first; `before`: the last id of the page before."""
    rows = await pool.fetch(
        f"select {_COLUMNS} from stops where ($1::text is null or client = $1) and ($2::bigint = 0 or id < $2)"
        " order by id desc limit $3",
        client, before, limit,
    )  # fmt: skip
    return list(map(_row, rows))


async def note_export(pool: Pool, client: str | None, *, who: str) -> None:
    """Somebody reads the numbers of one list, or of all, in full."""
    async with pool.transaction() as connection:
        await audit.note(connection, who, "stoplist.export", client or "everybody", {"client": client})


# What is published -------------------------------------------------------------------------------------------------


async def is_behind(pool: Pool) -> bool:
    """Whether a change waits to be published."""
    return bool(await pool.fetchval("select exists (select from stop_changes)"))


async def take_changed(connection: asyncpg.Connection) -> set[int]:
    """Buckets that changed since they were published. The caller publishes them before this transaction ends; other
    publishers wait until then."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
    rows = await connection.fetch(
        "with taken as (delete from stop_changes returning bucket) select distinct bucket from taken"
    )
    return {row["bucket"] for row in rows}


async def versions(connection: asyncpg.Connection) -> list[int]:
    """The version of every bucket's last publication; 0: never published."""
    found = [0] * BUCKETS
    for row in await connection.fetch("select bucket, version from stop_buckets"):
        found[row["bucket"]] = row["version"]
    return found


async def keep_version(connection: asyncpg.Connection, buckets: Iterable[int], version: int) -> None:
    """These are published as of this version."""
    await connection.execute(
        "insert into stop_buckets select unnest($1::smallint[]), $2"
        " on conflict (bucket) do update set version = excluded.version",
        sorted(buckets), version,
    )  # fmt: skip


async def packed(connection: asyncpg.Connection, buckets: Sequence[int]) -> dict[int, bytes]:
    """Buckets as processes keep them. PostgreSQL puts the hashes together: a million cost us nothing each."""
    bounds = [bounds_of(bucket) for bucket in buckets]
    rows = await connection.fetch(
        "select r.bucket, s.client, s.mask, s.hashes from unnest($1::int[], $2::bigint[], $3::bigint[])"
        " as r(bucket, low, high) cross join lateral ("
        "   select client, mask, string_agg(int8send(recipient_hash), ''::bytea order by recipient_hash) as hashes"
        "   from (select recipient_hash, client, bit_or(class_mask) as mask from stops"
        "         where recipient_hash between r.low and r.high group by recipient_hash, client) e"
        "   group by client, mask) s",
        list(buckets), [low for low, _ in bounds], [high for _, high in bounds],
    )  # fmt: skip
    groups: dict[int, list[Group]] = {bucket: [] for bucket in buckets}
    for row in rows:
        groups[row["bucket"]].append((row["client"], row["mask"], row["hashes"]))
    return {bucket: pack_bucket(found) for bucket, found in groups.items()}


def _added(rows: Sequence[asyncpg.Record]) -> Added:
    fresh = sum(row["fresh"] for row in rows)
    return Added(fresh, len(rows) - fresh)


async def _note(
    connection: asyncpg.Connection, what: str, listed: Listed, hashes: Sequence[int], more: dict[str, Any]
) -> None:
    details = {
        "client": listed.client,
        "classes": classes_of(listed.mask),
        "source": listed.source,
        "reason": listed.reason,
        **more,
    }
    await audit.note(connection, listed.who, what, listed.client or "everybody", details | _named(hashes))


def _named(hashes: Sequence[int]) -> dict[str, Any]:
    """Which numbers, without the numbers; as text, because JSON's readers lose digits of whole numbers as large."""
    return {"numbers": len(hashes), "recipient_hashes": [str(one) for one in hashes[:_NAMED]]} if hashes else {}


def _row(r: Any) -> StopRow:
    return StopRow(r["id"], r["at"], r["class_mask"], r["client"], r["source"], r["recipient"], r["who"], r["reason"])
