"""STOP and START of subscribers, from a carrier's delivery to the stop lists, each exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.events import Came
from gateway.live.stops import LiveStops, publish
from gateway.plan.document import StopWords
from gateway.provider import Inbound
from gateway.receipts import inbound
from gateway.receipts.stop_requests import StopRequests
from gateway.store import stops
from gateway.store.stops import Listed
from tests.ledger_bench import Bench, message, open_bench, submitted

PHONE, NUMBER = "79160000001", "+79160000001"
WORDS = StopWords()


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


class Writing:
    """A subscriber, a second between his messages."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.changes = bench, 0
        self._at_ms = bench.redis.clock_ms()

    def changed(self) -> None:
        self.changes += 1

    async def write(self, *texts: str, sender: str = PHONE, to: str = "1234", words: StopWords = WORDS) -> None:
        for text in texts:
            self._at_ms += 1000
            await self.bench.tell(Came("alpha", self._at_ms, Inbound(sender, to, text)))
        await self.bench.until_recorded()
        await inbound.hear(self.bench.pool, (), self._at_ms + 1, requests=StopRequests(words, self.changed))

    async def entries(self) -> list[tuple[str, str, int, str]]:
        rows = await stops.of_number(self.bench.pool, NUMBER)
        return [(row.client, row.source, row.mask, row.reason) for row in rows]


async def sent_by(bench: Bench, client: str, sender: str) -> None:
    one = bench.message_id()
    await bench.accept((one, message(1, client=client, sender=sender)))
    await bench.tell(submitted(one, client, sent_ms=bench.redis.clock_ms()))
    await bench.until_recorded()


async def test_a_stop_holds_for_the_client_who_wrote_from_that_number(bench: Bench) -> None:
    await sent_by(bench, "shop", "1234")
    await sent_by(bench, "bank", "Bank")
    phone = Writing(bench)
    await phone.write("Стоп!")
    assert await phone.entries() == [("shop", "inbound", 8, "стоп")] and phone.changes == 1
    await publish(bench.pool, bench.redis)
    live = LiveStops(bench.redis)
    await live.load()
    assert live.which(NUMBER, "shop", "marketing") == "client" and live.which(NUMBER, "shop", "transactional") == ""
    assert live.which(NUMBER, "bank", "marketing") == ""
    who = await bench.pool.fetchrow("select who, what, details from audit where what like 'stoplist.%'")
    assert who is not None and (who["who"], who["what"]) == ("carrier alpha", "stoplist.add")
    assert who["details"]["source"] == "inbound" and PHONE not in str(who["details"])


async def test_without_a_message_that_it_could_answer_a_stop_holds_for_everybody(bench: Bench) -> None:
    phone = Writing(bench)
    await phone.write("STOP", words=StopWords(classes=("marketing", "transactional")))
    assert await phone.entries() == [("", "inbound", 12, "stop")]


async def test_start_takes_off_what_a_stop_put_there_and_nothing_else(bench: Bench) -> None:
    await sent_by(bench, "shop", "1234")
    await stops.add(bench.pool, [NUMBER], Listed("shop", 8, "operator", "anna", "complaint"))
    phone = Writing(bench)
    await phone.write("STOP", "START")
    assert await phone.entries() == [("shop", "operator", 8, "complaint")]
    await phone.write("START", "no words at all", "please STOP", "")
    assert await phone.entries() == [("shop", "operator", 8, "complaint")] and phone.changes == 1


async def test_a_stop_counts_however_soon_it_comes_again_and_a_repeated_start_does_not(bench: Bench) -> None:
    phone = Writing(bench)
    await phone.write("STOP", "START")
    assert await phone.entries() == []
    await phone.write("STOP")
    assert len(await phone.entries()) == 1, "the same text within a minute, but no repetition of a carrier"
    await phone.write("START")
    assert len(await phone.entries()) == 1, "a carrier may have repeated it: in doubt nothing is sent"


async def test_a_wish_counts_once_when_two_matchers_look(bench: Bench) -> None:
    await bench.tell(Came("alpha", bench.redis.clock_ms(), Inbound(PHONE, "1234", "STOP")))
    await bench.until_recorded()
    now = bench.redis.clock_ms() + 10
    await asyncio.gather(*(inbound.hear(bench.pool, (), now) for _ in range(4)))
    assert await bench.value("select count(*) from audit where what = 'stoplist.add'") == 1


async def test_a_transaction_that_breaks_leaves_neither_entry_nor_settled_message(bench: Bench) -> None:
    await bench.tell(Came("alpha", bench.redis.clock_ms(), Inbound(PHONE, "1234", "STOP")))
    await bench.until_recorded()
    await bench.pool.execute("alter table inbound add constraint broken check (role <> 'message') not valid")
    with pytest.raises(asyncpg.CheckViolationError):
        await inbound.hear(bench.pool, (), bench.redis.clock_ms() + 10)
    assert await stops.of_number(bench.pool, NUMBER) == []
    await bench.pool.execute("alter table inbound drop constraint broken")
    await inbound.hear(bench.pool, (), bench.redis.clock_ms() + 10)
    assert len(await stops.of_number(bench.pool, NUMBER)) == 1


async def test_who_is_no_number_cannot_be_put_on_a_list(bench: Bench) -> None:
    phone = Writing(bench)
    await phone.write("STOP", sender="Bank")
    await phone.write("STOP", sender="1234")
    assert await bench.value("select count(*) from stops") == 0
