"""What our own binary COPY stores is what asyncpg's stores, and every value of a fold reaches its own column."""

from __future__ import annotations

import struct
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.embedded.postgres import Postgres
from gateway.events import Received, Submitted
from gateway.ledger.rows import Changes, Row, new_row
from gateway.message import Message, id_tail, make_id
from gateway.provider import Receipt
from gateway.store import copy_format, ledger
from gateway.store.pool import Pool, connect
from gateway.store.recipients import recipient_hash
from tests.conftest import Loop

KINDS = ("smallint", "int", "bigint", "bool", "text", "bytea", "uuid", "timestamptz")
NOW_MS = 1_795_300_000_000


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
TIME_MS = st.integers(-62_000_000_000_000, 9_000_000_000_000_000 // 1000)
VALUES = (
    integers(16),
    integers(32),
    integers(64),
    st.booleans(),
    TEXT,
    st.binary(),
    st.binary(min_size=16, max_size=16),
)
RECORDS = st.lists(st.tuples(*(st.none() | values for values in (*VALUES, TIME_MS))), max_size=20)


async def stored(url: str, ours: list[bytes], theirs: list[tuple[Any, ...]]) -> tuple[list[Any], list[Any]]:
    connection = await connect(url)
    columns = [f"c{n}" for n in range(len(KINDS))]
    try:
        for table in ("ours", "theirs"):
            await connection.execute(
                f"create temp table {table} ({', '.join(map(' '.join, zip(columns, KINDS, strict=True)))})"
            )
        await copy_format.copy(connection, "ours", columns, [b"".join(ours[:3]), b"".join(ours[3:])])
        await connection.copy_records_to_table("theirs", columns=columns, records=theirs)
        return await connection.fetch("table ours"), await connection.fetch("table theirs")
    finally:
        await connection.close()


@given(records=RECORDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_values_of_every_type_are_stored_as_asyncpg_stores_them(
    session_loop: Loop, session_postgres: Postgres, records: list[tuple[Any, ...]]
) -> None:
    together, first, last = (
        copy_format.alike(kinds, columns)
        for kinds, columns in ((KINDS, len(KINDS)), (KINDS[:3], len(KINDS)), (KINDS[3:], 0))
    )
    ways: list[list[bytes]] = [
        [together[r] for r in records],
        [first[r[:3]] + last[r[3:]] for r in records],
    ]
    for rows in ways:
        ours, theirs = session_loop.run(stored(session_postgres.url, rows, records))
        assert ours == theirs


@given(ms=TIME_MS)
def test_times_are_the_same_everywhere(ms: int) -> None:
    assert copy_format.times[ms] == copy_format.alike(["timestamptz"])[ms,]
    assert copy_format.times_or_null[ms] == (copy_format.times[ms] if ms else copy_format.NULL)
    assert len(copy_format.times[ms]) == 12


@pytest.mark.parametrize(("kind", "value"), [("smallint", 1 << 15), ("int", -(1 << 31) - 1), ("bigint", 1 << 63)])
def test_a_number_that_does_not_fit_is_refused_and_not_remembered(kind: str, value: int) -> None:
    column = copy_format.alike([kind])
    with pytest.raises(struct.error):
        column[value,]
    assert not column


def test_what_is_remembered_is_bounded() -> None:
    known: copy_format.Known[int, bytes] = copy_format.Known(lambda n: b"%d" % n, capacity=100)
    assert [known[n] for n in range(1000)] == [b"%d" % n for n in range(1000)]
    assert len(known) <= 100


def full_row() -> tuple[Row, dict[str, Any]]:
    """A message with another value in every column."""
    batch, one = bytes(range(16)), make_id(NOW_MS, id_tail(3))
    m = Message(
        "shop", "alert", "+79160000001", "Sluice", "тест 🎉", "ucs2", 3, 60, NOW_MS + 1, "ref-1", "spring", b'{"a":1}',
        "http://app/cb", batch, 40_000, "key_1", True, "00-trace",
    )  # fmt: skip
    row = new_row(one, m)
    row.state, row.reason, row.carrier, row.operator, row.route = "failed", "no_route", "alpha", "mts", "default"
    row.told, row.attempt, row.plan_version, row.price_micro, row.currency = True, 5, 6, 7_000_000_000, "RUB"
    row.cost_micro, row.units, row.accepted, row.unsure, row.delivered, row.undeliverable = 8, 9, 10, 11, 12, 13
    row.earlier, row.routed_ms, row.submitted_ms, row.final_ms = b"\x90\0", NOW_MS + 2, NOW_MS + 3, NOW_MS + 4
    row.changed_ms, row.seq = NOW_MS + 5, 14
    return row, {
        "id": one, "batch_id": batch, "deadline": NOW_MS + 60_001, "send_at": NOW_MS + 1, "changed_at": NOW_MS + 5,
        "routed_at": NOW_MS + 2, "submitted_at": NOW_MS + 3, "final_at": NOW_MS + 4, "plan_version": 6,
        "recipient_hash": recipient_hash(b"k" * 32, "+79160000001"), "price_micro": 7_000_000_000, "cost_micro": 8,
        "accepted_mask": 10, "unsure_mask": 11, "delivered_mask": 12, "undeliverable_mask": 13, "rev": 1, "seq": 14,
        "concat_ref": 40_000, "parts": 3, "attempt": 5, "units": 9, "test": True, "earlier": b"\x90\0",
        "client": "shop", "class": "alert", "recipient": "+79160000001", "sender": "Sluice", "text": "тест 🎉",
        "encoding": "ucs2", "state": "failed", "reason": "no_route", "ref": "ref-1", "tag": "spring",
        "meta": '{"a":1}', "callback_url": "http://app/cb", "key_id": "key_1", "traceparent": "00-trace",
        "carrier": "alpha", "operator": "mts", "route": "default", "currency": "RUB", "country": "RU",
    }  # fmt: skip


async def write(pool: Pool, changes: Changes) -> None:
    async with pool.transaction() as connection:
        await connection.execute("select ensure_day(to_timestamp($1::bigint / 1000)::date)", NOW_MS)
        await ledger.prepare(connection)
        await ledger.write(connection, await ledger.encode(changes, b"k" * 32, NOW_MS))


@pytest.fixture
async def pool(postgres_url: str) -> Any:
    pool = await Pool.open(postgres_url)
    yield pool
    await pool.close()


async def only_row(pool: Pool, table: str) -> dict[str, Any]:
    (row,) = await pool.fetch(f"select * from {table}")
    return dict(row)


async def test_every_value_of_a_new_message_reaches_its_column(pool: Pool) -> None:
    row, expected = full_row()
    await write(pool, Changes(fresh=[row]))
    assert await only_row(pool, "messages") == expected


async def test_a_message_that_was_only_accepted_has_the_defaults_in_the_other_columns(pool: Pool) -> None:
    one, untold = full_row()[0], full_row()[0].message
    assert untold is not None
    await write(pool, Changes(fresh=[new_row(one.id, untold)]))
    stored_untold = await only_row(pool, "messages")
    await pool.execute("delete from messages")
    told = new_row(one.id, untold)
    told.told = True
    await write(pool, Changes(fresh=[told]))
    assert stored_untold == await only_row(pool, "messages")


@pytest.mark.parametrize("moved", [True, False])
async def test_every_changed_value_reaches_its_column(pool: Pool, moved: bool) -> None:
    row, expected = full_row()
    await write(pool, Changes(fresh=[row]))
    changed = {
        "state": "delivered", "reason": "x", "delivered_mask": 112, "undeliverable_mask": 113, "earlier": b"\x91",
        "seq": 114, "final_at": None, "changed_at": NOW_MS + 105,
    }  # fmt: skip
    row.moved, row.message = int(moved), None
    row.state, row.reason, row.delivered, row.undeliverable, row.earlier = "delivered", "x", 112, 113, b"\x91"
    row.seq, row.final_ms, row.changed_ms = 114, 0, NOW_MS + 105
    if moved:
        changed |= {
            "attempt": 105, "parts": 103, "units": 109, "accepted_mask": 110, "unsure_mask": 111, "carrier": "beta",
            "operator": "tele2", "route": "cheap", "plan_version": 106, "price_micro": 107, "currency": "EUR",
            "cost_micro": 108, "routed_at": None, "submitted_at": None,
        }  # fmt: skip
        row.attempt, row.parts, row.units, row.accepted, row.unsure = 105, 103, 109, 110, 111
        row.carrier, row.operator, row.route, row.plan_version, row.price_micro = "beta", "tele2", "cheap", 106, 107
        row.currency, row.cost_micro = "EUR", 108
        row.routed_ms = row.submitted_ms = 0
    await write(pool, Changes(changed=[row]))
    assert await only_row(pool, "messages") == expected | changed | {"rev": 2}


@pytest.mark.parametrize("fresh", [True, False])
async def test_another_time_reaches_its_columns(pool: Pool, fresh: bool) -> None:
    row, expected = full_row()
    if not fresh:
        await write(pool, Changes(fresh=[row]))
    row.send_at_ms, row.deadline_ms, row.moved = 0, NOW_MS + 101, 1
    await write(pool, Changes(1, [row] if fresh else [], [] if fresh else [row], rescheduled=[row, row]))
    expected |= {"send_at": None, "deadline": NOW_MS + 101, "rev": 1 if fresh else 2}
    assert await only_row(pool, "messages") == expected
    assert [row.id] == [r["last_id"] for r in await pool.fetch("select * from deadlines order by due")][:1]


def answer(one: bytes) -> tuple[Submitted, dict[str, Any]]:
    fact = Submitted(
        one, 2, 3, 4, "alpha", "alpha-1", 1, "throttled", "0x58", "c-ё", "mts", 5, "RUB", 6, "default", NOW_MS + 1,
        NOW_MS + 2, NOW_MS + 3, -7, True, billed_on_delivery=True, sender="BANK", record="cheapest,plan,",
    )  # fmt: skip
    return fact, {
        "message_id": one, "sent_at": NOW_MS + 2, "answered_at": NOW_MS + 3, "routed_at": NOW_MS + 1, "price_micro": 5,
        "plan_version": 6, "echo": -7, "attempt": 2, "part": 3, "parts": 4, "kind": 1, "late": True, "carrier": "alpha",
        "carrier_message_id": "c-ё", "bind": "alpha-1", "reason": "throttled", "code": "0x58", "operator": "mts",
        "currency": "RUB", "route": "default", "billed_on_delivery": True,
        "sender": "BANK", "record": "cheapest,plan,",
    }  # fmt: skip


@pytest.mark.parametrize("repeated", [True, False])
async def test_every_value_of_a_submission_reaches_its_column(pool: Pool, repeated: bool) -> None:
    fact, expected = answer(make_id(NOW_MS, id_tail(0)))
    told = [(NOW_MS, fact)]
    await write(pool, Changes(repeated=told) if repeated else Changes(submissions=told))
    assert await only_row(pool, "submissions") == expected


@pytest.mark.parametrize("found", [True, False])
async def test_every_value_of_a_receipt_reaches_its_column(pool: Pool, found: bool) -> None:
    one = make_id(NOW_MS, id_tail(0))
    said = Receipt("c-ё", "expired", "011", "unreachable", NOW_MS + 1, "7916", "Sluice", -7, "raw 🎉", "alpha-1")
    await write(
        pool, Changes(receipts=[(Received("alpha", NOW_MS, said), (one, 2, 3, "echo", 0, "RUB") if found else None)])
    )
    assert await only_row(pool, "receipts") == {
        "message_id": one if found else None, "at": NOW_MS, "done_at": NOW_MS + 1, "echo": -7,
        "attempt": 2 if found else 0, "part": 3 if found else 0, "carrier": "alpha", "carrier_message_id": "c-ё",
        "bind": "alpha-1", "state": "expired", "reason": "unreachable", "code": "011", "recipient": "7916",
        "sender": "Sluice", "raw": "raw 🎉", "matched_by": "echo" if found else "",
    }  # fmt: skip


async def test_postgres_refuses_a_text_with_a_zero_in_it(pool: Pool) -> None:
    row, _ = full_row()
    row.reason = "a\0b"
    with pytest.raises(asyncpg.CharacterNotInRepertoireError):
        await write(pool, Changes(fresh=[row]))
