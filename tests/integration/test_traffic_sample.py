"""A sample of the ledger stands for all of it: its weights add up to what the roll-ups counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from gateway.store.traffic import sample
from tests.ledger_bench import Bench, message, open_bench

HOUR_MS = 3_600_000


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


async def test_a_sample_gives_every_hour_its_weight_and_no_test_message(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    first = now // HOUR_MS * HOUR_MS - 2 * HOUR_MS
    sent = [
        (bench.message_id(first + hour * HOUR_MS + n * 1_000), message(n, client=client, klass=klass, parts=2))
        for hour, client, klass, count in ((0, "shop", "marketing", 600), (1, "bank", "otp", 60))
        for n in range(count)
    ]
    sent += [(bench.message_id(first + n), message(n, client="tester", test=True)) for n in range(50)]
    await bench.accept(*sent)
    await bench.until_recorded()
    found = await sample(bench.pool, first + 5, now, most=66, rng=random.Random(7))
    weights = Counter[str]()
    for one in found:
        weights[one.client] += one.weight
    assert 60 <= len(found) <= 66
    assert round(weights["shop"]) == 600 and round(weights["bank"]) == 60 and "tester" not in weights
    assert {(one.klass, one.parts, one.encoding, one.sender) for one in found} == {
        ("marketing", 2, "gsm7", "Sluice"),
        ("otp", 2, "gsm7", "Sluice"),
    }
    assert all(one.to.startswith("+7916") and first <= one.accepted_ms < now for one in found)
    whole = await sample(bench.pool, first, now)
    assert len(whole) == 660 and all(one.weight == 1.0 for one in whole)
    assert await sample(bench.pool, first + HOUR_MS, now, most=5) and await sample(bench.pool, 0, 1_000) == []
