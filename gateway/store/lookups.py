"""What a fold has to know before it begins: rows by id, and submissions by the carrier's id of a message.

Values are planned for as constants (Pool), so that only the partitions they lie in get into a plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import asyncpg

from gateway.ledger.fold import CarrierId
from gateway.ledger.rows import EVERY_PART, Matched, Row, cell_of, took
from gateway.message import id_time_ms
from gateway.store.days import DAY_MS, day_of, time_bounds

NEAR_DAYS = 3
FAR_DAYS = 35
_SKEW_MS = 3_600_000

_WAYS_THAT_GO_WRONG = ("bitmapscan", "hashjoin", "mergejoin", "material")

_ROW = """select id, rev, client, class, tag, callback_url, test, parts, coalesce(send_at, 'epoch'::timestamptz),
    deadline, sender, country, state, reason, attempt, carrier, operator, route, plan_version, price_micro, currency,
    cost_micro, units,
    accepted_mask, unsure_mask, delivered_mask, undeliverable_mask, earlier, coalesce(routed_at, 'epoch'::timestamptz),
    coalesce(submitted_at, 'epoch'::timestamptz), coalesce(final_at, 'epoch'::timestamptz), changed_at, seq,
    ref, meta
    from messages where id = any($1)"""


async def use_indexes(connection: asyncpg.Connection) -> None:
    """For this transaction: plans that cannot go wrong on a partition without statistics."""
    await connection.execute(";".join(f"set local enable_{way} = off" for way in _WAYS_THAT_GO_WRONG))


async def rows(connection: asyncpg.Connection, ids: Iterable[bytes], lock: bool = False) -> dict[bytes, Row]:
    """The rows of those ids that have one. `lock`: nobody else changes them before this transaction ends."""
    by_day: defaultdict[int, list[bytes]] = defaultdict(list)
    for message_id in ids:
        by_day[day_of(id_time_ms(message_id))].append(message_id)
    found = {}
    for _, wanted in sorted(by_day.items()):
        tail = " order by id for update" if lock else ""
        for record in await connection.fetch(_ROW + tail, wanted):
            row = Row(*record)
            if not row.test:
                row.bucket, row.booked_parts, row.booked_cost = cell_of(row), row.parts, row.cost_micro
                row.booked_took = took(row)
            found[row.id] = row
    return found


async def submissions(
    connection: asyncpg.Connection, keys: Collection[CarrierId], now_ms: int, days: int
) -> dict[CarrierId, Matched]:
    """The latest submission under each carrier's id: first among the newest, then up to `days` back."""
    newest = day_of(now_ms - _SKEW_MS)
    found = await _between(connection, keys, newest, day_of(now_ms + _SKEW_MS))
    back = newest - 1
    for reach in (NEAR_DAYS, FAR_DAYS):
        first = day_of(now_ms - reach * DAY_MS)
        missing = [key for key in keys if key not in found]
        if reach <= days and missing and first <= back:
            found |= await _between(connection, missing, first, back)
            back = first - 1
    return found


async def _between(
    connection: asyncpg.Connection, keys: Collection[CarrierId], first_day: int, last_day: int
) -> dict[CarrierId, Matched]:
    records = await connection.fetch(
        "select s.carrier, s.carrier_message_id, s.message_id, s.attempt, s.part, s.currency,"
        " case when s.billed_on_delivery then s.price_micro * case when s.part = 0 then s.parts else 1 end else 0 end"
        " from unnest($1::text[], $2::text[]) as k(carrier, id)"
        " join submissions s on s.carrier_message_id = k.id and s.carrier = k.carrier"
        f" where s.carrier_message_id <> '' and {time_bounds('s.sent_at', first_day, last_day)} order by s.sent_at",
        [carrier for carrier, _ in keys],
        [carrier_id for _, carrier_id in keys],
    )
    found: dict[CarrierId, Matched] = {}
    for carrier, name, message_id, attempt, part, currency, due_micro in records:
        other = found.get((carrier, name))
        if other and other[:2] == (message_id, attempt) and other[2] != part:
            part = EVERY_PART
        found[carrier, name] = (message_id, attempt, part, "id", due_micro, currency)
    return found
