"""The recorder against real servers: everything exactly once, whoever dies, and one bad value stops nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from gateway.events import Batched, Came, Ended, Held, Parked, Rescheduled
from gateway.message import pack_message
from gateway.provider import Inbound
from gateway.recorder import recorder
from gateway.store import offsets
from gateway.store.pool import connect
from tests.ledger_bench import Bench, message, open_bench, receipt, rollups_equal_rows, submitted


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    yield bench
    await bench.close()


async def test_a_message_is_recorded_from_accept_to_delivery(bench: Bench) -> None:
    bench.start()
    one = bench.message_id()
    await bench.accept((one, message(1, ref="order-1", tag="spring", callback_url="http://app/cb", meta=b'{"a":1}')))
    await bench.until_recorded()
    assert await bench.state(one) == "accepted"
    await bench.tell(submitted(one, "c1"))
    await bench.until_recorded()
    assert await bench.state(one) == "submitted"
    await bench.tell(receipt("c1"))
    await bench.until_recorded()
    row = await bench.pool.fetchrow("select * from messages where id = $1", one)
    assert row is not None
    assert (row["state"], row["carrier"], row["cost_micro"], row["rev"]) == ("delivered", "alpha", 2_500_000, 3)
    assert (row["ref"], row["tag"], row["meta"], row["final_at"]) == ("order-1", "spring", '{"a":1}', 1_795_300_000_000)
    assert await bench.value("select matched_by from receipts where message_id = $1", one) == "id"
    (event,) = await bench.events(one)
    assert (event.seq, event.state, event.ref, event.tag) == (1, "delivered", "order-1", "spring")
    assert (event.meta, event.url) == ('{"a":1}', "http://app/cb")
    await rollups_equal_rows(bench)


async def test_what_arrives_in_one_batch_becomes_one_row_without_an_update(bench: Bench) -> None:
    ids = [bench.message_id() for _ in range(50)]
    await bench.accept(*((one, message(n)) for n, one in enumerate(ids)))
    await bench.tell(receipt("c0"), *(submitted(one, f"c{n}") for n, one in enumerate(ids)))
    await bench.tell(*(receipt(f"c{n}") for n in range(50)))
    bench.start()
    await bench.until_recorded()
    assert await bench.value("select count(*) from messages where state = 'delivered' and rev = 1") == 50
    assert await bench.value("select count(*) from receipts") == 51, "also the doubled one that came early"
    await rollups_equal_rows(bench)


async def test_a_receipt_that_matches_nothing_becomes_a_waiting_row(bench: Bench) -> None:
    bench.start()
    await bench.tell(receipt("nobody"))
    await bench.until_recorded()
    assert await bench.value("select carrier_message_id from receipts_waiting") == "nobody"


async def test_two_recorders_that_both_believe_in_their_lease_record_everything_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BATCH_S", 0.01)
    await bench.link.call("HSET", "{0}:lease:recorder", "token", "1")
    first, second = (recorder.Recorder(bench.redis.new_link(0), bench.pool, 0, 1) for _ in range(2))
    await first.link.up()
    await second.link.up()
    ids = [bench.message_id() for _ in range(200)]

    async def keep_going(one: recorder.Recorder) -> None:
        while True:
            await one.run()
            one.run_id = b""

    tasks = [asyncio.create_task(keep_going(one)) for one in (first, second)]
    for n, one in enumerate(ids):
        await bench.accept((one, message(n)))
        await bench.tell(submitted(one, f"c{n}"))
        await bench.tell(receipt(f"c{n}"))

    await bench.until(partial(_all_delivered, bench, ids))
    for task in tasks:
        await bench.stop(task)
    assert await bench.value("select count(*) from submissions") == 200
    assert await bench.value("select count(*) from receipts") == 200
    await rollups_equal_rows(bench)


async def test_a_value_that_postgres_refuses_goes_raw_to_quarantine_and_nothing_else_stops(bench: Bench) -> None:
    ids = [bench.message_id() for _ in range(20)]
    bad = message(7, text="broken\x00text")
    await bench.accept(*((one, bad if n == 7 else message(n)) for n, one in enumerate(ids)))
    await bench.tell(*(submitted(one, f"c{n}") for n, one in enumerate(ids)))
    bench.start()
    await bench.until_recorded()
    assert await bench.value("select count(*) from messages where state = 'submitted'") == 19
    kept = await bench.pool.fetch("select what, message_id, raw from quarantine order by id")
    assert (kept[0]["what"], kept[0]["message_id"], kept[0]["raw"]) == ("accepted", ids[7], pack_message(bad))
    assert [row["what"] for row in kept[1:]] == ["submitted"], "what is said of an unknown message is kept as well"
    await rollups_equal_rows(bench)


async def test_a_fact_that_postgres_refuses_is_kept_and_the_rest_of_its_entry_is_recorded(bench: Bench) -> None:
    ids = [bench.message_id() for _ in range(5)]
    await bench.accept(*((one, message(n)) for n, one in enumerate(ids)))
    await bench.tell(*(Ended(one, "failed", "bad\x00" if n == 3 else "no_route") for n, one in enumerate(ids)))
    bench.start()
    await bench.until_recorded()
    assert await bench.value("select count(*) from messages where state = 'failed'") == 4
    kept = await bench.pool.fetch("select what, message_id from quarantine")
    assert [tuple(row) for row in kept] == [("ended", ids[3])]
    await rollups_equal_rows(bench)


async def test_a_value_that_cannot_be_read_goes_raw_to_quarantine(bench: Bench) -> None:
    one = bench.message_id()
    await bench.link.call("XADD", "{0}:events", "*", "r", bench.link.run_id, "A", "", one, b"\x09?")
    await bench.link.call("XADD", "{0}:events", "*", "r", bench.link.run_id, "F", b"\x01\xc1")
    bench.start()
    await bench.until_recorded()
    assert [r["what"] for r in await bench.pool.fetch("select what from quarantine order by id")] == [
        "accepted",
        "facts",
    ]


async def test_an_id_of_any_day_finds_a_partition(bench: Bench) -> None:
    ids = [bench.message_id(ms) for ms in (86_400_000, 1_000_000_000_000, 4_000_000_000_000)]
    await bench.accept(*((one, message(n)) for n, one in enumerate(ids)))
    bench.start()
    await bench.until_recorded()
    assert await bench.value("select count(*) from messages") == 3
    assert await bench.value("select count(*) from quarantine") == 0


async def test_the_first_batches_of_an_empty_day_are_as_cheap_as_any(bench: Bench) -> None:
    ids = [bench.message_id() for _ in range(20_000)]
    began = asyncio.get_running_loop().time()
    bench.start()
    for told in (None, submitted, receipt):
        for n in range(0, len(ids), 500):
            some = ids[n : n + 500]
            if told is None:
                await bench.accept(*((one, message(1)) for one in some))
            else:
                facts_of = [submitted(one, one.hex()) if told is submitted else receipt(one.hex()) for one in some]
                await bench.tell(*facts_of)
        await bench.until_recorded()
        await bench.restart()  # nothing is remembered: rows and submissions are looked up
    assert await bench.value("select count(*) from messages where state = 'delivered'") == len(ids)
    assert asyncio.get_running_loop().time() - began < 25, (
        "a plan that compares all with all takes 28 s on a machine that does nothing else"
    )


async def test_an_update_with_an_outdated_rev_is_redone_from_what_is_there(bench: Bench) -> None:
    bench.start()
    one = bench.message_id()
    await bench.accept((one, message(1)))
    await bench.tell(submitted(one, "c1"))
    await bench.until_recorded()
    # As the matcher would: what it wrote must not be overwritten by what was known before.
    rev = await bench.value("update messages set rev = rev + 5, seq = 7 where id = $1 returning rev", one)
    await bench.tell(receipt("c1"))
    await bench.until_recorded()
    row = await bench.pool.fetchrow("select rev, seq from messages where id = $1", one)
    assert tuple(row or ()) == (rev + 1, 7)
    assert await bench.state(one) == "delivered"
    await rollups_equal_rows(bench)


async def test_facts_of_every_kind_find_their_table(bench: Bench) -> None:
    bench.start()
    now = bench.redis.clock_ms()
    held, late, cancelled = (bench.message_id() for _ in range(3))
    batch = bench.message_id()
    await bench.accept(
        (held, message(1, batch_id=batch)),
        (late, message(2, send_at_ms=now + 3_600_000)),
        (cancelled, message(3)),
    )
    await bench.tell(
        Batched(batch, "shop", 1, 0, 0),
        submitted(held, "", kind=3, sent_ms=now),
        Held(held, 1, "no_answer"),
        Rescheduled(late, now + 7_200_000),
        Ended(cancelled, "cancelled", "cancelled", by="key_1"),
        Parked(cancelled, 1, "throttled", now + 1000),
        Came("alpha", now, Inbound("79160000001", "1234", "STOP", (5, 2, 1))),
    )
    await bench.until_recorded()
    assert [await bench.state(one) for one in (held, late, cancelled)] == ["unknown", "scheduled", "cancelled"]
    assert await bench.value("select send_at from messages where id = $1", late) == now + 7_200_000
    assert await bench.value("select accepted from batches where id = $1", batch) == 1
    assert await bench.value("select segment_total from inbound") == 2
    assert await bench.value("select count(*) from notes") == 4
    await bench.tell(submitted(held, "healed", kind=0, sent_ms=now, answered_ms=now + 9000, late=True))
    await bench.until_recorded()
    assert await bench.state(held) == "submitted"
    row = await bench.pool.fetchrow(
        "select kind, late, carrier_message_id from submissions where message_id = $1", held
    )
    assert tuple(row or ()) == (0, True, "healed")
    await rollups_equal_rows(bench)


async def test_entries_that_are_recorded_already_are_skipped_after_a_restart(bench: Bench) -> None:
    one = bench.message_id()
    entry = await bench.accept((one, message(1)))
    async with bench.pool.transaction() as connection:
        await offsets.advance(connection, 0, {bench.link.run_id.decode(): offsets.stream_id(entry)})
    bench.start()
    await bench.until_recorded()
    assert await bench.value("select count(*) from messages") == 0


async def test_a_stream_behind_its_offset_stays_closed_until_it_is_opened(bench: Bench) -> None:
    async with bench.pool.transaction() as connection:
        await offsets.advance(connection, 0, {"anotherrun": (9_999_999_999_999, 0)})
    bench.start()

    async def closed() -> object:
        return await bench.link.call("GET", "{0}:closed")

    await bench.until(closed)
    assert not await bench.link.call("GET", "{0}:open")
    one = bench.message_id()
    await bench.accept((one, message(1)))
    await bench.link.call("SET", "{0}:recorded", "9999999999999-0")  # as `sluice recover` does it
    await bench.until_recorded()
    assert await bench.state(one) == "accepted"
    assert await bench.link.call("GET", "{0}:open") == bench.link.run_id


async def test_a_recorder_that_is_cut_off_at_any_moment_loses_and_doubles_nothing(bench: Bench) -> None:
    ids = [bench.message_id() for _ in range(600)]

    async def load() -> None:
        for n in range(0, len(ids), 10):
            some = ids[n : n + 10]
            await bench.accept(*((one, message(n)) for one in some))
            await bench.tell(*(submitted(one, one.hex()) for one in some))
            await bench.tell(*(receipt(one.hex()) for one in some))

    bench.start()
    loading = asyncio.create_task(load())
    for n in range(40):
        await asyncio.sleep(0.002 * n)  # each time a little later in its turn
        await bench.restart()
    await loading
    await bench.until_recorded()
    assert await bench.value("select count(*) from messages where state = 'delivered'") == len(ids)
    assert await bench.value("select count(*) from submissions") == len(ids)
    assert await bench.value("select count(*) from receipts") == len(ids)
    await rollups_equal_rows(bench)


async def test_valkey_killed_under_load_is_let_in_again_and_nothing_is_lost(
    own_valkey: Callable[..., Awaitable[Any]], postgres_url: str
) -> None:
    server = await own_valkey()
    bench = await open_bench(server.url, postgres_url)
    bench.start()
    ids: list[bytes] = []
    for _ in range(3):
        some = [bench.message_id() for _ in range(50)]
        ids += some
        await bench.accept(*((one, message(1)) for one in some))
        await server.kill()
        await server.start()
        await bench.link.up()
        await bench.tell(*(submitted(one, one.hex()) for one in some))
        await bench.tell(*(receipt(one.hex()) for one in some))
        await bench.until(partial(_all_delivered, bench, ids))
        assert await bench.link.call("GET", "{0}:open") == bench.link.run_id
    assert await bench.value("select count(distinct run) from offsets") >= 3
    assert await bench.value("select count(*) from receipts") == len(ids)
    await rollups_equal_rows(bench)
    await bench.close()


async def test_postgres_killed_under_load_loses_and_doubles_nothing(
    valkey_url: str, own_postgres: Callable[..., Awaitable[Any]]
) -> None:
    server = await own_postgres()
    bench = await open_bench(valkey_url, server.url)
    bench.start()
    ids = [bench.message_id() for _ in range(3000)]

    async def load() -> None:
        for n in range(0, 3000, 20):
            await bench.accept(*((one, message(n)) for one in ids[n : n + 20]))
            await bench.tell(*(submitted(one, one.hex()) for one in ids[n : n + 20]))
            await bench.tell(*(receipt(one.hex()) for one in ids[n : n + 20]))
            await asyncio.sleep(0.005)

    loading = asyncio.create_task(load())
    for _ in range(3):
        await bench.until(lambda: _some_recorded(server.url))
        await server.kill()
        await server.start()
    await loading
    await bench.until_recorded()
    assert await bench.value("select count(*) from messages where state = 'delivered'") == 3000
    assert await bench.value("select count(*) from submissions") == 3000
    assert await bench.value("select count(*) from receipts") == 3000
    await rollups_equal_rows(bench)
    await bench.close()


async def _all_delivered(bench: Bench, ids: list[bytes]) -> bool:
    return bool(await bench.value("select count(*) from messages where state = 'delivered'") == len(ids))


async def _some_recorded(url: str) -> bool:
    connection = await connect(url)
    try:
        return bool(await connection.fetchval("select exists (select from messages)"))
    finally:
        await connection.close()
