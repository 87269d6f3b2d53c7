"""What else is kept in Redis: idempotency keys, batches, mirrors, carriers' states, the events stream itself."""

from __future__ import annotations

import asyncio

import pytest

from gateway.events import Batched, Held, pack_facts, unpack_facts
from gateway.message import id_tail, make_id
from gateway.streams import carriers, facts
from gateway.streams.accept import ShardClosedError
from gateway.streams.lease import Lease
from gateway.streams.link import RedisAwayError
from gateway.streams.lookup import find, find_batch, record_batch
from gateway.streams.mirror import Mirror
from gateway.streams.opening import close_shard
from gateway.streams.reserve import finish, release, reopen, reserve
from tests.core_builders import ask, message_id
from tests.core_redis import accepting, client, opened, until

BODY, OTHER = b"body-of-16-bytes", b"another-16-bytes"


async def test_an_idempotency_key_runs_once_and_then_repeats_its_answer(valkey_url: str) -> None:
    async with opened(valkey_url, shards=3) as redis:
        first = await reserve(redis, "shop", "k1", BODY)
        assert first.kind == "fresh"
        assert (await reserve(redis, "shop", "k1", BODY)).kind == "running"
        assert (await reserve(redis, "shop", "k1", OTHER)).kind == "mismatch"
        assert (await reserve(redis, "other", "k1", OTHER)).kind == "fresh", "another client's key is another key"
        await finish(redis, "shop", "k1", b'{"id":1}' * 1000)
        done = await reserve(redis, "shop", "k1", BODY)
        assert (done.kind, done.first_ms, done.response) == ("done", first.first_ms, b'{"id":1}' * 1000)
        assert (await reserve(redis, "shop", "k1", OTHER)).kind == "mismatch"


async def test_of_many_requests_with_one_key_exactly_one_runs(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        got = await asyncio.gather(*(reserve(redis, "shop", "k", BODY) for _ in range(200)))
        assert sorted({r.kind for r in got}) == ["fresh", "running"]
        assert sum(r.kind == "fresh" for r in got) == 1


async def test_a_reservation_whose_request_died_is_taken_up_again_as_of_its_first_time(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        first = await reserve(redis, "shop", "k", BODY)
        with client(valkey_url) as c:
            (key,) = c.keys("{0}:k:*")
            assert 71 * 3_600_000 < c.pttl(key) <= 72 * 3_600_000
            c.hset(key, "busy", 1)  # the half minute is over
        again = await reserve(redis, "shop", "k", BODY)
        assert (again.kind, again.first_ms) == ("fresh", first.first_ms)
        assert (await reserve(redis, "shop", "k", BODY)).kind == "running"
        await reopen(redis, "shop", "k")
        assert (await reserve(redis, "shop", "k", BODY)).kind == "fresh"
        await release(redis, "shop", "k")
        assert (await reserve(redis, "shop", "k", OTHER)).kind == "fresh"
        await reopen(redis, "shop", "never was")
        assert (await reserve(redis, "shop", "never was", OTHER)).kind == "fresh"


async def test_a_closed_shard_reserves_nothing(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        await close_shard(redis.link(0), 0, "why")
        with pytest.raises(ShardClosedError, match="why"):
            await reserve(redis, "shop", "k", BODY)


async def test_a_batch_is_at_hand_for_a_day(valkey_url: str) -> None:
    async with opened(valkey_url, shards=2) as redis:
        fact = Batched(make_id(1, id_tail(1)), "shop", 5, 1, 2)
        assert await find_batch(redis, fact.id) is None
        await record_batch(redis, fact)
        assert await find_batch(redis, fact.id) == fact
        assert await find_batch(redis, make_id(1, id_tail(700))) is None
        with client(valkey_url) as c:
            assert 86_000 < c.ttl(b"{1}:b:" + fact.id) <= 86_400


async def test_a_lookup_finds_nothing_that_never_was_and_reads_only_a_little_for_it(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        for n in range(30):
            await acceptor.accept(0, [ask(n * 500 + i) for i in range(500)])
        now = redis.clock_ms()
        for ms in (1, now - 5000, now, now + 60_000):
            with client(valkey_url) as c:
                c.config_resetstat()
                assert await find(redis, make_id(ms, id_tail(0))) is None
                calls = c.info("commandstats").get("cmdstat_xrange", {"calls": 0})["calls"]
            assert calls <= 2
        assert await find(redis, make_id(now, id_tail(900))) is None


async def test_a_lookup_works_while_the_clock_of_redis_is_behind_its_stream(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        ahead = redis.clock_ms() + 3_600_000
        with client(valkey_url) as c:
            c.xadd("{0}:events", {"r": "x", "F": pack_facts([])}, id=f"{ahead}-0")
        (verdict,) = await acceptor.accept(0, [ask(1)])
        found = await find(redis, verdict.id)
        assert found is not None
        assert found[0].to == "+79160000001"


async def test_events_are_read_page_by_page_and_trimmed_only_by_their_recorder(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        link = redis.link(0)
        assert await facts.last_event(link) == b"0-0"
        fact = Held(message_id(), 1, "no_answer")
        for n in range(7):
            await acceptor.accept(0, [ask(n)])
            await facts.append(link, 0, pack_facts([fact]))
        pages, after = [], b"0-0"
        while page := await facts.read(link, 0, after, 4):
            pages.append(len(page))
            after = page[-1].id
        assert (pages, after) == ([4, 4, 4, 2], await facts.last_event(link))
        entries = await facts.read(link, 0, b"0-0", 100)
        assert [bool(e.accepted) for e in entries] == [True, False] * 7
        assert unpack_facts(entries[1].facts) == [fact]
        assert {e.run for e in entries} == {link.run_id}
        lease = Lease(link, "lease:recorder", "r", 30)
        await lease.acquire()
        assert not await facts.trim(link, 0, entries[9].id, lease.token - 1)
        assert await facts.depth(link) == 14
        assert await facts.trim(link, 0, entries[9].id, lease.token)
        assert [e.id for e in await facts.read(link, 0, b"0-0", 100)] == [e.id for e in entries[10:]]


async def test_facts_of_a_numbered_writer_are_added_once(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        link, blob = redis.link(0), pack_facts([])
        assert await facts.append(link, 0, blob, "api-1", 1)
        assert await facts.append(link, 0, blob, "api-1", 1) == b""
        assert await facts.append(link, 0, blob, "api-2", 1)
        assert await facts.append(link, 0, blob, "api-1", 2)
        assert await facts.depth(link) == 3


async def test_a_mirror_only_goes_forward_and_tells_each_change_within_a_second(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, opened(valkey_url) as elsewhere:
        mirror, other = Mirror(redis), Mirror(elsewhere)
        assert await mirror.get("plan") is None
        heard: list[tuple[int, bytes]] = []
        watching = asyncio.create_task(other.watch("plan", lambda version, value: heard.append((version, value))))
        assert await mirror.put("plan", 1, b"one")
        await until(lambda: heard == [(1, b"one")], "the first", 2)
        assert not await mirror.put("plan", 1, b"uno")
        assert not await mirror.put("plan", 0, b"zero")
        assert await mirror.put("plan", 2, b"two")
        await until(lambda: heard[-1] == (2, b"two"), "the second", 2)
        with client(valkey_url) as c:
            c.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: redis.link(None).is_up and elsewhere.link(None).is_up, "new connections")
        await until(lambda: _put(mirror, 3, b"three"), "putting")
        await until(lambda: heard[-1] == (3, b"three"), "the third")
        assert len(heard) == 3
        late: list[int] = []
        second = asyncio.create_task(mirror.watch("plan", lambda version, _: late.append(version)))
        await until(lambda: late == [3], "what is there at once", 2)
        for task in (watching, second):
            task.cancel()


async def _put(mirror: Mirror, version: int, value: bytes) -> bool:
    try:
        await mirror.put("plan", version, value)
    except RedisAwayError:
        return False
    return True


async def test_modes_of_carriers_are_set_and_taken_back(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        assert await carriers.modes(redis) == {}
        await carriers.set_mode(redis, "north", "paused")
        await carriers.set_mode(redis, "south", "draining")
        assert await carriers.modes(redis) == {"north": "paused", "south": "draining"}
        await carriers.set_mode(redis, "north", "running")
        assert await carriers.modes(redis) == {"south": "draining"}
        await carriers.report(redis, "north", {"live": True, "at_ms": 5})
        assert await carriers.statuses(redis) == {"north": {"live": True, "at_ms": 5}}
