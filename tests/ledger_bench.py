"""Real servers under the recorder and the matcher: facts put into the stream, questions to PostgreSQL, waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from gateway.callbacks import event as event_module
from gateway.callbacks.event import Event
from gateway.config import Settings
from gateway.events import AnyFact, Received, Submitted, pack_facts
from gateway.ledger.slices import COLUMNS, VIEWS
from gateway.message import Message, id_tail, make_id, pack_message
from gateway.provider import Receipt
from gateway.receipts.matcher import run_matcher
from gateway.recorder.recorder import run_recorder
from gateway.store import slices
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams import facts
from gateway.streams.link import Redis, RedisAwayError

SETTINGS = Settings(lease_s=0.6)
DEADLINE_S = 20.0


async def open_bench(valkey_url: str, postgres_url: str) -> Bench:
    return Bench(await Redis.open(valkey_url, 1), await Pool.open(postgres_url))


class Bench:
    """Real servers, and verbs for a test."""

    def __init__(self, redis: Redis, pool: Pool) -> None:
        self.redis, self.pool, self.link = redis, pool, redis.link(0)
        self.tasks: list[asyncio.Task[None]] = []
        self.count = 0

    def start(self) -> asyncio.Task[None]:
        task = asyncio.create_task(run_recorder(SETTINGS, self.redis, self.pool, 0), name="recorder under test")
        self.tasks.append(task)
        return task

    def start_matcher(self) -> asyncio.Task[None]:
        task = asyncio.create_task(run_matcher(SETTINGS, self.redis, self.pool), name="matcher under test")
        self.tasks.append(task)
        return task

    async def stop(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def restart(self) -> None:
        await self.stop(self.tasks.pop(0))
        self.start()

    def message_id(self, at_ms: int = 0) -> bytes:
        self.count += 1
        return make_id((at_ms or self.redis.clock_ms()), id_tail(0))

    async def accept(self, *messages: tuple[bytes, Message]) -> bytes:
        pairs = [part for message_id, m in messages for part in (message_id, pack_message(m))]
        return await self.link.call("XADD", "{0}:events", "*", "r", self.link.run_id, "A", "", *pairs)

    async def tell(self, *told: AnyFact) -> bytes:
        return await facts.append(self.link, 0, pack_facts(told))

    async def value(self, sql: str, *values: Any) -> Any:
        return await self.pool.fetchval(sql, *values)

    async def events(self, message_id: bytes | None = None) -> list[Event]:
        """What waits in the outbox of callbacks, of one message or of all."""
        rows = await self.pool.fetch("select events from callback_batches order by id")
        found = [event for row in rows for event in event_module.unpack(row["events"])]
        return [event for event in found if message_id in (None, event.id)]

    async def close(self) -> None:
        for task in self.tasks:
            await self.stop(task)
        await self.redis.close()
        await self.pool.close()

    async def state(self, message_id: bytes) -> str | None:
        return await self.value("select state from messages where id = $1", message_id)

    async def until(self, holds: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(StoreAwayError, RedisAwayError):
                    if await holds():
                        return
                await asyncio.sleep(0.01)

    async def until_recorded(self) -> None:
        async def drained() -> bool:
            return await facts.depth(self.link) == 0

        await self.until(drained)


def message(n: int = 0, **given: Any) -> Message:
    fields = {"client": "shop", "klass": "marketing", "to": f"+7916{n:07d}", "sender": "Sluice", "text": "hello"}
    return Message(**(fields | {"encoding": "gsm7", "parts": 1, "validity_s": 3600} | given))


def submitted(message_id: bytes, carrier_id: str, **given: Any) -> Submitted:
    fields: dict[str, Any] = {
        "id": message_id, "attempt": 1, "part": 1, "parts": 1, "carrier": "alpha", "bind": "alpha-1", "kind": 0,
        "reason": "", "code": "", "carrier_message_id": carrier_id, "operator": "mts", "price_micro": 2_500_000,
        "currency": "RUB", "plan_version": 3, "route": "default", "routed_ms": 1, "sent_ms": 0, "answered_ms": 0,
        "echo": 7,
    }  # fmt: skip
    return Submitted(**(fields | given))


def receipt(carrier_id: str, state: str = "delivered", at_ms: int = 1_795_300_000_000, **given: Any) -> Received:
    return Received("alpha", at_ms, Receipt(carrier_id, state, **given))


async def rollups_equal_rows(bench: Bench) -> None:
    """Recomputes the roll-ups from the rows."""
    for table, unit in (("stats_minute", "minute"), ("stats_hour", "hour")):
        wrong = await bench.pool.fetch(
            f"""with recomputed as (
                select date_trunc('{unit}', id_time(id)) as at, client, class, carrier, operator, state, tag, currency,
                       count(*) as messages, sum(parts) as parts, sum(cost_micro) as cost from messages where not test
                group by 1, 2, 3, 4, 5, 6, 7, 8
            ), booked as (
                select at, client, class, carrier, operator, state, tag, currency, sum(messages) as messages,
                       sum(parts) as parts, sum(cost_micro) as cost from {table}
                group by 1, 2, 3, 4, 5, 6, 7, 8 having sum(messages) <> 0 or sum(parts) <> 0 or sum(cost_micro) <> 0
            ) (table recomputed except table booked) union all (table booked except table recomputed)"""
        )
        assert not wrong, f"{table}: {wrong}"
    async with bench.pool.transaction() as connection:
        await slices_equal_rows(connection)


async def slices_equal_rows(connection: asyncpg.Connection) -> None:
    """Recomputes the slices of statistics from the rows, in a transaction."""
    columns = ", ".join(f"sum({name}) as {name}" for name in COLUMNS)
    something = f"num_nonnulls({', '.join(f'sum({name})' for name in COLUMNS)}) > 0"
    for view in VIEWS:
        fine, days = view.tables
        await connection.execute(f"create temporary table anew_{view.name} (like {fine}) on commit drop")
        await connection.execute(slices.counted_anew("messages", view, f"anew_{view.name}"))
        by = f"shard, {', '.join(view.dimensions)}, currency"
        for table, at in ((fine, "at"), (days, "date_trunc('day', at, 'UTC')")):
            left = f"select {at} as at, {by}, {columns} from anew_{view.name} group by {at}, {by}"
            right = f"select at, {by}, {columns} from {table} group by at, {by} having {something}"
            wrong = await connection.fetch(f"(({left}) except ({right})) union all (({right}) except ({left})) limit 4")
            assert not wrong, f"{table}: {wrong}"
