"""Callbacks as the rest of the gateway sees them: events go into the outbox, and what became of them is looked up.

Events go in with the change they tell of, in the same transaction: those of one target together, up to 500 a row. The
notifiers that serve them are told when it is committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from gateway.callbacks.audience import Target
from gateway.callbacks.backoff import GIVE_UP_MS
from gateway.callbacks.event import MAX_BUNDLE, Event, pack
from gateway.ledger.rows import CallbackDue
from gateway.store.pool import Pool

CHANNEL = "sluice_callbacks"
"""Where PostgreSQL tells of new events; the payload is their slots."""

_COLUMNS = ("at", "slot", "count", "client", "endpoint", "target", "events")


async def add(connection: asyncpg.Connection, dues: Sequence[CallbackDue]) -> None:
    """Keep events until a notifier has tried each. Costs nothing when there are none."""
    if not dues:
        return
    by_target: defaultdict[Target, list[Event]] = defaultdict(list)
    for target, event in dues:
        by_target[target].append(event)
    await connection.copy_records_to_table("callback_batches", columns=_COLUMNS, records=list(_records(by_target)))
    await _notify(connection, {target.slot for target in by_target})


async def _notify(connection: asyncpg.Connection, slots: Collection[int]) -> None:
    if slots:
        await connection.execute(f"notify {CHANNEL}, '{','.join(map(str, sorted(slots)))}'")


def _records(by_target: dict[Target, list[Event]]) -> Iterator[tuple[object, ...]]:
    for target, events in by_target.items():
        slot, name, client, endpoint = target
        for n in range(0, len(events), MAX_BUNDLE):
            some = events[n : n + MAX_BUNDLE]
            yield some[0].at_ms, slot, len(some), client, endpoint, name, pack(some)


class CallbackRow(msgspec.Struct, frozen=True):
    """An event at one of its targets. Times in ms; `done_ms` None: it waits for another try."""

    message_id: bytes
    seq: int
    endpoint: str
    client: str
    url: str
    state: str
    outcome: str
    tries: int
    status: int
    error: str
    at_ms: int
    next_try_ms: int
    done_ms: int | None


_ROW = "message_id, seq, endpoint, client, url, state, outcome, tries, status, error, at, next_try_at, done_at"
_STATES: Final = {
    "waiting": "done_at is null",
    "failed": "outcome = 'failed'",
    "delivered": "done_at is not null and outcome <> 'failed'",
}


class _Conditions:
    """Conditions and their values, in step."""

    def __init__(self, client: str) -> None:
        self.values: list[Any] = [client]
        self.texts = ["client = $1"]

    def add(self, text: str, value: Any) -> None:
        """Add one, unless the value is None."""
        if value is not None:
            self.values.append(value)
            self.texts.append(text.format(f"${len(self.values)}"))

    def __str__(self) -> str:
        return " and ".join(self.texts)


async def search(
    pool: Pool,
    client: str,
    *,
    state: str | None = None,
    endpoint: str | None = None,
    message_id: bytes | None = None,
    seq: int | None = None,
    since_ms: int | None = None,
    cursor: bytes | None = None,
    limit: int = 50,
) -> tuple[list[CallbackRow], int]:
    """Those that were tried, of the newest messages first: about `limit`, but all of the last message. And how many
    of the client's events nobody tried yet."""
    where = _Conditions(client)
    if state is not None:
        where.texts.append(_STATES[state])
    where.add("endpoint = {}", endpoint)
    where.add("message_id = {}", message_id)
    where.add("seq = {}", seq)
    where.add("at >= {}", since_ms)
    where.add("message_id < {}", cursor)
    async with pool.connection() as connection:
        rows = await connection.fetch(
            f"select {_ROW} from callbacks where {where} order by message_id desc"
            f" fetch first {int(limit)} rows with ties",
            *where.values,
        )
        untried = await connection.fetchval(
            "select coalesce(sum(count), 0)::bigint from callback_batches where client = $1", client
        )
    found = [CallbackRow(*row) for row in rows]
    return sorted(found, key=lambda row: (row.message_id, row.seq), reverse=True), untried


async def retry(
    pool: Pool,
    client: str,
    now_ms: int,
    *,
    message_id: bytes | None = None,
    seq: int | None = None,
    endpoint: str | None = None,
    since_ms: int | None = None,
) -> int:
    """Send again what is over, for three days from now if need be; how many. Of one message also what was delivered,
    else only what failed."""
    where = _Conditions(client)
    where.texts.append("done_at is not null")
    if message_id is None:
        where.texts.append("outcome = 'failed'")
    where.add("message_id = {}", message_id)
    where.add("seq = {}", seq)
    where.add("endpoint = {}", endpoint)
    where.add("done_at >= {}", since_ms)
    where.values += [now_ms, now_ms + GIVE_UP_MS]
    now, until = f"${len(where.values) - 1}", f"${len(where.values)}"
    async with pool.transaction() as connection:
        slots = await connection.fetch(
            f"with sent as (update callbacks set done_at = null, outcome = '', tries = 0, next_try_at = {now},"
            f" give_up_at = {until} where {where} returning slot) select slot, count(*) from sent group by slot",
            *where.values,
        )
        await _notify(connection, {slot for slot, _ in slots})
    return sum(count for _, count in slots)
