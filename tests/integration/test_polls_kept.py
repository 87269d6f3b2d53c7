"""The book of polls in a real Redis, and a carrier by HTTP whose process is another one after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from gateway.connector.connector import Connector, Work
from gateway.events import Received
from gateway.provider import Poll, Provider, Reports, Sent
from gateway.streams.link import Redis
from gateway.streams.polls import KEPT_S, Polls
from tests.contract.carrier import Watch
from tests.contract.web_carrier import AskedCarrier
from tests.core_path import SHARES, Path, running


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    redis = await Redis.open(valkey_url, 1)
    yield redis
    await redis.close()


def poll(number: int, before: int = 0) -> Poll:
    return Poll(1_795_300_000_000 + number, before, Sent(f"id-{number}", "Acme", "+79160000001", "http"))


async def test_a_book_gives_back_what_was_written_and_not_what_is_over(redis: Redis) -> None:
    book, others = Polls(redis, "alpha"), Polls(redis, "beta")
    assert await book.read() == []
    many = [poll(n) for n in range(1_200)]
    await book.write(many, [])
    await others.write([poll(7)], [])
    await book.write([poll(5, 1)], [p.sent.carrier_message_id for p in many[600:]])
    kept = {p.sent.carrier_message_id: p for p in await Polls(redis, "alpha").read()}
    assert kept == {p.sent.carrier_message_id: p for p in many[:600]} | {"id-5": poll(5, 1)}
    assert await others.read() == [poll(7)]


async def test_a_book_that_nobody_writes_in_ends(redis: Redis) -> None:
    await Polls(redis, "alpha").write([poll(1)], ["id-2"])
    assert 0 < await redis.link(None).call(b"TTL", "{g}:polls:alpha") <= KEPT_S


async def test_a_book_that_cannot_be_reached_says_so(redis: Redis) -> None:
    await redis.link(None).call(b"SET", "{g}:polls:alpha", b"a word")
    with pytest.raises(OSError, match="WRONGTYPE"):
        await Polls(redis, "alpha").read()
    with pytest.raises(OSError, match="WRONGTYPE"):
        await asyncio.wait_for(Polls(redis, "alpha").write([poll(1)], []), 10)


@contextlib.asynccontextmanager
async def process(path: Path, carrier: AskedCarrier) -> AsyncIterator[None]:
    """A process that has the carrier, and asks about messages an hour after it took them."""
    table = carrier.table() | carrier.settings()

    def made(reports: Reports) -> Provider:
        opened: Provider = carrier.kind.open(
            "north", table | {"ask": table["ask"] | {"after_s": [3600, 7200]}}, reports
        )
        return opened

    work = Work("north", 0.0, SHARES, made)
    connector = Connector(work, path.redis, "web", path.settings.lease_s, path.settings.memory_mark)
    task = asyncio.create_task(connector.run(), name="web connector")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,), timeout=15)


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_after_a_restart_what_is_overdue_is_asked_for_and_the_rest_in_its_time(valkey_url: str) -> None:
    carrier = AskedCarrier(Watch())
    await carrier.start()
    async with running(valkey_url) as path:
        path.start_router()
        book = Polls(path.redis, "north")
        async with process(path, carrier):
            await path.accept(20)
            await path.drained()

            async def all_kept() -> bool:
                return len(await book.read()) == 20

            await until(all_kept)
        polls = sorted(await book.read(), key=lambda poll: poll.sent.carrier_message_id)
        assert min(p.due_ms for p in polls) - path.redis.clock_ms() > 3_500_000  # nothing was asked yet
        carrier._became |= {p.sent.carrier_message_id: carrier.states["delivered"] for p in polls}
        overdue, rest = polls[:15], polls[15:]
        await book.write([msgspec.structs.replace(p, due_ms=p.due_ms - 7_200_000) for p in overdue], [])
        async with process(path, carrier):

            async def only_the_rest() -> bool:
                return len(await book.read()) == len(rest)

            await until(only_the_rest)
        assert sorted(await book.read(), key=lambda poll: poll.sent.carrier_message_id) == rest
        receipts = [fact.receipt for fact in await path.facts() if isinstance(fact, Received)]
        assert sorted(r.carrier_message_id for r in receipts) == [p.sent.carrier_message_id for p in overdue]
    await carrier.leave()
