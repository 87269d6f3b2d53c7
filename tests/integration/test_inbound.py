"""Subscribers' messages against real servers: put together, given to their client, told once, read over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from gateway.callbacks.audience import Audience, Listener
from gateway.callbacks.event import document
from gateway.events import Came, Received
from gateway.message import id_text
from gateway.plan.document import InboundRule
from gateway.provider import Inbound, Receipt
from gateway.receipts.assembly import PARTS_MS
from gateway.receipts.inbound import hear
from gateway.receipts.retry import retry
from gateway.store import messages
from gateway.store.days import Days
from tests.api_server import Api, running
from tests.ledger_bench import Bench, message, open_bench, submitted

AUDIENCE = Audience([Listener("ep_1", "shop", ("inbound",)), Listener("ep_2", "votes", ("inbound",))])
PHONE = "79160000001"
RULES = (InboundRule(client="votes", number="1234", keyword="vote"),)


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


async def came(bench: Bench, *texts: str, total: int = 0, sender: str = PHONE, to: str = "1234", ref: int = 7) -> int:
    """Texts as a carrier delivers them; with a total they are parts, numbered as they come."""
    now = bench.redis.clock_ms()
    for number, text in enumerate(texts, 1):
        segment = (ref, total, number) if total else ()
        await bench.tell(Came("alpha", now + number, Inbound(sender, to, text, segment, "trx1")))
    await bench.until_recorded()
    return now


async def told(bench: Bench) -> list[dict[str, Any]]:
    found = [json.loads(document(event)) for event in await bench.events()]
    assert all(body["type"] == "message.inbound" for body in found)
    return [body["data"] for body in found]


async def test_a_reply_goes_to_the_client_who_wrote_last_with_the_message_it_replies_to(bench: Bench) -> None:
    other, one = bench.message_id(), bench.message_id()
    await bench.accept(
        (other, message(1, client="bank", sender="Bank")), (one, message(1, ref="order-1", sender="1234"))
    )
    now = bench.redis.clock_ms()
    await bench.tell(submitted(one, "c1", sent_ms=now), submitted(other, "c2", sent_ms=now))
    now = await came(bench, "Yes, please")
    assert await hear(bench.pool, (), now + 10, AUDIENCE) == 1
    (data,) = await told(bench)
    assert (data["from"], data["to"], data["text"], data["carrier"]) == ("+" + PHONE, "1234", "Yes, please", "alpha")
    assert data["reply_to"] == {"id": id_text(one), "ref": "order-1", "tag": None}
    assert await hear(bench.pool, (), now + 1000, AUDIENCE) == 0 and len(await told(bench)) == 1
    assert await bench.value("select client from inbound where role = 'message'") == "shop"


async def test_a_rule_of_the_plan_comes_first_and_shows_no_message_of_another_client(bench: Bench) -> None:
    one = bench.message_id()
    await bench.accept((one, message(1)))
    await bench.tell(submitted(one, "c1", sent_ms=bench.redis.clock_ms()))
    now = await came(bench, "Vote 7")
    await hear(bench.pool, RULES, now + 10, AUDIENCE)
    (data,) = await told(bench)
    assert data["reply_to"] is None and data["text"] == "Vote 7"
    assert await bench.value("select client from inbound") == "votes"


async def test_what_nobody_wrote_for_is_kept_without_a_client(bench: Bench) -> None:
    now = await came(bench, "hello")
    assert await hear(bench.pool, (), now + 10, AUDIENCE) == 1
    assert await told(bench) == [] and await bench.value("select role || client from inbound") == "message"


async def test_parts_are_waited_for_and_told_once_when_two_matchers_look(bench: Bench) -> None:
    now = await came(bench, "one ", "two ", total=3)
    assert await hear(bench.pool, RULES, now + 10, AUDIENCE) == 0
    await bench.tell(Came("alpha", now + 50, Inbound(PHONE, "1234", "three", (7, 3, 3), "trx2")))
    await bench.tell(Came("alpha", now + 60, Inbound(PHONE, "1234", "one ", (7, 3, 1), "trx2")))
    await bench.until_recorded()
    rules = (InboundRule(client="votes"),)
    settled = await asyncio.gather(*(hear(bench.pool, rules, now + 100, AUDIENCE) for _ in range(4)))
    assert sum(settled) == 4
    (data,) = await told(bench)
    assert (data["text"], data["parts"], data["missing"]) == ("one two three", 3, 0)
    roles = await bench.pool.fetch("select role, count(*) from inbound group by 1 order by 1")
    assert [tuple(row) for row in roles] == [("message", 1), ("part", 2), ("repeat", 1)]


async def test_a_part_that_never_comes_is_not_waited_for_for_ever(bench: Bench) -> None:
    now = await came(bench, "one ", total=2)
    assert await hear(bench.pool, (InboundRule(client="votes"),), now + 10, AUDIENCE) == 0
    assert await hear(bench.pool, (InboundRule(client="votes"),), now + PARTS_MS - 10, AUDIENCE) == 0
    assert await hear(bench.pool, (InboundRule(client="votes"),), now + PARTS_MS + 10, AUDIENCE) == 1
    (data,) = await told(bench)
    assert (data["text"], data["parts"], data["missing"]) == ("one ", 1, 1)


async def test_what_a_carrier_delivers_again_is_told_once(bench: Bench) -> None:
    now = await came(bench, "hello")
    await hear(bench.pool, (InboundRule(client="votes"),), now + 10, AUDIENCE)
    await bench.tell(Came("alpha", now + 900, Inbound(PHONE, "1234", "hello", (), "trx1")))
    await bench.until_recorded()
    assert await hear(bench.pool, (InboundRule(client="votes"),), now + 1000, AUDIENCE) == 1
    assert len(await told(bench)) == 1
    assert await bench.value("select count(*) from inbound where role = 'repeat'") == 1


async def test_what_cannot_be_read_is_kept_raw_in_quarantine(bench: Bench) -> None:
    now = bench.redis.clock_ms()
    await bench.tell(Came("alpha", now, Inbound("", "", "", (), "trx1", b"\x00\x10damaged")))
    await bench.until_recorded()
    assert await hear(bench.pool, (), now + 10, AUDIENCE) == 1
    assert await hear(bench.pool, (), now + 10_000, AUDIENCE) == 0
    assert await bench.value("select raw from quarantine where what = 'inbound'") == b"\x00\x10damaged"


async def test_one_receipt_for_all_parts_speaks_for_them_after_waiting_too(bench: Bench) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1, parts=2)))
    await bench.tell(Received("alpha", now, Receipt("c1", "delivered", whole=True)))
    await bench.until_recorded()
    await bench.tell(submitted(one, "c1", parts=2), submitted(one, "c2", part=2, parts=2))
    await bench.until_recorded()
    await retry(bench.pool, Days(bench.pool), now + 60_000)
    assert await bench.state(one) == "delivered"


@pytest.mark.parametrize(
    ("states", "state", "delivered"),
    [
        (("delivered", "undeliverable", "delivered"), "undeliverable", 2),
        (("delivered", "delivered", "delivered"), "delivered", 3),
        (("undeliverable",), "undeliverable", 0),
    ],
)
async def test_an_undeliverable_part_decides_and_the_delivered_ones_are_counted(
    bench: Bench, states: Sequence[str], state: str, delivered: int
) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1, parts=3)))
    await bench.tell(*(submitted(one, f"c{n}", part=n, parts=3, sent_ms=now) for n in (1, 2, 3)))
    await bench.tell(*(Received("alpha", now, Receipt(f"c{n}", told)) for n, told in enumerate(states, 1)))
    await bench.until_recorded()
    found = await messages.get(bench.pool, one, "shop")
    assert found is not None and (found.state, found.parts_delivered) == (state, delivered)


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


async def test_a_client_reads_what_was_written_to_it_page_by_page(api: Api, bench: Bench) -> None:
    now = 0
    for number in range(5):
        now = await came(bench, f"text {number}", sender=f"7916000000{number}")
    await came(bench, "to another", to="4321")
    rules = (InboundRule(client="other", number="4321"), InboundRule(client="acme"))
    assert await hear(bench.pool, rules, now + 1000) == 6
    first = await api.get("/v1/inbound?limit=2")
    assert [m["text"] for m in first.json["messages"]] == ["text 4", "text 3"]
    second = await api.get(first.json["next"])
    third = await api.get(second.json["next"])
    assert [m["text"] for m in third.json["messages"]] == ["text 0"] and third.json["next"] is None
    found = await api.get("/v1/inbound?from=%2B79160000003&to=1234&since=2020-01-01T00:00:00Z")
    (shown,) = found.json["messages"]
    assert (shown["from"], shown["to"], shown["carrier"], shown["missing"]) == ("+79160000003", "1234", "alpha", 0)
    assert (await api.get("/v1/inbound?to=4321")).json["messages"] == []
    assert (await api.get("/v1/inbound?since=yesterday")).code == "query_invalid"
    assert (await api.get("/v1/inbound?colour=red")).code == "query_invalid"


BOOK = "id:{} sub:001 dlvrd:001 submit date:2611221000 done date:2611221001 stat:DELIVRD err:000 text:hello"


@pytest.mark.parametrize(("sender", "to"), [(PHONE, "Sluice"), ("Sluice", PHONE)])
async def test_a_receipt_without_its_flag_is_known_by_the_id_of_a_message_to_that_number(
    bench: Bench, sender: str, to: str
) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1)))
    await bench.tell(submitted(one, "0000004711", sent_ms=now))
    now = await came(bench, BOOK.format("4711"), sender=sender, to=to)
    assert await hear(bench.pool, RULES, now + 10, AUDIENCE) == 1
    await retry(bench.pool, Days(bench.pool), now + 10_000)
    assert await bench.state(one) == "delivered" and not await told(bench)
    assert await bench.value("select role from inbound") == "receipt"
    await came(bench, BOOK.format("4711"), sender=sender, to=to)  # the carrier repeats itself
    await hear(bench.pool, RULES, now + 20, AUDIENCE)
    assert not await told(bench)


async def test_a_subscribers_text_that_looks_like_a_receipt_stays_a_message(bench: Bench) -> None:
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(2)))
    await bench.tell(submitted(one, "4711", sent_ms=now))
    now = await came(bench, BOOK.format("4711"), BOOK.format("4712"))  # another's message; nobody's
    await hear(bench.pool, (InboundRule(client="shop"),), now + 10, AUDIENCE)
    assert len(await told(bench)) == 2 and await bench.state(one) == "submitted"
