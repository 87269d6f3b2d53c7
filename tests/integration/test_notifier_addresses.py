"""Where callbacks go: names are looked up and checked for each connection, TLS is verified, dead targets rest."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from gateway.callbacks.address import networks
from gateway.message import make_id
from gateway.notifier import target as target_module
from gateway.notifier.dial import Dialer
from gateway.store import outbox
from tests.callback_receiver import OK, Desk, desk, receiving, status

LOOPBACK = networks(("127.0.0.0/8",))


class Names:
    """A name server. `leads_to` may change between two looks."""

    def __init__(self, leads_to: str) -> None:
        self.leads_to, self.looks = leads_to, 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.looks += 1
        return [self.leads_to]


@pytest.fixture
async def d(valkey_url: str, postgres_url: str) -> AsyncIterator[Desk]:
    async with desk(valkey_url, postgres_url) as made:
        yield made


@pytest.mark.parametrize("leads_to", ["10.0.0.5", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1"])
async def test_a_name_that_leads_inside_is_refused_with_words_in_the_row(d: Desk, leads_to: str) -> None:
    d.start(Dialer((), resolve=Names(leads_to)))
    event = d.event()
    await d.tell("http://hooks.example/x", event)
    row = await d.booked(event)
    assert row["error"].startswith(f"hooks.example leads to {leads_to}, a") and "callbacks_allow" in row["error"]
    assert (row["status"], row["outcome"], row["done_at"]) == (0, "", None), "it is tried again, the name may change"


async def test_an_address_in_the_url_is_checked_as_well(d: Desk) -> None:
    d.start(Dialer(()))
    async with receiving() as app:
        event = d.event()
        await d.tell(app.url, event)
        row = await d.booked(event)
        assert "is a loopback address" in row["error"] and not app.requests


async def test_a_name_is_looked_up_and_checked_anew_for_each_connection(d: Desk) -> None:
    names = Names("127.0.0.1")
    d.start(Dialer(LOOPBACK, resolve=names))
    async with receiving(lambda _: OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as app:
        url = f"http://hooks.example:{app.url.split(':')[2]}"
        first, second = d.event(), d.event()
        await d.tell(url, first)
        assert (await d.booked(first))["outcome"] == "delivered"
        assert app.requests[0].headers["host"].startswith("hooks.example:"), "the name stays"
        names.leads_to = "192.168.1.1"
        await d.tell(url, second)
        row = await d.booked(second)
        assert "leads to 192.168.1.1, a private address" in row["error"]
        assert (len(app.requests), names.looks) == (1, 2)


async def test_tls_is_verified_by_the_name(d: Desk) -> None:
    authority = trustme.CA()
    ours, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("hooks.example").configure_cert(ours)
    authority.configure_trust(trusting)
    async with receiving(tls=ours) as app:
        port = app.url.split(":")[2].split("/")[0]
        task = d.start(Dialer(LOOPBACK, trusting, Names("127.0.0.1")))
        good, wrong = d.event(), d.event()
        await d.tell(f"https://hooks.example:{port}/", good)
        assert (await d.booked(good))["outcome"] == "delivered"
        await d.tell(f"https://other.example:{port}/", wrong)
        assert (await d.booked(wrong))["error"].startswith("TLS: the certificate of other.example is not valid")
        await d.stop(task)
        d.start(Dialer(LOOPBACK, resolve=Names("127.0.0.1")))
        stranger = d.event()
        await d.tell(f"https://hooks.example:{port}/", stranger)
        assert (await d.booked(stranger))["error"].startswith("TLS: the certificate of hooks.example is not valid")


async def test_a_connection_that_went_stale_is_nobodys_failure(d: Desk) -> None:
    d.start()
    async with receiving() as app:
        endpoint = await d.endpoint(app.url)
        first, second = d.event(), d.event()
        await d.tell(endpoint, first)
        await d.booked(first, endpoint.id)
        app.answer = lambda _: b"" if len(app.requests) == 2 else OK  # ends as the next request comes
        await d.tell(endpoint, second)
        row = await d.booked(second, endpoint.id)
        assert (row["outcome"], row["tries"], len(app.requests)) == ("delivered", 1, 3)


async def test_a_dead_endpoint_rests_while_its_events_wait_in_the_store_and_then_gets_them_all(
    d: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target_module, "MAX_REST_S", 0.5)
    d.start()
    async with receiving(status(503)) as app:
        endpoint = await d.endpoint(app.url)
        events = [d.event() for _ in range(300)]
        await d.tell(endpoint, *events)
        await d.until("select failing_since is not null from endpoints where id = $1", endpoint.id)
        assert len(app.requests) < 20, "most of it was not tried"
        assert await d.pool.fetchval("select count(*) from callback_batches") == 1
        app.answer = lambda _: OK
        await d.until("select count(*) = 300 from callbacks where outcome = 'delivered'")
        await d.until("select failing_since is null from endpoints where id = $1", endpoint.id)
        assert await d.pool.fetchval("select count(*) from callback_batches") == 0
        assert {e["data"]["event_id"] for e in app.events} == {f"evt_{e.id.hex()}_1" for e in events}


async def test_rows_that_are_over_are_deleted_in_small_steps_and_others_stay(d: Desk) -> None:
    old, young, waiting = (d.event(d.message_id(back_ms)) for back_ms in (9 * 86_400_000, 0, 9 * 86_400_000))
    async with d.pool.transaction() as connection:
        for event, done in ((old, 1), (young, 1), (waiting, None)):
            await connection.execute(
                "insert into callbacks (message_id, seq, at, next_try_at, client, url, state, reason, done_at)"
                " values ($1, 1, $2, $2, 'shop', 'http://app/', 'delivered', '', $3)", event.id, event.at_ms, done
            )  # fmt: skip
        before = make_id(d.redis.clock_ms() - 7 * 86_400_000, bytes(10))
        assert await outbox.remove_old(connection, before) == 1
    assert await d.row(old) is None and await d.row(young) and await d.row(waiting)


async def test_what_nobody_took_for_three_days_is_given_up_and_can_be_sent_again(d: Desk) -> None:
    async with receiving(status(500)) as app:
        endpoint = await d.endpoint(app.url)
        event = d.event(at_ms=d.redis.clock_ms() - 73 * 3_600_000)
        await d.tell(endpoint, event)
        d.start()
        row = await d.booked(event, endpoint.id, tries=0)
        assert row["outcome"] == "failed" and row["done_at"]
