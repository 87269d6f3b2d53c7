"""Versions of what is imported into the stop lists: made by an import, compared, returned to.

In: E.164 numbers, versions. Out: rows of `stops` whose source is `import`, each change with its audit row. Never: an
entry that came one by one, by the API or from a phone; those stand beside, whatever version is in use.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import msgspec

from gateway.stops.classes import classes_of
from gateway.store import audit, copy_format
from gateway.store.pool import Pool
from gateway.store.recipients import recipient_hash
from gateway.store.stops import Listed

KEPT: Final = 30
"""Newest versions of a list that one can return to; of older ones only the row stays."""

_LOCK: Final = 7_517_015  # advisory lock: versions are made one after the other

_GROWS: Final = (
    "(s.class_mask | $2::smallint <> s.class_mask or ($3::text <> '' and $3 <> s.reason))",
    "(s.class_mask <> $2::smallint or ($3::text <> '' and $3 <> s.reason))",
)
"""Whether an import changes an entry that is there; where it replaces the list, whether it differs."""

_MASK: Final = ("s.class_mask | excluded.class_mask", "excluded.class_mask")

_KEEP: Final = (
    "insert into stop_past (client, recipient_hash, class_mask, at, recipient, who, reason, since, until)"
    " select client, recipient_hash, class_mask, at, s.recipient, who, reason, since_version, "
)
_COLUMNS: Final = "recipient_hash, recipient, client, class_mask, source, at, who, reason, since_version"

_SET: Final = (
    "select recipient_hash, recipient, class_mask, since_version as since, null::bigint as until"
    " from stops where client = $1 and source = 'import'"
    " union all select recipient_hash, recipient, class_mask, since, until from stop_past where client = $1"
)
_ROW: Final = (
    "select v.*, v.version = max(v.version) over w as current, row_number() over (w order by v.version desc) <= $1"
    " as kept from stop_versions v window w as (partition by v.client)"
)


class StopVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version as operators see it. `how`: import, replace or rollback, which is `back_to` another version."""

    version: int
    client: str
    how: str
    back_to: int | None
    mask: int
    note: str
    source: str
    numbers: int
    added: int
    changed: int
    removed: int
    created_ms: int
    created_by: str
    current: bool
    kept: bool
    """Whether one can return to it: of the newest 30 of a list one can."""


class Imported(msgspec.Struct, frozen=True):
    """`fresh` were not on the list; `changed` stop something else now, or for another reason; `removed` were taken off.
    `version` None: nothing changed, and none was made."""

    version: int | None
    fresh: int
    changed: int
    removed: int = 0


class Differs(msgspec.Struct, frozen=True, gc=False):
    """A number of which two versions do not stop the same; 0: nothing. `recipient` may have been erased."""

    recipient: str
    before: int
    after: int


class Difference(msgspec.Struct, frozen=True):
    """From one version of a list to another; `some` of the numbers."""

    client: str
    before: int
    after: int
    added: int
    changed: int
    removed: int
    some: Sequence[Differs]


class Import:
    """Numbers on their way into a list: `put` them in slices, then `merge` once. All of it counts, or nothing."""

    def __init__(self, connection: asyncpg.Connection, key: bytes, listed: Listed, source: str, whole: bool) -> None:
        self._connection, self._key, self._listed = connection, key, listed
        self._source, self._whole = source, whole
        self._row = copy_format.packs("hiqi{0}s")
        self.count = 0
        """Numbers so far; one that comes twice counts twice."""

    async def put(self, numbers: Sequence[str]) -> None:
        """Some more."""
        key, rows = self._key, []
        for number in numbers:
            text = number.encode()
            rows.append(self._row[(len(text),)](2, 8, recipient_hash(key, number), len(text), text))
        self.count += len(rows)
        await copy_format.copy(self._connection, "stops_import", ("recipient_hash", "recipient"), [b"".join(rows)])

    async def merge(self) -> Imported:
        """Into the list; a number that came twice counts once."""
        c, listed = self._connection, self._listed
        await c.execute(
            "create temporary table stops_wanted on commit drop as select distinct on (recipient_hash) recipient_hash,"
            " recipient from stops_import order by recipient_hash;"
            " create unique index on stops_wanted (recipient_hash); analyze stops_wanted",
            timeout=None,
        )
        how = "replace" if self._whole else "import"
        version = await _begin(c, listed.client, how, None, listed, self._source)
        gone = await self._make_way(version)
        counts = await self._write(version)
        made = Imported(version, counts.get(True, 0), counts.get(False, 0), gone)
        if not (made.fresh or made.changed or made.removed):
            await c.execute("delete from stop_versions where version = $1", version)
            return Imported(None, 0, 0)
        await _end(c, listed.client, version, made)
        details = {"classes": classes_of(listed.mask), "source": "import", "reason": listed.reason}
        await _note(c, listed.who, f"stoplist.{how}", listed.client, version, made, details)
        return made

    async def _make_way(self, version: int) -> int:
        """Keep what will be written over, and take off what a whole list has no more; how many numbers those are."""
        c, listed = self._connection, self._listed
        await c.execute(
            f"{_KEEP} $4::bigint from stops s join stops_wanted using (recipient_hash)"
            f" where client = $1 and source = 'import' and {_GROWS[self._whole]} for update of s",
            *(listed.client, listed.mask, listed.reason, version),
            timeout=None,
        )
        if not self._whole:
            return 0
        done = await c.execute(
            "with gone as (delete from stops s where client = $1 and source = 'import' and not exists"
            " (select from stops_wanted w where w.recipient_hash = s.recipient_hash) returning *)"
            f" {_KEEP} $2::bigint from gone s",
            *(listed.client, version),
            timeout=None,
        )
        return _count_of(done)

    async def _write(self, version: int) -> dict[bool, int]:
        listed = self._listed
        found = await self._connection.fetch(
            "with merged as ("
            f" insert into stops as s ({_COLUMNS})"
            " select recipient_hash, recipient, $1, $2::smallint, 'import', now(), $4, $3, $5::bigint from stops_wanted"
            " on conflict (recipient_hash, client, source) do update"
            f" set class_mask = {_MASK[self._whole]}, recipient = excluded.recipient, at = now(), who = excluded.who,"
            f" reason = excluded.reason, since_version = excluded.since_version where {_GROWS[self._whole]}"
            " returning xmax = 0 as fresh) select fresh, count(*) from merged group by fresh",
            *(listed.client, listed.mask, listed.reason, listed.who, version),
            timeout=None,
        )
        return {row["fresh"]: row["count"] for row in found}


@asynccontextmanager
async def importing(pool: Pool, listed: Listed, source: str = "", *, whole: bool = False) -> AsyncIterator[Import]:
    """An import in a transaction of its own: committed at the end. `source`: the name of the file; `whole`: it is all
    that is to be imported, so what earlier imports put there and it lacks comes off. Raises StoreAwayError."""
    key = await pool.recipient_key()
    async with pool.transaction() as connection:
        await connection.execute(
            "create temporary table stops_import (recipient_hash bigint, recipient text) on commit drop"
        )
        yield Import(connection, key, listed, source, whole)


async def rollback(pool: Pool, client: str, version: int | None = None, *, who: str) -> StopVersion | None:
    """Make a version whose numbers are those of an earlier one of the list: of the one before the newest, if none is
    given; 0: of what was there before the first. None when one cannot return there. Numbers that were taken off by
    themselves since stay off. Publishing makes it known. Raises StoreAwayError."""
    async with pool.transaction() as c:
        await _one_at_a_time(c)
        known = await _known(c, client)
        target = version if version is not None else known[1] if len(known) > 1 else None
        if target is None or target not in known:
            return None
        made = await _return(c, client, target, who)
        return (await _rows(c, "where version = $2", made or known[0]))[0]


async def _return(c: asyncpg.Connection, client: str, target: int, who: str) -> int | None:
    """The version that was made; None when nothing had changed since."""
    version = await _begin(c, client, "rollback", target, Listed(client, 0, "import", who))
    gone = _count_of(
        await c.execute(
            "with gone as (delete from stops where client = $1 and source = 'import' and since_version > $2"
            f" returning *) {_KEEP} $3::bigint from gone s",
            *(client, target, version),
            timeout=None,
        )
    )
    back = _count_of(
        await c.execute(
            f"insert into stops ({_COLUMNS}) select recipient_hash, recipient, client, class_mask, 'import', at, who,"
            " reason, $3::bigint from stop_past where client = $1 and since <= $2 and until > $2"
            " on conflict (recipient_hash, client, source) do update"
            " set class_mask = excluded.class_mask, reason = excluded.reason, since_version = excluded.since_version",
            *(client, target, version),
            timeout=None,
        )
    )
    if not (gone or back):
        await c.execute("delete from stop_versions where version = $1", version)
        return None
    both = await c.fetchval(
        "select count(*) from stops join stop_past using (client, recipient_hash) where client = $1"
        " and source = 'import' and since_version = $2 and until = $2",
        *(client, version),
        timeout=None,
    )
    made = Imported(version, back - both, both, gone - both)
    await _end(c, client, version, made)
    await _note(c, who, "stoplist.rollback", client, version, made, {"back_to": target})
    return version


async def difference(pool: Pool, client: str, before: int, after: int, some: int) -> Difference:
    """From one version of a list to another, with some of the numbers; 0: what was there before the first. Which
    versions there are is `history`'s to say. Raises StoreAwayError."""
    differs = (
        f"with rows as ({_SET}),"
        " a as (select * from rows where since <= $2 and coalesce(until > $2, true)"
        " and not (since <= $3 and coalesce(until > $3, true))),"
        " b as (select * from rows where since <= $3 and coalesce(until > $3, true)"
        " and not (since <= $2 and coalesce(until > $2, true))),"
        " d as (select recipient_hash, coalesce(b.recipient, a.recipient) as recipient,"
        " coalesce(a.class_mask, 0) as before, coalesce(b.class_mask, 0) as after from a full join b"
        " using (recipient_hash) where a.class_mask is distinct from b.class_mask)"
    )
    async with pool.transaction() as c:
        await c.execute("set transaction isolation level repeatable read")
        counts = await c.fetchrow(
            f"{differs} select count(*) filter (where before = 0) as added,"
            " count(*) filter (where before <> 0 and after <> 0) as changed,"
            " count(*) filter (where after = 0) as removed from d",
            *(client, before, after),
            timeout=None,
        )
        rows = await c.fetch(
            f"{differs} select recipient, before, after from d order by after = 0, before <> 0, recipient_hash"
            " limit $4",
            *(client, before, after, some),
            timeout=None,
        )
    shown = [Differs(r["recipient"], r["before"], r["after"]) for r in rows]
    return Difference(client, before, after, counts["added"], counts["changed"], counts["removed"], shown)


async def two(pool: Pool, client: str | None, before: int | None, after: int | None) -> tuple[str, int, int] | None:
    """A list and two of its versions, where some are not said: the newest, and the one before. None when there is no
    such version that one could return to. Raises StoreAwayError."""
    async with pool.connection() as c:
        named = await _rows(c, "where version = any($2::bigint[])", [v for v in (before, after) if v])
        whose = client if client is not None else named[0].client if named else ""
        known = await _known(c, whose)
    after = known[0] if after is None and known else after
    if before is None:
        before = next((v for v in known if after is not None and v < after), None)
    if before not in known or after not in known:
        return None
    assert before is not None and after is not None
    return whose, before, after


async def history(pool: Pool, client: str | None = None, limit: int = 50) -> list[StopVersion]:
    """Versions of one list or of all (None), the newest first. Raises StoreAwayError."""
    async with pool.connection() as c:
        return await _rows(c, "where $2::text is null or client = $2 order by version desc limit $3", client, limit)


async def row(pool: Pool, version: int) -> StopVersion | None:
    """One version. Raises StoreAwayError."""
    async with pool.connection() as c:
        return next(iter(await _rows(c, "where version = $2", version)), None)


async def _rows(c: asyncpg.Connection, which: str, *values: Any) -> list[StopVersion]:
    return [
        StopVersion(
            version=r["version"],
            client=r["client"],
            how=r["how"],
            back_to=r["back_to"],
            mask=r["class_mask"],
            note=r["note"],
            source=r["source"],
            numbers=r["numbers"],
            added=r["added"],
            changed=r["changed"],
            removed=r["removed"],
            created_ms=r["created_at"],
            created_by=r["created_by"],
            current=r["current"],
            kept=r["kept"],
        )
        for r in await c.fetch(f"select * from ({_ROW}) v {which}", KEPT, *values)
    ]


async def _known(c: asyncpg.Connection, client: str) -> list[int]:
    """Versions of a list that one can return to, the newest first; 0: what was there before the first."""
    kept = [v.version for v in await _rows(c, "where client = $2 and kept order by version desc", client)]
    return [*kept, 0] if 0 < len(kept) < KEPT else kept


async def _one_at_a_time(c: asyncpg.Connection) -> None:
    await c.execute("select pg_advisory_xact_lock($1)", _LOCK, timeout=None)


async def _begin(
    c: asyncpg.Connection, client: str, how: str, back_to: int | None, listed: Listed, source: str = ""
) -> int:
    await _one_at_a_time(c)
    version: int = await c.fetchval(
        "insert into stop_versions (client, how, back_to, class_mask, note, source, created_by)"
        " values ($1, $2, $3, $4, $5, $6, $7) returning version",
        *(client, how, back_to, listed.mask, listed.reason, source, listed.who),
    )
    return version


async def _end(c: asyncpg.Connection, client: str, version: int, made: Imported) -> None:
    """Write down what it came to, and forget what only versions need that are too old to return to."""
    await c.execute(
        "update stop_versions set added = $2, changed = $3, removed = $4,"
        " numbers = (select count(*) from stops where client = $5 and source = 'import') where version = $1",
        *(version, made.fresh, made.changed, made.removed, client),
        timeout=None,
    )
    await c.execute(
        "delete from stop_past where client = $1 and until <= (select version from stop_versions where client = $1"
        " order by version desc offset $2 limit 1)",
        *(client, KEPT - 1),
        timeout=None,
    )


async def _note(
    c: asyncpg.Connection, who: str, what: str, client: str, version: int, made: Imported, more: dict[str, Any]
) -> None:
    counts = {"version": version, "fresh": made.fresh, "changed": made.changed, "removed": made.removed}
    await audit.note(c, who, what, client or "everybody", {"client": client, **more, **counts})


def _count_of(done: str) -> int:
    """PostgreSQL's word on what a statement did ends with how many rows."""
    return int(done.rpartition(" ")[2])
