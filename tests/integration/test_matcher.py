"""The matcher against real servers: early, late and foreign receipts all arrive, and waiting for one ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.events import Held
from gateway.receipts.expiry import expire
from gateway.receipts.retry import GIVE_UP_MS, retry
from gateway.store import totals
from gateway.store.days import DAY_MS, Days
from gateway.streams import learnt
from tests.ledger_bench import Bench, message, open_bench, receipt, rollups_equal_rows, submitted

SOON_MS = 60_000


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


async def test_a_receipt_that_came_before_its_submission_is_matched_later(bench: Bench) -> None:
    one = bench.message_id()
    await bench.accept((one, message(1, callback_url="http://app/cb")))
    await bench.tell(receipt("c1", at_ms=bench.redis.clock_ms()))
    await bench.until_recorded()
    await bench.tell(submitted(one, "c1"))
    await bench.until_recorded()
    assert await bench.state(one) == "submitted"
    bench.start_matcher()

    async def delivered() -> bool:
        return await bench.state(one) == "delivered"

    await bench.until(delivered)
    assert await bench.value("select count(*) from receipts_waiting") == 0
    assert await bench.value("select matched_by from receipts where message_id = $1", one) == "id"
    assert [event.state for event in await bench.events(one)] == ["delivered"]
    await rollups_equal_rows(bench)


async def test_a_receipt_is_matched_by_another_spelling_of_the_carriers_id(bench: Bench) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1)))
    await bench.tell(submitted(one, "812FC7470000001B", sent_ms=now), receipt("9308878062554710043", at_ms=now))
    await bench.until_recorded()
    await retry(bench.pool, Days(bench.pool), now + SOON_MS)
    assert await bench.state(one) == "delivered"
    assert await bench.value("select matched_by from receipts") == "spelling"


async def test_a_receipt_for_the_one_id_of_all_parts_speaks_for_all(bench: Bench) -> None:
    one, two, now = bench.message_id(), bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1, parts=3)), (two, message(2)))
    await bench.tell(*(submitted(one, "0000000042", part=n, parts=3, sent_ms=now) for n in (1, 2, 3)))
    await bench.tell(submitted(two, "43", sent_ms=now), receipt("42", at_ms=now))
    await bench.until_recorded()
    await retry(bench.pool, Days(bench.pool), now + SOON_MS)
    assert (await bench.state(one), await bench.state(two)) == ("delivered", "submitted")
    assert await bench.value("select part from receipts where message_id = $1", one) == 0
    await rollups_equal_rows(bench)


async def test_the_form_of_a_carriers_ids_is_learnt_from_a_hit(bench: Bench) -> None:
    one, two, now = bench.message_id(), bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1)), (two, message(2)))
    await bench.tell(submitted(one, "0000001A", sent_ms=now), submitted(two, "m2", sent_ms=now))
    await bench.tell(receipt("26", at_ms=now))
    await bench.until_recorded()
    bench.start_matcher()

    async def learnt_it() -> bool:
        return await learnt.forms(bench.redis) == {"alpha": {"hex_padded_8": 1}}

    await bench.until(learnt_it)
    assert await bench.state(one) == "delivered"
    await learnt.forget_forms(bench.redis, "alpha")
    assert await learnt.forms(bench.redis) == {}


async def test_a_receipt_that_dropped_leading_zeros_finds_its_submission(bench: Bench) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1)))
    await bench.tell(submitted(one, "0000004711", sent_ms=now), receipt("4711", at_ms=now))
    await bench.until_recorded()
    await retry(bench.pool, Days(bench.pool), now + SOON_MS)
    assert await bench.state(one) == "delivered"


async def test_what_waits_for_receipts_is_counted_by_carrier_with_the_age_of_the_oldest(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    old, new = bench.message_id(now - 2 * 3_600_000), bench.message_id()
    await bench.accept((old, message(1)), (new, message(2)))
    await bench.tell(submitted(old, "c1", sent_ms=now), submitted(new, "c2", sent_ms=now))
    await bench.until_recorded()
    async with bench.pool.connection() as connection:
        found = await totals.awaited(connection, now)
    messages, oldest_ms = found["alpha"]
    assert messages == 2 and 0 <= now - 2 * 3_600_000 - oldest_ms < 60_000
    await bench.tell(receipt("c1", at_ms=now), receipt("c2", at_ms=now))
    await bench.until_recorded()
    async with bench.pool.connection() as connection:
        assert await totals.awaited(connection, now) == {}


async def test_a_receipt_finds_a_submission_of_five_weeks_ago_but_not_of_six(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    for days_ago, expected in ((34, "delivered"), (42, "submitted")):
        one = bench.message_id(now - days_ago * DAY_MS)
        await bench.accept((one, message(days_ago)))
        await bench.tell(submitted(one, f"c{days_ago}", sent_ms=now - days_ago * DAY_MS))
        await bench.until_recorded()
        await bench.restart()  # it would still remember what it wrote a moment ago
        await bench.tell(receipt(f"c{days_ago}", at_ms=now))
        await bench.until_recorded()
        for turn in range(1, 5):
            await retry(bench.pool, Days(bench.pool), now + turn * 1_000_000)
        assert await bench.state(one) == expected


async def test_what_matches_nothing_for_three_days_is_kept_as_an_orphan(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    await bench.tell(receipt("nobody", at_ms=now))
    await bench.until_recorded()
    await retry(bench.pool, Days(bench.pool), now + GIVE_UP_MS + 1)
    assert await bench.value("select count(*) from receipts_waiting") == 0
    assert await bench.value("select count(*) from receipts where message_id is null") == 1


async def _held(bench: Bench, number: int, **given: int) -> bytes:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(number)))
    await bench.tell(submitted(one, "", kind=3, reason="no_answer", sent_ms=now, **given), Held(one, 1, "no_answer"))
    await bench.until_recorded()
    assert await bench.state(one) == "unknown"
    return one


async def _orphan(bench: Bench, **given: object) -> None:
    now = bench.redis.clock_ms()
    await bench.tell(receipt("late-id", at_ms=now + 5_000, **given))
    await bench.until_recorded()
    for turn in range(1, 4):
        await retry(bench.pool, Days(bench.pool), now + turn * SOON_MS)


async def test_an_orphan_heals_the_only_uncertain_submission_that_fits(bench: Bench) -> None:
    one = await _held(bench, 1)
    await _held(bench, 2)
    await _orphan(bench, recipient="79160000001", sender="Sluice")
    assert await bench.state(one) == "delivered"
    row = await bench.pool.fetchrow("select kind, carrier_message_id from submissions where message_id = $1", one)
    assert tuple(row or ()) == (0, "late-id")
    assert await bench.value("select matched_by from receipts where message_id = $1", one) == "recipient"
    assert await bench.value("select cost_micro from messages where id = $1", one) == 2_500_000
    await rollups_equal_rows(bench)


async def test_an_orphan_with_addresses_as_in_the_submit_heals_what_it_is_about(bench: Bench) -> None:
    one = await _held(bench, 1)
    await _held(bench, 2)
    await _orphan(bench, recipient="Sluice", sender="79160000001")
    assert await bench.state(one) == "delivered"


async def test_an_orphan_that_fits_two_uncertain_submissions_matches_neither(bench: Bench) -> None:
    one, two = await _held(bench, 1), await _held(bench, 1)
    await _orphan(bench, recipient="79160000001")
    assert {await bench.state(one), await bench.state(two)} == {"unknown"}
    assert await bench.value("select count(*) from receipts_waiting") == 1


async def test_of_two_orphans_that_fit_one_uncertain_submission_only_one_is_its_receipt(bench: Bench) -> None:
    one = await _held(bench, 1)
    now = bench.redis.clock_ms()
    ids = ("late-id", "later-id")
    await bench.tell(*(receipt(name, at_ms=now + 5_000, recipient="79160000001") for name in ids))
    await bench.until_recorded()
    for turn in range(1, 4):
        await retry(bench.pool, Days(bench.pool), now + turn * SOON_MS)
    assert await bench.state(one) == "delivered"
    assert await bench.value("select count(*) from receipts where message_id = $1", one) == 1
    assert await bench.value("select count(*) from receipts_waiting") == 1
    await rollups_equal_rows(bench)


async def test_our_reference_in_an_orphan_tells_two_uncertain_submissions_apart(bench: Bench) -> None:
    one, two = await _held(bench, 1, echo=11), await _held(bench, 1, echo=22)
    await _orphan(bench, recipient="79160000001", echo=22)
    assert (await bench.state(one), await bench.state(two)) == ("unknown", "delivered")
    assert await bench.value("select matched_by from receipts where message_id = $1", two) == "echo"


async def test_a_message_without_a_receipt_expires_after_its_validity_and_a_grace(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    ids = [bench.message_id() for _ in range(4)]
    await bench.accept(*((one, message(n, callback_url="http://app/cb")) for n, one in enumerate(ids)))
    await bench.tell(
        submitted(ids[0], "c0"), submitted(ids[1], "", kind=3), Held(ids[1], 1, "no_answer"), submitted(ids[2], "c2")
    )
    await bench.tell(receipt("c2", at_ms=now))
    await bench.until_recorded()
    days = Days(bench.pool)
    assert not await expire(bench.pool, days, now + 3_600_000 + 1_000_000, grace_s=3600), "the grace has not passed"
    while await expire(bench.pool, days, now + 2 * 3_600_000 + 1_000_000, grace_s=3600):
        pass
    states = [await bench.state(one) for one in ids]
    assert states == ["expired", "expired", "delivered", "accepted"], "what waits in our own queue ends there"
    assert await bench.value("select reason from messages where id = $1", ids[0]) == "no_receipt"
    assert await bench.value("select count(*) from deadlines") == 1, "looked at again for the one that is open"
    await rollups_equal_rows(bench)
    await bench.tell(receipt("c0", at_ms=now + 1))
    await bench.until_recorded()
    assert await bench.state(ids[0]) == "delivered", "an expiry for want of a receipt yields to one"
    assert [(e.seq, e.state) for e in await bench.events(ids[0])] == [(1, "expired"), (2, "delivered")]
    await rollups_equal_rows(bench)


async def test_with_a_short_grace_a_message_without_a_receipt_ends_soon_after_it(bench: Bench) -> None:
    now, days = bench.redis.clock_ms(), Days(bench.pool)
    first, second = bench.message_id(), bench.message_id()
    await bench.accept((first, message(1, validity_s=20)), (second, message(2, validity_s=90)))
    await bench.tell(submitted(first, "c1"), submitted(second, "c2"))
    await bench.until_recorded()
    for seconds, states in (
        (19, ["submitted", "submitted"]),
        (25, ["expired", "submitted"]),
        (80, ["expired", "submitted"]),
        (97, ["expired", "expired"]),
    ):
        while await expire(bench.pool, days, now + seconds * 1000, grace_s=2):
            pass
        assert [await bench.state(one) for one in (first, second)] == states, f"after {seconds} s"
    assert not await expire(bench.pool, days, now + 97_500, grace_s=2), "it is not looked at again and again"
    while await expire(bench.pool, days, now + 1_000_000, grace_s=2):
        pass
    assert await bench.value("select count(*) from deadlines") == 0
    await rollups_equal_rows(bench)


async def test_with_a_short_grace_what_left_our_queue_after_its_time_ends_soon_as_well(bench: Bench) -> None:
    now, days, late = bench.redis.clock_ms(), Days(bench.pool), bench.message_id()
    await bench.accept((late, message(1, validity_s=20)))
    await bench.until_recorded()
    while await expire(bench.pool, days, now + 1_000_000, grace_s=2):
        pass
    assert await bench.state(late) == "accepted"
    await bench.tell(submitted(late, "c1"))
    await bench.until_recorded()
    while await expire(bench.pool, days, now + 1_004_000, grace_s=2):
        pass
    assert await bench.state(late) == "expired"


async def test_the_matcher_waits_while_postgres_is_away(
    valkey_url: str, own_postgres: Callable[..., Awaitable[Any]]
) -> None:
    server = await own_postgres()
    bench = await open_bench(valkey_url, server.url)
    bench.start()
    matcher = bench.start_matcher()
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1)))
    await bench.tell(receipt("c1", at_ms=now))
    await bench.until_recorded()
    await server.kill()
    await bench.tell(submitted(one, "c1"))
    await server.start()

    async def delivered() -> bool:
        return await bench.state(one) == "delivered"

    await bench.until(delivered)
    assert not matcher.done()
    await bench.close()
