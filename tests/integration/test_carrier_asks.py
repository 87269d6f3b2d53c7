"""query_sm and cancel_sm: from whoever asks, over Redis, to a carrier on a socket, and what comes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.connector.asking import serve_asks
from gateway.events import AnyFact, Ended, Held, Received
from gateway.message import id_tail, id_text, make_id
from gateway.provider import Kind, Provider, Sent
from gateway.receipts import overdue
from gateway.receipts.overdue import Asked, ask_overdue
from gateway.smpp import pdu
from gateway.streams import asks, carriers, learnt
from gateway.streams.asks import Ask, Reply, Unit
from gateway.streams.link import Redis
from providers import smpp
from tests.api_server import Api, running
from tests.contract.carrier import Desk, Watch
from tests.contract.smpp_carrier import SmppCarrier
from tests.ledger_bench import Bench, message, open_bench, submitted

ONE = make_id(1_795_300_000_000, id_tail(0, bytes(9)))


@pytest.fixture
async def smsc() -> AsyncIterator[SmppCarrier]:
    carrier = SmppCarrier(Watch())
    await carrier.start()
    yield carrier
    await carrier.leave()


@asynccontextmanager
async def bound(smsc: SmppCarrier, **more: Any) -> AsyncIterator[Any]:
    desk = Desk(smsc.watch)
    table = {"host": "127.0.0.1", "port": smsc.port, "system_id": "account", "password": smsc.secret}
    provider = smpp.open("alpha", table | {"query": True, "cancel": True} | more, desk.reports())
    await provider.start()
    await smsc.watch.until(lambda: provider.live)
    yield provider
    await provider.close(2.0)


def sent(name: str) -> Sent:
    return Sent(name, "Sluice", "+79160000001", "trx1")


async def test_a_carrier_is_asked_by_id_and_its_answer_is_a_receipt(smsc: SmppCarrier) -> None:
    smsc.known = {"c1": 2, "c2": 5, "c3": 7}
    async with bound(smsc) as provider:
        found = [await provider.query(sent(name)) for name in ("c1", "c2", "c3", "c4")]
    assert [r and r.state for r in found] == ["delivered", "undeliverable", None, None]
    assert smsc.questions[0] == (pdu.QUERY_SM, "c1")


async def test_a_carrier_takes_back_refuses_or_does_not_say(smsc: SmppCarrier) -> None:
    smsc.known = {"c1": 1, "c2": 2, "c3": None}
    async with bound(smsc, answer_timeout_s=0.2) as provider:
        kinds = [(await provider.cancel(sent(name))).kind for name in ("c1", "c2", "c3")]
    assert kinds == [Kind.ACCEPTED, Kind.REFUSED, Kind.UNCERTAIN]


@asynccontextmanager
async def served(redis: Redis, provider: Provider, told: list[AnyFact]) -> AsyncIterator[None]:
    async def report(message_id: bytes, facts: Sequence[AnyFact]) -> None:
        told.extend(facts)

    task = asyncio.create_task(serve_asks(redis, "alpha", provider, report))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    redis = await Redis.open(valkey_url, 1)
    yield redis
    await redis.close()


def ask(kind: Any, *names: str) -> Ask:
    return Ask(kind, ONE, 1, [Unit(n, sent(name)) for n, name in enumerate(names, 1)])


@pytest.mark.parametrize(
    ("names", "reply", "facts"),
    [
        (("c1", "c1"), Reply("cancelled"), [Ended(ONE, "cancelled", "cancelled", 1, "carrier")]),
        (("c2",), Reply("refused", "0x11"), []),
        (("c3",), Reply("unknown"), []),
    ],
)
async def test_who_asks_for_a_cancel_hears_what_the_carrier_said(
    smsc: SmppCarrier, redis: Redis, names: Sequence[str], reply: Reply, facts: list[AnyFact]
) -> None:
    smsc.known = {"c1": 1, "c2": 2, "c3": None}
    told: list[AnyFact] = []
    async with bound(smsc, answer_timeout_s=0.3) as provider, served(redis, provider, told):
        assert await asks.wait(redis, "alpha", ask("cancel", *names), 10) == reply
    assert told == facts


async def test_parts_that_were_taken_back_are_told_when_others_were_not(smsc: SmppCarrier, redis: Redis) -> None:
    smsc.known = {"c1": 1, "c2": 2}
    told: list[Any] = []
    async with bound(smsc) as provider, served(redis, provider, told):
        assert await asks.wait(redis, "alpha", ask("cancel", "c1", "c2"), 10) == Reply("partly", "0x11")
    assert [(f.receipt.carrier_message_id, f.receipt.state) for f in told] == [("c1", "deleted")]


async def test_an_ask_that_nobody_serves_ends_by_itself(smsc: SmppCarrier, redis: Redis) -> None:
    assert await asks.wait(redis, "alpha", ask("cancel", "c1"), 0.2) is None
    told: list[Any] = []
    async with bound(smsc, cancel=False) as provider, served(redis, provider, told):
        assert await asks.wait(redis, "alpha", ask("cancel", "c1"), 0.5) is None  # its settings do not allow it
    assert not smsc.questions


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


async def test_an_overdue_receipt_is_asked_for_once_and_settles_the_message(smsc: SmppCarrier, bench: Bench) -> None:
    now = bench.redis.clock_ms()
    late, held, early = (bench.message_id(now - 3_600_000 * 3) for _ in range(3))
    await bench.accept((late, message(1)), (held, message(2, parts=2)), (early, message(3, validity_s=86_400)))
    await bench.tell(submitted(late, "c1", sent_ms=now), submitted(early, "c9", sent_ms=now))
    await bench.tell(submitted(held, "c2", parts=2, sent_ms=now), Held(held, 1, "no_answer"))
    await bench.until_recorded()
    smsc.known = {"c1": 2, "c2": 2}
    await carriers.report(bench.redis, "alpha", {"can_query": True, "live": True, "at_ms": now})
    asked = Asked()
    told: list[AnyFact] = []
    async with bound(smsc) as provider, served(bench.redis, provider, told):
        assert await ask_overdue(bench.pool, bench.redis, 3 * 86_400, asked) == 2
        await smsc.watch.until(lambda: len(smsc.questions) == 2)
        await bench.until(lambda: _count(told, 2))
        assert await ask_overdue(bench.pool, bench.redis, 3 * 86_400, asked) == 0
    await bench.tell(*told)
    await bench.until_recorded()
    assert [await bench.state(one) for one in (late, held, early)] == ["delivered", "unknown", "submitted"]
    assert all(isinstance(fact, Received) for fact in told)


async def test_after_a_restart_overdue_messages_are_asked_about_by_pieces_and_none_is_forgotten(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "WAITING", 3)
    now, grace_s = bench.redis.clock_ms(), 3 * 86_400
    ids = [bench.message_id(now - 3_600_000 * 3) for _ in range(8)]
    await bench.accept(*((one, message(n)) for n, one in enumerate(ids)))
    await bench.tell(*(submitted(one, f"c{n}", sent_ms=now) for n, one in enumerate(ids)))
    await bench.until_recorded()
    there = {"can_query": True, "live": True, "at_ms": now}
    asked = Asked()

    async def look() -> list[bytes]:
        """What is asked in one look; nobody has taken it yet."""
        count = await ask_overdue(bench.pool, bench.redis, grace_s, asked)
        assert await ask_overdue(bench.pool, bench.redis, grace_s, asked) == 0 or count < 3
        taken = await asks.take(bench.redis, "alpha", 100)
        assert len(taken) == count
        return [one.message_id for one in taken]

    for away in ({}, {"live": False}, {"at_ms": now - 60_000}, {"can_query": False}):
        await carriers.report(bench.redis, "alpha", (there | away) if away else {})
        assert await look() == []  # what nobody takes within a minute would be lost
    await carriers.report(bench.redis, "alpha", there)
    found = await look() + await look() + await look()
    assert found == sorted(ids)
    assert await look() == []
    asked = Asked()  # the process is another one: all of it again, as slowly
    assert await look() + await look() + await look() == sorted(ids)


async def test_what_a_carrier_did_not_answer_is_asked_again_after_half_of_the_grace(bench: Bench) -> None:
    now, asked = bench.redis.clock_ms(), Asked()
    one = bench.message_id(now - 3_600_000 * 3)
    await bench.accept((one, message(1)))
    await bench.tell(submitted(one, "c1", sent_ms=now))
    await bench.until_recorded()
    await carriers.report(bench.redis, "alpha", {"can_query": True, "live": True, "at_ms": now})
    assert await ask_overdue(bench.pool, bench.redis, 86_400, asked) == 1
    assert await ask_overdue(bench.pool, bench.redis, 86_400, asked) == 0
    for progress in asked._progress.values():
        progress.done_ms -= 43_201_000
    assert await ask_overdue(bench.pool, bench.redis, 86_400, asked) == 1


async def _count(told: list[AnyFact], number: int) -> bool:
    return len(told) == number


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


@pytest.mark.parametrize(("state", "status"), [(1, 200), (2, 409), (None, 409)])
async def test_a_submitted_message_is_cancelled_where_its_carrier_takes_it_back(
    api: Api, bench: Bench, smsc: SmppCarrier, state: int | None, status: int
) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1, client="acme")))
    await bench.tell(submitted(one, "c1", sent_ms=now))
    await bench.until_recorded()
    path = f"/v1/messages/{id_text(one)}/cancel"
    refused = await api.post(path, {})
    assert (refused.status, refused.code) == (409, "too_late") and not smsc.questions
    smsc.known = {"c1": state}
    told: list[AnyFact] = []
    await carriers.report(bench.redis, "alpha", {"can_cancel": True, "live": True})
    async with bound(smsc, answer_timeout_s=0.3) as provider, served(bench.redis, provider, told):
        answer = await api.post(path, {})
    assert (answer.status, smsc.questions) == (status, [(pdu.CANCEL_SM, "c1")])
    await bench.tell(*told)
    await bench.until_recorded()
    assert await bench.state(one) == ("cancelled" if status == 200 else "submitted")


async def test_what_a_carrier_owes_is_shown_with_its_state(api: Api) -> None:
    await carriers.report(api.redis, "alpha", {"live": True})
    await learnt.put_awaited(api.redis, {"alpha": learnt.Awaited(7, 1_795_300_000_000)})
    (shown,) = (await api.get("/v1/carriers", key="ops")).json["carriers"]
    assert shown["status"]["receipts_awaited"] == 7
    assert shown["status"]["receipts_awaited_since_ms"] == 1_795_300_000_000
