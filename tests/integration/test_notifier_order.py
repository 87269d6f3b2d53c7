"""The events of one message stay in the order of `seq`, and lose nothing, however pauses and answers meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import asyncpg
import pytest

from gateway.notifier.slot import Slot
from gateway.store import outbox
from gateway.store.pool import StoreAwayError
from tests.callback_receiver import OK, Desk, Request, desk, receiving, status

_NO = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def d(valkey_url: str, postgres_url: str) -> AsyncIterator[Desk]:
    async with desk(valkey_url, postgres_url) as made:
        yield made


async def test_an_event_that_waits_for_an_earlier_one_stays_behind_it_when_both_are_due(d: Desk) -> None:
    async with receiving(status(500)) as app:
        endpoint = await d.endpoint(app.url)
        one = d.message_id()
        first, second = d.event(one, 1), d.event(one, 2)
        await d.tell(endpoint, first, second)
        d.start()
        await d.booked(first, endpoint.id)
        await d.booked(second, endpoint.id, tries=0)
        seen = len(app.requests)
        app.answer = lambda _: OK
        # As after some failures: the earlier event's pause has grown past that of the one that waits for it.
        now = d.redis.clock_ms()
        await d.pool.execute("update callbacks set next_try_at = $1 where seq = 2", now - 60_000)
        await d.pool.execute("update callbacks set next_try_at = $1 where seq = 1", now)
        await d.until("select count(*) = 2 from callbacks where outcome = 'delivered'")
        assert [event["data"]["seq"] for event in app.events[seen:]] == [1, 2]


async def test_an_event_that_waited_for_an_earlier_one_still_knows_its_own_url(d: Desk) -> None:
    async with receiving(status(500)) as app:
        one = d.message_id()
        first, second = d.event(one, 1, state="expired"), d.event(one, 2)
        await d.tell(app.url, first, second)
        d.start()
        await d.booked(first)
        row = await d.booked(second, tries=0)
        assert row["url"] == app.url
        app.answer = lambda _: OK
        await d.hasten()
        await d.until("select count(*) = 2 from callbacks where outcome = 'delivered'")


async def test_an_event_found_while_an_earlier_one_fails_stays_behind_it(
    d: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure comes between the look for new events and the look for rows that they have to wait for."""
    failing, looking = asyncio.Event(), asyncio.Event()
    look = outbox.waiting

    async def answer(_: Request) -> bytes:
        if len(app.requests) > 1:
            return OK
        await looking.wait()
        failing.set()
        return _NO

    async def late(*args: Any) -> set[bytes]:
        found = await look(*args)
        looking.set()
        async with asyncio.timeout(30):
            await failing.wait()
            while not any(slot._results.first for slot in slots):
                await asyncio.sleep(0.001)
        return found

    monkeypatch.setattr(outbox, "waiting", late)
    slots: list[Any] = []
    made = Slot.__init__

    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        slots.append(self)

    monkeypatch.setattr(Slot, "__init__", remember)
    async with receiving(answer) as app:
        endpoint = await d.endpoint(app.url)
        one = d.message_id()
        first, second = d.event(one, 1), d.event(one, 2)
        await d.tell(endpoint, first)
        d.start()
        await app.got(1)
        await d.tell(endpoint, second)
        await d.booked(second, endpoint.id, tries=0)
        assert [event["data"]["seq"] for event in app.events] == [1]
        await d.hasten()
        await d.until("select count(*) = 2 from callbacks where outcome = 'delivered'")
        assert [event["data"]["seq"] for event in app.events] == [1, 1, 2]


async def test_an_event_let_go_for_a_rest_is_not_overtaken_while_its_batch_is_still_in_hand(d: Desk) -> None:
    last, others = asyncio.Event(), asyncio.Event()
    slow, refused, one = [d.message_id() for _ in range(3)], d.message_id(), d.message_id()

    async def answer(request: Request) -> bytes:
        about = bytes.fromhex(request.document["data"]["id"].replace("-", ""))
        if about == refused and not others.is_set():
            return b"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
        if about in slow:
            await (last if about == slow[0] else others).wait()
        return OK

    def seqs() -> list[int]:
        return [e["data"]["seq"] for e in app.events if e["data"]["id"].replace("-", "") == one.hex()]

    async with receiving(answer) as app:
        endpoint = await d.endpoint(app.url)
        d.start(callbacks_connections=4)
        await d.tell(endpoint, *(d.event() for _ in range(100)))
        await d.until("select count(*) = 100 from callbacks where outcome = 'delivered'")
        await d.tell(endpoint, *map(d.event, slow), d.event(refused), d.event(one, 1))
        await d.until("select count(*) = 1 from callbacks where status = 429")
        await d.tell(endpoint, d.event(one, 2))
        await asyncio.sleep(2)  # nothing can be waited for: the rest is over, and the one after it too
        others.set()
        await d.until("select count(*) >= 102 from callbacks where outcome = 'delivered'")
        await asyncio.sleep(1.5)
        last.set()
        await d.until("select count(*) = 2 from callbacks where message_id = $1 and outcome = 'delivered'", one)
        assert seqs() == [1, 2]


async def test_events_that_were_fetched_when_postgres_went_away_are_fetched_again(
    d: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ask = 0, outbox.waiting

    async def waiting(connection: asyncpg.Connection, endpoint: str, ids: Collection[bytes]) -> set[bytes]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise StoreAwayError("PostgreSQL went away")
        return await ask(connection, endpoint, ids)

    monkeypatch.setattr(outbox, "waiting", waiting)
    async with receiving() as app:
        endpoint = await d.endpoint(app.url)
        one = d.message_id()
        await d.tell(endpoint, d.event(one, 1, state="submitted"), d.event(one, 2))
        d.start()
        await d.until("select count(*) = 2 from callbacks where outcome = 'delivered'")
        assert [event["data"]["seq"] for event in app.events] == [1, 2]
        assert asked > 1
