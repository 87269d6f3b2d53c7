"""The outbox of callbacks, writing side: events go in with the change they tell of, in the same transaction.

Events of one target go together, up to 500 a row; the notifiers that serve them are told when it is committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import asyncpg

from gateway.callbacks.audience import Target
from gateway.callbacks.event import MAX_BUNDLE, Event, pack
from gateway.ledger.rows import CallbackDue

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
    slots = sorted({target.slot for target in by_target})
    await connection.execute(f"notify {CHANNEL}, '{','.join(map(str, slots))}'")


def _records(by_target: dict[Target, list[Event]]) -> Iterator[tuple[object, ...]]:
    for target, events in by_target.items():
        slot, name, client, endpoint = target
        for n in range(0, len(events), MAX_BUNDLE):
            some = events[n : n + MAX_BUNDLE]
            yield some[0].at_ms, slot, len(some), client, endpoint, name, pack(some)
