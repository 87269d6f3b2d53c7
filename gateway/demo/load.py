"""Puts demo data into the ledger, and takes it out again; roll-ups are counted from the rows of both.

In: a URL, a first day, days, messages, a seed. Out: rows. Never: touches a database that holds real messages, unless it
is told to.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

import asyncpg

from gateway.countries import country_of
from gateway.demo.world import CLIENT_HEAD, CURRENCY, DAY_MS, Sample, day_of
from gateway.message import id_tail, make_id
from gateway.store import changed_days, slices
from gateway.store.days import Days, partition
from gateway.store.days import day_of as day_number
from gateway.store.pool import Pool
from gateway.store.recipients import recipient_hash

T = TypeVar("T")

_CHUNK: Final = 20_000
_VALIDITY_MS: Final = 86_400_000

_MESSAGE: Final = (
    "id", "deadline", "changed_at", "routed_at", "submitted_at", "final_at", "recipient_hash", "price_micro",
    "cost_micro", "accepted_mask", "delivered_mask", "undeliverable_mask", "parts", "attempt", "units", "client",
    "class", "recipient", "sender", "text", "encoding", "state", "reason", "tag", "carrier", "operator", "route",
    "currency", "country",
)  # fmt: skip
_SUBMISSION: Final = (
    "message_id", "sent_at", "answered_at", "routed_at", "price_micro", "plan_version", "echo", "attempt", "part",
    "parts", "kind", "late", "carrier", "carrier_message_id", "bind", "reason", "code", "operator", "currency", "route",
)  # fmt: skip
_RECEIPT: Final = (
    "message_id", "at", "done_at", "echo", "attempt", "part", "carrier", "carrier_message_id", "bind", "state",
    "reason", "code", "recipient", "sender", "raw", "matched_by",
)  # fmt: skip


class DemoError(Exception):
    """It cannot be done. The text says why, for a person."""


class Watcher(Protocol):
    """What a person sees meanwhile."""

    def begin(self, days: int) -> None: ...

    def done(self, day: datetime.date, messages: int) -> None: ...


async def fill(
    postgres_url: str, first: datetime.date, days: int, messages: int, seed: int, watcher: Watcher, force: bool = False
) -> int:
    """Some days from `first`, `messages` in all, more or less; how many they are. All or nothing. Raises DemoError and
    StoreAwayError."""
    pool = await Pool.open(postgres_url, size=2)
    try:
        await _check(pool, force)
        key = await pool.recipient_key()
        numbers = [day_number(_ms(first)) + n for n in range(days)]
        await Days(pool).ensure([*numbers, numbers[-1] + 1, numbers[-1] + 2])
        watcher.begin(days)
        total = 0
        async with pool.transaction() as connection:
            for n, number in enumerate(numbers):
                day = first + datetime.timedelta(days=n)
                samples = day_of(number * DAY_MS, n, day.weekday(), max(1, messages // days), seed)
                written = 0
                while some := list(islice(samples, _CHUNK)):
                    await _copy(connection, key, some)
                    written += len(some)
                for unit in ("minute", "hour"):
                    await connection.execute(_roll_up(unit, number), CLIENT_HEAD + "%")
                total += written
                watcher.done(day, written)
            await changed_days.note(connection, range(numbers[0], numbers[-1] + 3))
            await connection.execute("select fill_dimensions()")
        for number in numbers:
            await slices.recount(pool, number)
        return total
    finally:
        await pool.close()


async def remove(postgres_url: str) -> int:
    """Take all demo data out again; how many messages they were. Raises StoreAwayError."""
    pool = await Pool.open(postgres_url, size=2)
    try:
        async with pool.transaction() as connection:
            like = CLIENT_HEAD + "%"
            await connection.execute(
                "create temporary table gone on commit drop as select id from messages where client like $1", like
            )
            await connection.execute("analyze gone")
            rows = await connection.fetch("select distinct date_trunc('day', id_time(id), 'UTC') as day from gone")
            for table in ("submissions", "receipts"):
                await connection.execute(f"delete from {table} where message_id in (select id from gone)")
            found: int = await connection.fetchval("select count(*) from gone")
            for table in ("messages", "stats_minute", "stats_hour"):
                await connection.execute(f"delete from {table} where client like $1", like)
        for row in rows:
            await slices.recount(pool, day_number(row["day"]))
        return found
    finally:
        await pool.close()


async def _check(pool: Pool, force: bool) -> None:
    like = CLIENT_HEAD + "%"
    try:
        demo = await pool.fetchval("select exists (select from messages where client like $1)", like)
        real = await pool.fetchval("select exists (select from messages where client not like $1 and not test)", like)
    except asyncpg.UndefinedTableError as e:
        raise DemoError("there is no schema yet: run `sluice db migrate`") from e
    if demo:
        raise DemoError("there is demo data already: take it out with `sluice demo-data --remove` first")
    if real and not force:
        raise DemoError(
            "this database holds real messages, and statistics would mix them with invented ones: take another"
            " database, or say --force"
        )


async def _copy(connection: asyncpg.Connection, key: bytes, samples: Sequence[Sample]) -> None:
    """Three tables of some messages."""
    ids = [make_id(sample.at_ms, id_tail(0, sample.random)) for sample in samples]
    pairs = list(zip(ids, samples, strict=True))
    tables: tuple[tuple[str, Sequence[str], Iterator[tuple[Any, ...]]], ...] = (
        ("messages", _MESSAGE, (_message(key, one, sample) for one, sample in pairs)),
        ("submissions", _SUBMISSION, _each(_submissions(one, sample) for one, sample in pairs)),
        ("receipts", _RECEIPT, _each(_receipts(one, sample) for one, sample in pairs)),
    )
    for table, columns, records in tables:
        await connection.copy_records_to_table(table, columns=columns, records=records)


def _each(groups: Iterable[Iterable[T]]) -> Iterator[T]:
    for group in groups:
        yield from group


def _message(key: bytes, one: bytes, sample: Sample) -> tuple[Any, ...]:
    stream, last = sample.stream, sample.submissions[-1] if sample.submissions else None
    taken = last is not None and last.accepted
    price = last.price if last else 0
    delivered, undeliverable = sample.state == "delivered", sample.state == "undeliverable"
    return (
        one, sample.at_ms + _VALIDITY_MS, sample.final_ms, last.sent_ms if last else None,
        last.sent_ms if taken and last else None, sample.final_ms, recipient_hash(key, sample.recipient), price,
        price * sample.parts if taken else 0, int(taken), int(delivered), int(undeliverable), sample.parts,
        len(sample.submissions), 1 if last else 0, stream.client, stream.klass, sample.recipient, stream.sender,
        stream.text, "gsm7", sample.state, sample.reason, stream.tag, last.carrier if last else "",
        sample.operator if last else "", "demo" if last else "", CURRENCY if last else "",
        country_of(sample.recipient),
    )  # fmt: skip


def _submissions(one: bytes, sample: Sample) -> Iterator[tuple[Any, ...]]:
    for attempt, s in enumerate(sample.submissions, 1):
        kind, reason = (0, "") if s.accepted else (2, "blocked")
        yield (
            one, s.sent_ms, s.answered_ms, s.sent_ms, s.price, 0, 0, attempt, 0, sample.parts, kind, False, s.carrier,
            one.hex() if s.accepted else "", f"{s.carrier}-1", reason, "", sample.operator, CURRENCY, "demo",
        )  # fmt: skip


def _receipts(one: bytes, sample: Sample) -> Iterator[tuple[Any, ...]]:
    if sample.state in ("delivered", "undeliverable"):
        carrier = sample.submissions[-1].carrier
        yield (
            one, sample.final_ms, sample.final_ms, 0, len(sample.submissions), 0, carrier, one.hex(), f"{carrier}-1",
            sample.state, sample.reason, "", sample.recipient, sample.stream.sender, "", "id",
        )  # fmt: skip


def _ms(day: datetime.date) -> int:
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp() * 1000)


def _roll_up(unit: str, day: int) -> str:
    return (
        f"insert into stats_{unit} (at, shard, client, class, carrier, operator, state, tag, currency, messages, parts,"
        f" cost_micro) select date_trunc('{unit}', id_time(id), 'UTC'), 0, client, class, carrier, operator, state,"
        f" tag, currency, count(*), sum(parts), sum(cost_micro) from {partition('messages', day)} where client like $1"
        " group by 1, client, class, carrier, operator, state, tag, currency"
    )
