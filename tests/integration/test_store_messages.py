"""What PostgreSQL answers about messages: one with its timeline, searches page by page, a batch's counts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.events import Batched, Ended, Parked, Waiting
from gateway.store import messages, search
from tests.ledger_bench import Bench, message, open_bench, receipt, submitted


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


async def test_a_timeline_holds_everything_that_happened_to_a_message(bench: Bench) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1, callback_url="http://app/cb")))
    await bench.tell(
        Waiting("outbox", "marketing", "shop", "alpha", "no_bind", one, one, 1, now + 5_000),
        submitted(one, "", kind=2, reason="temporary", sent_ms=now),
        Parked(one, 1, "temporary", now + 1_000),
        submitted(one, "c1", attempt=2, sent_ms=now + 1_000),
        receipt("c1", at_ms=now + 2_000, code="000"),
    )
    await bench.until_recorded()
    await bench.pool.execute(
        "insert into callbacks (message_id, seq, at, next_try_at, client, url, state, reason, tries, status, error)"
        " values ($1, 1, $2, $2, 'shop', 'http://app/cb', 'delivered', '', 1, 500, 'answered 500')", one, now
    )  # fmt: skip
    found = await messages.get(bench.pool, one, "shop")
    assert found is not None
    assert (found.state, found.attempt, found.price_micro, found.submitted_ms) == (
        "delivered",
        2,
        2_500_000,
        now + 1_000,
    )
    seen = await messages.timeline(bench.pool, found)
    assert [(s.attempt, s.kind, s.reason) for s in seen.submissions] == [(1, 2, "temporary"), (2, 0, "")]
    assert [(r.state, r.attempt, r.matched_by) for r in seen.receipts] == [("delivered", 2, "id")]
    assert [(n.event, n.until_ms) for n in seen.notes] == [("parked", now + 1_000)]
    assert [(w.place, w.why, w.carrier) for w in seen.waits] == [("outbox", "no_bind", "alpha")]
    assert [(c.seq, c.status, c.tries, c.done_ms) for c in seen.callbacks] == [(1, 500, 1, 0)]


async def test_another_clients_message_is_not_found(bench: Bench) -> None:
    one = bench.message_id()
    await bench.accept((one, message(1)))
    await bench.until_recorded()
    assert await messages.get(bench.pool, one, "bank") is None
    assert (await messages.get(bench.pool, one, None)) is not None
    assert await messages.get(bench.pool, bench.message_id(), "shop") is None


async def test_a_search_goes_page_by_page_from_the_newest(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    ids = [bench.message_id(now - 1_000 * n) for n in range(7)]
    await bench.accept(*((one, message(n, tag="spring" if n % 2 else "")) for n, one in enumerate(ids)))
    await bench.until_recorded()
    seen: list[bytes] = []
    while page := await search.find(bench.pool, "shop", cursor=seen[-1] if seen else None, limit=3):
        seen += [found.id for found in page]
    assert seen == ids
    assert [found.id for found in await search.find(bench.pool, "shop", tag="spring")] == ids[1::2]
    assert [found.id for found in await search.find(bench.pool, "shop", since_ms=now - 1_500)] == ids[:2]


async def test_a_search_finds_by_ref_number_and_state(bench: Bench) -> None:
    one, two, foreign = (bench.message_id() for _ in range(3))
    await bench.accept(
        (one, message(1, ref="order-1")),
        (two, message(2, ref="order-2")),
        (foreign, message(1, client="bank", ref="order-1")),
    )
    await bench.tell(Ended(two, "cancelled", "cancelled"))
    await bench.until_recorded()
    assert [found.id for found in await search.find(bench.pool, "shop", ref="order-1")] == [one]
    assert [found.id for found in await search.find(bench.pool, "shop", to="+79160000001")] == [one]
    assert {found.id for found in await search.find(bench.pool, None, to="+79160000001")} == {one, foreign}
    assert [found.id for found in await search.find(bench.pool, "shop", state="cancelled")] == [two]
    assert await search.find(bench.pool, "shop", ref="") == []


async def test_a_batch_counts_its_messages_by_state(bench: Bench) -> None:
    batch = bench.message_id()
    ids = [bench.message_id() for _ in range(3)]
    await bench.accept(*((one, message(n, batch_id=batch)) for n, one in enumerate(ids)))
    await bench.tell(Batched(batch, "shop", 3, 1, 2), Ended(ids[0], "cancelled", "cancelled"))
    await bench.until_recorded()
    found = await messages.batch(bench.pool, batch, "shop")
    assert found is not None
    assert (found.accepted, found.duplicates, found.rejected) == (3, 1, 2)
    assert found.states == {"accepted": 2, "cancelled": 1}
    assert await messages.batch(bench.pool, batch, "bank") is None
    row = await messages.get(bench.pool, ids[1], "shop")
    assert row is not None
    assert row.batch_id == batch
