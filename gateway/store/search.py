"""Messages of a client by number, ref, state, tag and time, newest first.

In: filters, from where on. Out: rows of messages. However many days there are, a look by number or ref takes as long as
its index probes (see `reach`). Never: a write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from gateway.message import id_time_ms, make_id
from gateway.store import reach
from gateway.store.days import DAY_MS, day_of
from gateway.store.messages import COLUMNS, Found, found_of
from gateway.store.pool import Pool
from gateway.store.recipients import recipient_hash


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages are meant; None: any. `to` is E.164."""

    client: str | None = None
    ref: str | None = None
    to: str | None = None
    state: str | None = None
    tag: str | None = None
    since_ms: int | None = None


class _Conditions:
    """Conditions of a statement and their values, in step."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.texts: list[str] = []

    def add(self, text: str, value: Any) -> None:
        """Unless the value is None."""
        if value is not None:
            self.values.append(value)
            self.texts.append(text.format(f"${len(self.values)}"))

    def __str__(self) -> str:
        return " and ".join(self.texts) or "true"


async def find(
    pool: Pool,
    client: str | None,
    *,
    ref: str | None = None,
    to: str | None = None,
    state: str | None = None,
    tag: str | None = None,
    since_ms: int | None = None,
    cursor: bytes | None = None,
    limit: int = 50,
) -> list[Found]:
    """Newest first. `to` is E.164; `cursor` is the id of the last message of the page before."""
    given = Filters(client=client, ref=ref, to=to, state=state, tag=tag, since_ms=since_ms)
    number = recipient_hash(await pool.recipient_key(), to) if to is not None else None
    async with pool.connection() as connection:
        if ref is None and number is None:
            return await _along_days(connection, given, cursor, limit)
        return await _by_index(connection, given, number, cursor, limit)


async def _along_days(connection: asyncpg.Connection, given: Filters, cursor: bytes | None, limit: int) -> list[Found]:
    """Day after day, until there are enough."""
    found: list[Found] = []
    for span in reach.steps_back(id_time_ms(cursor) if cursor is not None else None):
        found += await _between(connection, given, None, cursor, span, limit - len(found))
        if len(found) >= limit or _over(span[0], given.since_ms):
            break
    return found


async def _by_index(
    connection: asyncpg.Connection, given: Filters, number: int | None, cursor: bytes | None, limit: int
) -> list[Found]:
    """Number or ref in the newest days, then in all that are older."""
    first = reach.newest(id_time_ms(cursor) if cursor is not None else None)
    found = await _between(connection, given, number, cursor, (first, None), limit)
    before = make_id(first * DAY_MS, bytes(10))
    while len(found) < limit and not _over(day_of(id_time_ms(before)), given.since_ms):
        ids = await _older(connection, given, number, before, limit)
        found += await _of_these(connection, given, number, ids, limit - len(found))
        if len(ids) < limit:
            break
        before = ids[-1]
    return found


_SEARCH = f"select {COLUMNS} from messages where {{}} order by id desc limit {{}}"


def _over(first_day: int | None, since_ms: int | None) -> bool:
    """Whether nothing that is older is asked for."""
    return first_day is None or (since_ms is not None and since_ms >= first_day * DAY_MS)


def _conditions(given: Filters, number: int | None) -> _Conditions:
    where = _Conditions()
    where.add("client = {}", given.client)
    where.add("ref <> '' and ref = {}", given.ref)
    where.add("recipient_hash = {}", number)
    where.add("state = {}", given.state)
    where.add("tag = {}", given.tag)
    where.add("id >= {}", None if given.since_ms is None else make_id(given.since_ms, bytes(10)))
    return where


async def _between(
    connection: asyncpg.Connection,
    given: Filters,
    number: int | None,
    cursor: bytes | None,
    days: tuple[int | None, int | None],
    limit: int,
) -> list[Found]:
    where, (first, last) = _conditions(given, number), days
    where.add("id < {}", cursor)
    where.texts += [f"id >= {reach.id_bound(first)}"] if first is not None else []
    where.texts += [f"id < {reach.id_bound(last + 1)}"] if last is not None else []
    rows = await connection.fetch(_SEARCH.format(where, limit), *where.values)
    return [found_of(row) for row in rows]


async def _older(
    connection: asyncpg.Connection, given: Filters, number: int | None, before: bytes, limit: int
) -> list[bytes]:
    """Ids by number or ref alone, so that few plans do for all that is asked."""
    where = _conditions(Filters(client=given.client, ref=given.ref) if number is None else Filters(), number)
    where.add("id < {}", before)
    where.add("id >= {}", make_id(given.since_ms or 0, bytes(10)))
    async with reach.kept_plans(connection):
        # `offset 0`: by the index of number or ref in each partition, never along all ids of it
        rows = await connection.fetch(
            f"select id from (select id from messages where {where}"
            f" and id < {reach.id_bound(reach.settled_before())} offset 0) m order by id desc limit {limit}",
            *where.values,
        )
    return [row["id"] for row in rows]


async def _of_these(
    connection: asyncpg.Connection, given: Filters, number: int | None, ids: Sequence[bytes], limit: int
) -> list[Found]:
    if not ids:
        return []
    where = _conditions(given, number)
    where.add("id = any({})", list(ids))
    rows = await connection.fetch(_SEARCH.format(where, limit), *where.values)
    return [found_of(row) for row in rows]
