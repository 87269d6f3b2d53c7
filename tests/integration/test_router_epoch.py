"""An entry that was taken off while it lay read ahead is never moved on, neither by the router nor by the pump."""

from __future__ import annotations

import asyncio

import pytest

from gateway.connector import pump as pump_module
from gateway.plan.surroundings import Surroundings
from gateway.router.route import Intake
from gateway.streams import packs, reader
from gateway.streams.lease import Lease
from gateway.streams.link import Link
from tests.core_path import plan, running
from tests.core_redis import client, until


def strike(url: str, lane: str, entry: int, place: int) -> bytes:
    """What the cancel script does to a message in a pack; the message's id."""
    with client(url) as c:
        _, fields = c.xrange(f"{{0}}:intake:{lane}")[entry]
        message_id, _ = packs.unpack(fields[b"p"])[place]
        c.sadd(f"{{0}}:struck:{lane}", message_id)
        c.incr("{0}:epoch")
        return message_id


def take_off(url: str, stream: str, place: int) -> bytes:
    """What the cancel script does to an entry; the message's id."""
    with client(url) as c:
        entry_id, fields = c.xrange(stream)[place]
        c.xdel(stream, entry_id)
        c.incr("{0}:epoch")
        value: bytes = fields[b"m"]
        return value[:16]


def ids_in(url: str, stream: str) -> list[bytes]:
    with client(url) as c:
        return [fields[b"m"][:16] for _, fields in c.xrange(stream)]


def entries_in(url: str, stream: str) -> int:
    with client(url) as c:
        return c.xlen(stream)


async def test_the_router_forgets_all_it_read_ahead_when_something_was_taken_off(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        mine = await path.accept(600, client="a")
        others = await path.accept(100, client="b")
        lease = Lease(path.redis.link(0), "lease:router", "r", 30)
        await lease.acquire()
        gone: list[bytes] = []

        def live(carrier: str) -> bool:
            # Lane b is being routed: what lane a still has lies read ahead.
            with client(valkey_url) as c:
                routed = c.xlen("{0}:outbox:north:marketing:a")
            if routed == 500 and not gone:
                gone.append(strike(valkey_url, "marketing:a", 0, 50))
            return True

        intake = Intake(path.redis.new_link(0), lease.token, plan, lambda now: Surroundings(now_ms=now, live=live))
        await intake.link.up()
        routing = asyncio.create_task(intake.run())
        await until(
            lambda: (
                not entries_in(valkey_url, "{0}:intake:marketing:a") + entries_in(valkey_url, "{0}:intake:marketing:b")
            )
        )
        routing.cancel()
        assert gone == [mine[550]]
        assert ids_in(valkey_url, "{0}:outbox:north:marketing:a") == [i for i in mine if i not in gone]
        assert ids_in(valkey_url, "{0}:outbox:north:marketing:b") == others


async def test_the_pump_forgets_all_it_read_before_it_learnt_the_new_epoch(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        ids = await path.accept(30)
        await until(lambda: len(ids_in(valkey_url, "{0}:outbox:north:marketing:shop")) == 30, "routing")
        gone: list[bytes] = []
        looks = 0

        async def epoch(link: Link) -> bytes:
            nonlocal looks
            looks += 1
            if looks == 1:
                known = await reader.epoch(link)
                gone.append(take_off(valkey_url, "{0}:outbox:north:marketing:shop", 5))
                return known  # so the first mark is answered "moved"
            if looks == 2:
                pump = connector.pump
                assert pump is not None
                path.carrier().up = False  # no room: what is read on stays read ahead
                pump.told()
                await until(lambda: pump.lanes.backlog(), "reading on")
                gone.append(take_off(valkey_url, "{0}:outbox:north:marketing:shop", 20))
            return await reader.epoch(link)

        monkeypatch.setattr(pump_module, "epoch", epoch)
        connector = path.start_connector()
        await until(lambda: len(gone) == 2, "the second look")
        assert connector.pump is not None
        for _ in range(3):  # behind what the pump itself asks for after its look
            await connector.pump.links[0].call("PING")
        path.carrier().up = True
        connector.pump.wake()
        await path.drained()
        assert [s.message_id for s in path.submissions()] == [i for i in ids if i not in gone]
