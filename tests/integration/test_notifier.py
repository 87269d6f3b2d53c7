"""The notifier against real servers and real applications: signed, in order, again after a failure, once it can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.callbacks.event import event_id
from gateway.live.endpoints import publish
from gateway.notifier import slot
from gateway.notifier.slot import Slot
from gateway.store import endpoints
from tests.callback_receiver import OK, Desk, Request, desk, never, receiving, status


@pytest.fixture
async def d(valkey_url: str, postgres_url: str) -> AsyncIterator[Desk]:
    async with desk(valkey_url, postgres_url) as made:
        yield made


async def test_an_event_arrives_signed_and_is_booked(d: Desk) -> None:
    d.start()
    async with receiving() as app:
        endpoint = await d.endpoint(app.url)
        event = d.event(ref="order-1", tag="spring", meta='{"a":1}')
        await d.tell(endpoint, event)
        row = await d.booked(event, endpoint.id)
        (request,) = app.requests
        body = request.verify(endpoint.secret)
        assert request.headers["webhook-id"] == event_id(event.id, 1) == body["data"]["event_id"]
        assert (body["type"], body["data"]["ref"], body["data"]["meta"]) == ("message.delivered", "order-1", {"a": 1})
        assert (row["outcome"], row["status"], row["tries"], row["url"]) == ("delivered", 200, 1, app.url)
        assert await d.pool.fetchval("select count(*) from callback_batches") == 0
        assert request.path == "/hook" and request.headers["content-type"] == "application/json"


async def test_a_callback_url_is_signed_with_the_clients_own_secret(d: Desk) -> None:
    d.start()
    async with receiving() as app:
        event = d.event()
        await d.tell(app.url + "?order=7", event)
        await d.booked(event)
        (request,) = app.requests
        request.verify((await endpoints.callback_secret(d.pool, "shop")).secret)
        assert request.path == "/hook?order=7"


async def test_a_thousand_events_arrive_once_each_over_a_few_connections(d: Desk) -> None:
    d.start()
    async with receiving() as app:
        endpoint = await d.endpoint(app.url)
        events = [d.event() for _ in range(1_000)]
        await d.tell(endpoint, *events)
        await d.until("select count(*) = 1000 from callbacks where outcome = 'delivered'")
        assert len(app.requests) == 1_000 == len({e["data"]["event_id"] for e in app.events})
        assert app.connections <= 32


async def test_a_bundle_is_an_array_of_events_in_order(d: Desk) -> None:
    async with receiving() as app:
        endpoint = await d.endpoint(app.url, bundle=True)
        events = [d.event() for _ in range(700)]
        for n in range(0, 700, 70):
            await d.tell(endpoint, *events[n : n + 70])
        d.start()
        await d.until("select count(*) = 700 from callbacks where outcome = 'delivered'")
        assert sorted(len(request.events) for request in app.requests)[-1] == 500
        assert len(app.requests) <= 4
        body = app.requests[0].verify(endpoint.secret)
        assert [e["data"]["event_id"] for e in body] == [event_id(e.id, 1) for e in events[: len(body)]]


async def test_a_failure_is_kept_with_status_and_words_and_tried_again_with_the_same_id(d: Desk) -> None:
    d.start()
    async with receiving(status(500)) as app:
        endpoint = await d.endpoint(app.url)
        event = d.event()
        await d.tell(endpoint, event)
        row = await d.booked(event, endpoint.id)
        assert (row["status"], row["error"], row["outcome"], row["done_at"]) == (500, "answered 500", "", None)
        assert 3_900 < row["next_try_at"] - d.redis.clock_ms() < 6_100
        app.answer = lambda _: OK
        await d.hasten()
        row = await d.booked(event, endpoint.id, tries=2)
        assert (row["outcome"], row["tries"]) == ("delivered", 2)
        first, second = app.requests
        assert first.headers["webhook-id"] == second.headers["webhook-id"] and first.body == second.body


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the connection was closed before the answer"),
        (b"SMTP ready\r\n\r\n", "the server does not answer in HTTP"),
        (b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", "answered 302: redirects are not"),
        (
            b"HTTP/1.1 101 Other\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "the server does not answer in HTTP",
        ),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", "answered 400"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "the answer broke off"),
    ],
)
async def test_what_goes_wrong_is_said(d: Desk, answer: bytes, words: str) -> None:
    d.start()
    requests = 0

    async def once(_: Request) -> bytes:
        nonlocal requests
        requests += 1
        return answer

    async with receiving(once) as app:
        if b"Content-Le" in answer:
            app.answer = once
        event = d.event()
        await d.tell(app.url, event)
        if words == "the answer broke off":
            await app.got(1)
            await app.close()
        row = await d.booked(event)
        assert row["error"].startswith(words), row["error"]
        assert requests == 1, "a redirect is not followed"


async def test_nobody_listening_is_said(d: Desk) -> None:
    d.start()
    async with receiving() as app:
        url = app.url
    event = d.event()
    await d.tell(url, event)
    row = await d.booked(event)
    assert row["error"].endswith("refused the connection") and row["status"] == 0


async def test_a_long_body_is_not_read_to_its_end(d: Desk) -> None:
    d.start()
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 50_000

    async with receiving(lambda _: endless) as app:
        event = d.event()
        await d.tell(app.url, event)
        row = await d.booked(event)
        assert row["outcome"] == "delivered", "the status says all"


async def test_an_answer_of_410_disables_the_endpoint(d: Desk) -> None:
    d.start()
    async with receiving(status(410)) as app:
        endpoint = await d.endpoint(app.url)
        event, later = d.event(), d.event()
        await d.tell(endpoint, event)
        await d.until("select disabled_at is not null from endpoints where id = $1", endpoint.id)
        row = await d.booked(event, endpoint.id)
        assert (row["outcome"], row["status"], row["error"]) == ("failed", 410, "answered 410 Gone")
        assert await d.pool.fetchval("select count(*) from audit where what = 'endpoint.disable'") == 1

        async def forgotten() -> bool:
            return d.live.current().of("shop") is None

        async with asyncio.timeout(30):
            while not await forgotten():
                await asyncio.sleep(0.01)
        await d.tell(endpoint, later)
        row = await d.booked(later, endpoint.id, tries=0)
        assert row["outcome"] == "failed" and row["error"].startswith("the endpoint is disabled")
        assert len(app.requests) == 1


async def test_retry_after_is_kept_to(d: Desk) -> None:
    d.start()
    async with receiving(status(503, Retry_After="120")) as app:
        event, other = d.event(), d.event()
        await d.tell(app.url, event)
        row = await d.booked(event)
        assert row["next_try_at"] - d.redis.clock_ms() > 115_000
        await d.tell(app.url, other)
        await asyncio.sleep(0.3)  # nothing can be waited for: nothing happens
        assert len(app.requests) == 1, "the whole target rests"


async def test_both_secrets_sign_after_a_rotation(d: Desk) -> None:
    d.start()
    async with receiving() as app:
        endpoint = await d.endpoint(app.url)
        rotated = await endpoints.rotate(d.pool, "shop", endpoint.id, 60_000, who="test")
        assert rotated is not None
        await publish(d.pool, d.redis)
        while not app.requests or " " not in app.requests[-1].headers["webhook-signature"]:
            event = d.event()
            await d.tell(endpoint, event)
            await d.booked(event, endpoint.id)
        request = app.requests[-1]
        request.verify(endpoint.secret)
        request.verify(rotated.secret)


async def test_a_hundred_clients_are_not_slowed_by_one_that_hangs(d: Desk) -> None:
    d.start()
    async with receiving(never) as dead, receiving() as app:
        hanging = await d.endpoint(dead.url, "hanging")
        others = [await d.endpoint(app.url, f"client{n}") for n in range(99)]
        await d.tell(hanging, *(d.event() for _ in range(500)))
        await dead.got(1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for endpoint in others:
            await d.tell(endpoint, *(d.event() for _ in range(5)))
        await app.got(99 * 5)
        assert loop.time() - began < 30
        assert len(dead.requests) == 1, "one request at a time finds out that nobody answers"


async def test_events_of_one_message_come_in_order_also_after_a_failure(d: Desk) -> None:
    seen: list[int] = []

    def first_fails(request: Request) -> bytes:
        seen.append(request.document["data"]["seq"])
        return b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" if len(seen) == 1 else OK

    async with receiving(first_fails) as app:
        endpoint = await d.endpoint(app.url)
        one = d.message_id()
        first, second, third = (d.event(one, seq) for seq in (1, 2, 3))
        await d.tell(endpoint, first, second)
        d.start()
        await d.booked(first, endpoint.id)
        await d.booked(second, endpoint.id, tries=0)
        await d.tell(endpoint, third)
        await d.booked(third, endpoint.id, tries=0)
        assert seen == [1]
        await d.hasten()
        await d.until("select count(*) = 3 from callbacks where outcome = 'delivered'")
        assert seen == [1, 1, 2, 3]


async def test_another_notifier_takes_over_and_the_event_comes_again_with_its_id(d: Desk) -> None:
    async with receiving(never) as app:
        endpoint = await d.endpoint(app.url)
        event = d.event()
        await d.tell(endpoint, event)
        first = d.start()
        await app.got(1)
        app.answer = lambda _: OK
        second = d.start()
        await d.stop(first)
        await d.booked(event, endpoint.id)
        assert len({request.headers["webhook-id"] for request in app.requests}) == 1 and len(app.requests) == 2
        await d.stop(second)


async def test_rows_of_the_former_release_are_sent(d: Desk) -> None:
    async with receiving() as app:
        event = d.event()
        await d.pool.execute(
            "insert into callbacks (message_id, seq, at, next_try_at, client, url, state, reason)"
            " values ($1, 1, $2, $2, 'shop', $3, 'delivered', '')", event.id, event.at_ms, app.url
        )  # fmt: skip
        d.start()
        row = await d.booked(event)
        assert row["outcome"] == "delivered"


async def test_urls_that_fail_are_not_kept_in_memory(d: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may give any number of callback URLs, each at another host."""
    monkeypatch.setattr(slot, "_FORGET_S", 0.1)
    made: list[Slot] = []
    begin = Slot.run

    async def run(self: Slot) -> None:
        made.append(self)
        await begin(self)

    monkeypatch.setattr(Slot, "run", run)
    d.start()
    async with receiving(status(500)) as app:
        event = d.event()
        await d.tell(app.url, event)
        await d.booked(event)
        async with asyncio.timeout(30):
            while any(one._targets for one in made):
                await asyncio.sleep(0.01)
