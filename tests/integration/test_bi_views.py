"""Schema bi as an analyst's program sees it: keys, comments, and loads that never miss a late commit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.message import State
from gateway.provider import Reason
from tests.ledger_bench import Bench, message, open_bench, receipt, submitted


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    yield bench
    await bench.close()


async def delivered(bench: Bench, n: int = 1, **given: Any) -> list[bytes]:
    """Some messages with submission and receipt, in the store."""
    ids = [bench.message_id() for _ in range(n)]
    await bench.accept(*((one, message(k, **given)) for k, one in enumerate(ids)))
    await bench.tell(*(submitted(one, f"c-{one.hex()}") for one in ids))
    await bench.tell(*(receipt(f"c-{one.hex()}", at_ms=bench.redis.clock_ms()) for one in ids))
    await bench.until_recorded()
    return ids


async def test_every_column_of_every_relation_has_a_comment(bench: Bench) -> None:
    bare = await bench.pool.fetch(
        "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0"
        " where c.relnamespace = 'bi'::regnamespace and c.relkind in ('r', 'v') and not a.attisdropped"
        " and (col_description(c.oid, a.attnum) is null or obj_description(c.oid) is null)"
    )
    assert [tuple(row) for row in bare] == []


async def test_states_and_reasons_of_the_program_are_in_their_dimensions(bench: Bench) -> None:
    states = {row["state"] for row in await bench.pool.fetch("select state from bi.states")}
    reasons = {row["reason"] for row in await bench.pool.fetch("select reason from bi.reasons")}
    assert (states, reasons) == ({state.value for state in State}, {reason.value for reason in Reason})


async def test_facts_find_their_dimensions_by_key(bench: Bench) -> None:
    bench.start()
    await delivered(bench, tag="spring")
    row = await bench.pool.fetchrow(
        "select c.client, a.carrier, o.operator, s.sender, t.tag, d.date = (m.accepted_at at time zone 'UTC')::date"
        " from bi.messages m join bi.clients c using (client_key) join bi.carriers a using (carrier_key)"
        " join bi.operators o using (operator_key) join bi.senders s using (sender_key)"
        " join bi.tags t using (tag_key) join bi.dates d using (date_key)"
    )
    assert row is not None
    assert tuple(row) == ("shop", "alpha", "mts", "Sluice", "spring", True)
    row = await bench.pool.fetchrow(
        "select c.client, a.carrier, o.operator, s.sender, outcome, price from bi.submissions"
        " join bi.clients c using (client_key) join bi.carriers a using (carrier_key)"
        " join bi.operators o using (operator_key) join bi.senders s using (sender_key)"
    )
    assert row is not None
    assert (*tuple(row)[:5], float(row["price"])) == ("shop", "alpha", "mts", "Sluice", "accepted", 2.5)
    assert await bench.value("select state from bi.receipts where carrier_key > 0") == "delivered"


async def test_test_messages_are_in_no_fact(bench: Bench) -> None:
    bench.start()
    await delivered(bench, 2, test=True)
    assert await bench.value("select count(*) from messages") == 2
    for fact in ("messages", "submissions", "receipts", "recipients"):
        assert await bench.value(f"select count(*) from bi.{fact}") == 0


async def test_a_change_that_commits_late_is_loaded_by_the_reader_that_saw_later_ones_first(
    bench: Bench, postgres_url: str
) -> None:
    bench.start()
    first, second = await delivered(bench, 2)
    load = "select id, changed_seq from bi.messages where changed_seq > $1"
    loaded = await bench.pool.fetch(load, 0)
    assert {row["id"] for row in loaded} == {first, second}
    greatest = max(row["changed_seq"] for row in loaded)

    slow = await asyncpg.connect(postgres_url)
    try:
        late = slow.transaction()
        await late.start()
        await slow.execute("update messages set tag = 'late' where id = $1", first.hex())
        await bench.pool.execute("update messages set tag = 'soon' where id = $1", second)
        # The second is committed and has the larger number: it must wait until the first has shown.
        assert await bench.value("select changed_seq from bi.messages where id = $1", second) is None
        assert await bench.value("select count(*) from bi.messages") == 2
        loaded = await bench.pool.fetch(load, greatest)
        greatest = max([greatest, *(row["changed_seq"] for row in loaded)])
        await late.commit()
    finally:
        await slow.close()
    loaded = await bench.pool.fetch(load, greatest)
    assert {row["id"] for row in loaded} == {first, second}
    assert await bench.value("select changed_seq from bi.settled") >= max(row["changed_seq"] for row in loaded)


async def test_a_load_by_day_finds_what_a_plain_filter_finds(bench: Bench) -> None:
    bench.start()
    now = bench.redis.clock_ms()
    old = [(bench.message_id(now - days * 86_400_000), message(days, validity_s=259_200)) for days in range(3)]
    await bench.accept(*old)
    await bench.until_recorded()
    mark = await bench.value("select max(changed_seq) from bi.messages")
    await bench.tell(submitted(old[1][0], "late-1"))
    await bench.until_recorded()
    for fact, key in (("messages", "id"), ("submissions", "message_id")):
        plain = await bench.pool.fetch(f"select {key}, changed_seq from bi.{fact} where changed_seq > $1", mark)
        assert plain == await bench.pool.fetch(f"select {key}, changed_seq from bi.{fact}_since($1)", mark)
        assert [row[key] for row in plain] == [old[1][0]]


async def test_numbers_of_transactions_go_on_after_32_bits(bench: Bench) -> None:
    seq = "select settled_seq($1, $2, $3)"
    wrap = 1 << 32
    assert await bench.value(seq, 700, 1000, 900) == 700
    assert await bench.value(seq, 950, 1000, 900) is None
    assert await bench.value(seq, wrap - 5, wrap + 10, wrap + 8) == wrap - 5
    assert await bench.value(seq, 5, wrap + 10, wrap + 8) == wrap + 5
    assert await bench.value(seq, 12, wrap + 10, wrap + 8) is None


async def test_a_span_of_accepting_reads_only_its_days(bench: Bench) -> None:
    plan = "\n".join(
        row[0]
        for row in await bench.pool.fetch(
            "explain select count(*) from bi.messages_between("
            "date_trunc('day', now(), 'UTC'), date_trunc('day', now(), 'UTC') + interval '1 day')"
        )
    )
    today = await bench.value("select to_char(now() at time zone 'UTC', '\"messages_\"YYYYMMDD')")
    assert today in plan or "Subplans Removed" in plan
