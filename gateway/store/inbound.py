"""Subscribers' messages in PostgreSQL: pieces that wait, what became of them, and the list for applications.

In: pieces and their places. Out: rows with times in ms. `take` keeps other matchers out until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from gateway.store import reach
from gateway.store.days import DAY_MS, day_of, time_bounds
from gateway.store.pool import Pool

_LOCK: Final = 7_517_013  # advisory lock: who puts pieces together
_BACK_DAYS: Final = 3
_REPLY_DAYS: Final = (3, 35)
_FAR_MS: Final = 253_402_300_000_000  # the year 9999
_PIECE: Final = """id, at, carrier, sender, recipient, text, raw, coalesce(segment_ref, -1), coalesce(segment_total, 0),
    coalesce(segment_number, 0), settled_at is not null, coalesce(head_id, case when settled_at is null
    then '00000000-0000-0000-0000-000000000000'::uuid else id end)"""


class Row(NamedTuple):
    """A piece of a subscriber's message. `head` is 16 zero bytes for one that waits."""

    id: bytes
    at_ms: int
    carrier: str
    sender: str
    recipient: str
    text: str
    raw: bytes
    reference: int
    total: int
    number: int
    settled: bool
    head: bytes


class Place(NamedTuple):
    """What became of a piece. `whole_text` is None for all but the head of several parts."""

    id: bytes
    at_ms: int
    role: str
    head_id: bytes | None = None
    whole_text: str | None = None
    missing: int = 0
    client: str = ""
    reply_to: bytes | None = None
    test: bool = False


class Last(NamedTuple):
    """The last message that went to a subscriber."""

    id: bytes
    client: str
    ref: str
    tag: str
    test: bool


class InboundRow(msgspec.Struct, frozen=True):
    """A message as its client sees it."""

    id: bytes
    at_ms: int
    carrier: str
    sender: str
    recipient: str
    text: str
    parts: int
    missing: int
    reply_to: bytes | None
    test: bool


async def take(connection: asyncpg.Connection, now_ms: int, limit: int, around_ms: int) -> list[Row]:
    """Pieces that are due, with all other pieces of their subscribers of the last `around_ms`; none when nothing is."""
    bounds = time_bounds("at", day_of(now_ms) - _BACK_DAYS, day_of(now_ms) + 1)
    due = f"from inbound where settled_at is null and look_at <= $1 and {bounds}"
    if not await connection.fetchval(f"select exists (select {due})", now_ms):
        return []
    await connection.execute(f"select pg_advisory_xact_lock({_LOCK})")
    senders = await connection.fetch(
        f"select distinct sender_hash from (select sender_hash {due} order by look_at, at limit $2) d", now_ms, limit
    )
    rows = await connection.fetch(
        f"select {_PIECE} from inbound where sender_hash = any($1::bigint[]) and {bounds}"
        " and (settled_at is null or at >= $2) and role <> 'damaged'",
        [row["sender_hash"] for row in senders], now_ms - around_ms,
    )  # fmt: skip
    return [Row(*row) for row in rows]


async def settle(connection: asyncpg.Connection, places: Sequence[Place], now_ms: int) -> None:
    """Write what became of pieces."""
    if not places:
        return
    days = [day_of(place.at_ms) for place in places]
    await connection.execute(
        "update inbound i set settled_at = $10, role = u.role, head_id = u.head_id, whole_text = u.whole_text,"
        " missing = u.missing, client = u.client, reply_to = u.reply_to, test = u.test"
        " from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::uuid[], $5::text[], $6::smallint[], $7::text[],"
        " $8::uuid[], $9::bool[]) as u(id, at, role, head_id, whole_text, missing, client, reply_to, test)"
        f" where i.id = u.id and i.at = u.at and {time_bounds('i.at', min(days), max(days))}",
        *map(list, zip(*places, strict=True)), now_ms,
    )  # fmt: skip


async def put_off(connection: asyncpg.Connection, waiting: Sequence[tuple[bytes, int, int]]) -> None:
    """Look again later: (id, at, when)."""
    if not waiting:
        return
    days = [day_of(at_ms) for _, at_ms, _ in waiting]
    await connection.execute(
        "update inbound i set look_at = u.until from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[])"
        " as u(id, at, until) where i.id = u.id and i.at = u.at and i.look_at <> u.until"
        f" and {time_bounds('i.at', min(days), max(days))}",
        *map(list, zip(*waiting, strict=True)),
    )


async def last_sent(
    connection: asyncpg.Connection, recipient_hash: int, ours: str, client: str, now_ms: int
) -> Last | None:
    """The last message that went to the subscriber, of that client where one is named: what was sent from the number
    that is answered comes before all else."""
    newest = day_of(now_ms) + 1
    for days in _REPLY_DAYS:
        row = await connection.fetchrow(
            "select id, client, ref, tag, test from messages where recipient_hash = $1 and submitted_at is not null"
            " and ($3 = '' or client = $3) and id >= id_floor($4) and id < id_floor($5)"
            " order by (ltrim(sender, '+') = ltrim($2, '+')) desc, id desc limit 1",
            recipient_hash, ours, client, (newest - days) * DAY_MS, newest * DAY_MS,
        )  # fmt: skip
        if row is not None:
            return Last(*row)
    return None


_SHOWN: Final = """id, at, carrier, sender, recipient, coalesce(whole_text, text),
    greatest(coalesce(segment_total, 1), 1) - missing, missing, reply_to, test"""


async def search(
    pool: Pool,
    client: str,
    *,
    sender_hash: int | None = None,
    recipient: str | None = None,
    since_ms: int | None = None,
    before: tuple[int, bytes] | None = None,
    limit: int = 50,
) -> list[InboundRow]:
    """The client's messages from subscribers, newest first, from behind `before` (at, id) on."""
    values: list[Any] = [client]
    texts = ["client = $1", "role = 'message'"]

    def add(text: str, *given: Any) -> None:
        values.extend(given)
        texts.append(text.format(*(f"${len(values) - len(given) + n + 1}" for n in range(len(given)))))

    if sender_hash is not None:
        add("sender_hash = {}", sender_hash)
    if recipient is not None:
        add("ltrim(recipient, '+') = ltrim({}, '+')", recipient)
    if since_ms is not None:
        add("at >= {}", since_ms)
    if before is not None:
        add("(at, id) < ({0}, {1}) and at <= {0}", *before)
    found: list[InboundRow] = []
    for first, last in reach.steps_back(before[0] if before is not None else None):
        bounds = [f"at >= {reach.time_bound(first)}"] if first is not None else []
        bounds += [f"at < {reach.time_bound(last + 1)}"] if last is not None else []
        rows = await pool.fetch(
            f"select {_SHOWN} from inbound where {' and '.join(texts + bounds)}"
            f" order by at desc, id desc limit {limit - len(found)}",
            *values,
        )
        found += [InboundRow(*row) for row in rows]
        if len(found) >= limit or (since_ms is not None and first is not None and since_ms >= first * DAY_MS):
            break
    return found


async def of_number(
    pool: Pool, client: str, sender_hash: int, *, since_ms: int = 0, before: tuple[int, bytes] | None, limit: int
) -> list[InboundRow]:
    """What one subscriber wrote to the client, as `search` gives it, however long ago: by index probes alone."""
    at_ms, below = before or (_FAR_MS, reach.NEWEST)
    first = reach.newest(at_ms)
    which = "client = $1 and role = 'message' and sender_hash = $2 and at >= $3"
    async with pool.connection() as connection:
        rows = await connection.fetch(
            f"select {_SHOWN} from inbound where {which} and (at, id) < ($4, $5) and at <= $4"
            f" and at >= {reach.time_bound(first)} order by at desc, id desc limit {int(limit)}",
            *(client, sender_hash, since_ms, at_ms, below),
        )
        if len(rows) < limit and since_ms < first * DAY_MS:
            async with reach.kept_plans(connection):
                older = await connection.fetch(
                    f"select id, at from (select id, at from inbound where {which} and at < $4"
                    f" and at < {reach.time_bound(reach.settled_before())} offset 0) i"
                    " order by at desc, id desc limit $5",
                    *(client, sender_hash, since_ms, min(at_ms, first * DAY_MS), limit - len(rows)),
                )
            if older:  # no day is left out of the plan for an empty list
                rows += await connection.fetch(
                    f"select {_SHOWN} from inbound where id = any($1) and at = any($2) order by at desc, id desc",
                    [row["id"] for row in older],
                    [row["at"] for row in older],
                )
    return [InboundRow(*row) for row in rows]
