"""A message whose receipt never comes: its carrier, the sandbox over a real socket, is asked before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.connector.asking import serve_asks
from gateway.embedded.sandbox.profile import make_profile
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from gateway.events import AnyFact
from gateway.provider import Provider, Reports, Submission
from gateway.receipts.expiry import expire
from gateway.receipts.last_questions import ANSWER_MS, LastQuestions
from gateway.store import messages
from gateway.store.days import Days
from gateway.streams import carriers
from providers import smpp
from tests.ledger_bench import Bench, message, open_bench, submitted

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LOSES_RECEIPTS = {
    "query": True,
    "receipts": 0,
    "cases": [{"suffix": "2", "stat": "UNDELIV"}, {"suffix": "3", "stat": "ENROUTE"}],
}


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


class Carrier:
    """Our provider at the sandbox, whose connector answers asks."""

    def __init__(self, bench: Bench, provider: Any) -> None:
        self.bench, self.provider, self.told = bench, provider, 0

    async def take(self, *numbers: str) -> list[str]:
        """Hand messages over; the sandbox's ids of them."""
        ids: dict[str, str] = {}
        done = asyncio.Event()

        def heard(batch: Any) -> None:
            ids.update({s.to: o.carrier_message_id for s, o in batch})
            if len(ids) == len(numbers):
                done.set()

        self.outcomes = heard
        fields: dict[str, Any] = {
            "attempt": 1,
            "part": 1,
            "parts": 1,
            "sender": "Sluice",
            "text": "Hello",
            "encoding": "gsm7",
        }
        far = self.bench.redis.clock_ms() + DAY_MS
        self.provider.submit(
            [
                Submission(bytes(15) + bytes((n,)), to=to, concat_ref=0, deadline_ms=far, klass="otp", echo=n, **fields)
                for n, to in enumerate(numbers)
            ]
        )
        async with asyncio.timeout(30):
            await done.wait()
        return [ids[to] for to in numbers]

    async def report(self, message_id: bytes, facts: Sequence[AnyFact]) -> None:
        await self.bench.tell(*facts)
        self.told += len(facts)


@asynccontextmanager
async def carrier_of(bench: Bench) -> AsyncIterator[Carrier]:
    sandbox = Sandbox(Smsc({"me": "secret"}, make_profile(LOSES_RECEIPTS)))
    await sandbox.open(("127.0.0.1", 0), ("127.0.0.1", 0))
    host, _, port = sandbox.smpp.rpartition(":")
    settings = {"host": host, "port": int(port), "system_id": "me", "password": "secret", "query": True}
    carrier: Carrier

    async def nothing(_: Any) -> None:
        raise AssertionError("the sandbox loses every receipt")

    live = asyncio.Event()
    reports = Reports(lambda batch: carrier.outcomes(batch), nothing, nothing, lambda link: live.set())
    provider: Provider = smpp.open("alpha", settings, reports)
    carrier = Carrier(bench, provider)
    await provider.start()
    task = asyncio.create_task(serve_asks(bench.redis, "alpha", provider, carrier.report))
    try:
        async with asyncio.timeout(30):
            while not provider.live:
                live.clear()
                await live.wait()
        yield carrier
    finally:
        task.cancel()
        await asyncio.wait([task])
        await provider.close(2.0)
        await sandbox.close()


async def overdue(bench: Bench, *carrier_ids: str, carrier: str = "alpha") -> list[bytes]:
    """Messages of three hours ago that the carrier took, worth something for an hour; no receipt came."""
    now = bench.redis.clock_ms()
    ids = [bench.message_id(now - 3 * HOUR_MS) for _ in carrier_ids]
    await bench.accept(*((one, message(n)) for n, one in enumerate(ids)))
    for one, name in zip(ids, carrier_ids, strict=True):
        await bench.tell(submitted(one, name, sent_ms=now - 3 * HOUR_MS, carrier=carrier))
    await bench.until_recorded()
    return ids


async def states(bench: Bench, ids: Sequence[bytes]) -> list[str | None]:
    return [await bench.state(one) for one in ids]


async def events(bench: Bench, one: bytes) -> list[tuple[str, str]]:
    found = await messages.get(bench.pool, one, None)
    assert found is not None
    return [(n.event, n.by) for n in (await messages.timeline(bench.pool, found)).notes]


async def test_what_the_carrier_knows_is_heard_before_the_rest_expires(bench: Bench) -> None:
    days, questions, now = Days(bench.pool), LastQuestions(bench.redis), bench.redis.clock_ms()
    async with carrier_of(bench) as carrier:
        known = await carrier.take("+79160000001", "+79160000002", "+79160000003")
        arrived, lost, open_ = ids = await overdue(bench, *known)
        (mute,) = await overdue(bench, "c9", carrier="beta")
        await carriers.report(bench.redis, "alpha", {"can_query": True, "live": True, "at_ms": now})
        while await expire(bench.pool, days, now, 60, questions=questions):
            pass
        assert await bench.state(mute) == "expired", "who cannot be asked is not waited for"

        async def answered() -> bool:
            return carrier.told == 2

        await bench.until(answered)
        await bench.until_recorded()
        assert await states(bench, ids) == ["delivered", "undeliverable", "submitted"]
        while await expire(bench.pool, days, now + ANSWER_MS - 2_000, 60, questions=questions):
            pass
        assert await bench.state(open_) == "submitted", "the carrier still has time to answer"
        while await expire(bench.pool, days, now + ANSWER_MS + 2_000, 60, questions=questions):
            pass
    assert await states(bench, ids) == ["delivered", "undeliverable", "expired"]
    assert await events(bench, open_) == [("asked", "alpha")]
    assert await events(bench, arrived) == [("asked", "alpha")] == await events(bench, lost)


async def test_a_carrier_that_is_away_is_waited_for_but_not_for_ever(bench: Bench) -> None:
    days, now = Days(bench.pool), bench.redis.clock_ms()
    async with carrier_of(bench) as carrier:
        (one,) = await overdue(bench, *await carrier.take("+79160000001"))
        (other,) = await overdue(bench, "c8", carrier="beta")
        away = {"can_query": True, "live": False, "at_ms": now}
        for name in ("alpha", "beta"):
            await carriers.report(bench.redis, name, away)
        questions = LastQuestions(bench.redis)
        while await expire(bench.pool, days, now, 60, questions=questions):
            pass
        assert await states(bench, (one, other)) == ["submitted", "submitted"]
        await carriers.report(bench.redis, "alpha", away | {"live": True})
        while await expire(bench.pool, days, now + ANSWER_MS + 1_000, 60, questions=questions):
            pass

        async def settled() -> bool:
            return await bench.state(one) == "delivered"

        await bench.until(settled)
        while await expire(bench.pool, days, now + 2 * DAY_MS, 60, questions=questions):
            pass
    assert await states(bench, (one, other)) == ["delivered", "expired"]
