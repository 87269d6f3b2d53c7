"""Accepting on a real Redis: verdicts, ids, refs, commits repeated after a lost reply, group commit, bounds."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.embedded.valkey import Valkey
from gateway.message import id_shard, id_text, id_time_ms, unpack_message
from gateway.streams import facts, packs
from gateway.streams.accept import BoundReachedError, ShardClosedError
from gateway.streams.link import Redis, RedisAwayError
from gateway.streams.lookup import find
from gateway.streams.opening import close_shard, open_shard
from tests.core_builders import ask
from tests.core_redis import Proxy, accepting, client, dump, opened, until

REF = b"a-ref-of-16bytes"
MakeValkey = Callable[..., Awaitable[Valkey]]


async def all_accepted(redis: Redis, shard: int = 0) -> list[bytes]:
    """Ids in the events stream, in order."""
    found: list[bytes] = []
    after = b"0-0"
    while entries := await facts.read(redis.link(shard), shard, after, 500):
        found += [i for entry in entries for i, _ in entry.accepted]
        after = entries[-1].id
    return found


async def test_an_accepted_message_stands_in_intake_and_in_events_under_one_id(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        (verdict,) = await acceptor.accept(0, [ask(1, text="привет", encoding="ucs2")])
        assert verdict.kind == "accepted"
        ((entry,),) = [e.messages for e in await packs.read(redis.link(0), "marketing:shop", b"0-0", 9)]
        (event,) = await facts.read(redis.link(0), 0, b"0-0", 9)
        assert entry.message_id == verdict.id == event.accepted[0][0]
        assert unpack_message(entry.value[16:]) == unpack_message(event.accepted[0][1])
        assert unpack_message(entry.value[16:]).text == "привет"
        assert (event.run, entry.journey) == (redis.link(0).run_id, b"")


async def test_ids_take_their_time_from_redis_and_carry_their_shard(valkey_url: str) -> None:
    async with opened(valkey_url, shards=3) as redis, accepting(redis) as acceptor:
        with client(valkey_url) as c:
            seconds, micros = c.time()  # type: ignore[misc]
        for shard in range(3):
            verdicts = await acceptor.accept(shard, [ask(n, shard=shard) for n in range(5)])
            for v in verdicts:
                assert id_shard(v.id) == shard
                assert 0 <= id_time_ms(v.id) - (seconds * 1000 + micros // 1000) < 5000
                assert id_text(v.id)[14] == "7"
            assert await all_accepted(redis, shard) == [v.id for v in verdicts]


async def test_a_lookup_right_after_accept_always_finds_the_message(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:

        async def one(n: int) -> None:
            (verdict,) = await acceptor.accept(0, [ask(n)])
            found = await find(redis, verdict.id)
            assert found is not None, f"{id_text(verdict.id)} is unknown"
            assert (found[0].to, found[1]) == (f"+7916{n:07d}", id_time_ms(verdict.id))

        async def bulk(n: int) -> None:
            verdicts = await acceptor.accept(0, [ask(n * 1000 + i) for i in range(500)])
            assert await find(redis, verdicts[-1].id) is not None

        for turn in range(25):
            await asyncio.gather(bulk(turn), *(one(turn * 40 + n) for n in range(40)))
        assert await find(redis, ask(1).tail[:6] + ask(1).tail) is None


async def test_a_ref_is_accepted_once_and_then_known(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        (first,) = await acceptor.accept(0, [ask(1, ref=REF)])
        (again,) = await acceptor.accept(0, [ask(1, ref=REF)])
        (other,) = await acceptor.accept(0, [ask(2, ref=REF)])
        assert [(v.kind, v.id) for v in (first, again, other)] == [
            ("accepted", first.id),
            ("duplicate", first.id),
            ("conflict", first.id),
        ]
        assert await all_accepted(redis) == [first.id]


async def test_duplicates_inside_one_batch_are_found_too(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        verdicts = await acceptor.accept(0, [ask(1, ref=REF), ask(2), ask(1, ref=REF), ask(3, ref=REF)])
        assert [v.kind for v in verdicts] == ["accepted", "accepted", "duplicate", "conflict"]
        assert verdicts[2].id == verdicts[3].id == verdicts[0].id
        assert len(await all_accepted(redis)) == 2


async def test_under_concurrency_each_ref_is_accepted_exactly_once(valkey_url: str) -> None:
    async with (
        opened(valkey_url) as redis,
        opened(valkey_url) as second,
        accepting(redis) as one,
        accepting(second) as two,
    ):

        async def go(n: int) -> tuple[int, str, bytes]:
            (v,) = await (one if n % 2 else two).accept(0, [ask(n % 50, ref=b"ref-%012d" % (n % 50))])
            return n % 50, v.kind, v.id

        got = await asyncio.gather(*(go(n) for n in range(1000)))
        kinds = Counter((ref, kind) for ref, kind, _ in got)
        assert all(kinds[ref, "accepted"] == 1 and kinds[ref, "duplicate"] == 19 for ref in range(50))
        assert len({i for _, _, i in got}) == 50
        assert len(await all_accepted(redis)) == 50


async def test_refs_are_forgotten_after_their_time_and_not_before(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis, ref_hours=1) as acceptor:
        (first,) = await acceptor.accept(0, [ask(1, ref=REF)])
        with client(valkey_url) as c:
            (book,) = c.keys("{0}:f:*")
            assert 172_000_000 < c.pttl(book) <= 176_400_000
            value, hour = c.hget(book, REF), 3_600_000
            for age_ms, kind in ((hour - 5_000, "duplicate"), (hour + 5_000, "accepted")):
                old = (id_time_ms(first.id) - age_ms).to_bytes(6, "big") + value[6:]
                c.hset(book, REF, old)
                (again,) = await acceptor.accept(0, [ask(1, ref=REF)])
                assert again.kind == kind
                assert (again.id == old[:16]) is (kind == "duplicate")


async def test_a_message_for_later_waits_there_and_is_known_at_once(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        due = redis.clock_ms() + 3_600_000
        later, now = await acceptor.accept(0, [ask(1, due_ms=due), ask(2, due_ms=redis.clock_ms() - 5000)])
        with client(valkey_url) as c:
            assert c.zrange("{0}:later", 0, -1, withscores=True) == [(later.id, due)]
            assert c.xlen("{0}:intake:marketing:shop") == 1
        assert await find(redis, later.id) is not None
        assert set(await all_accepted(redis)) == {later.id, now.id}


async def test_messages_that_arrive_together_share_scripts(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        verdicts = await asyncio.gather(*(acceptor.accept(0, [ask(n)]) for n in range(1000)))
        assert len({v[0].id for v in verdicts}) == 1000
        with client(valkey_url) as c:
            scripts = c.xlen("{0}:events")
        assert scripts <= 5, "one alone, one behind it, and the rest in full batches"


async def test_a_large_batch_goes_in_scripts_of_500_in_order(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        verdicts = await acceptor.accept(0, [ask(n) for n in range(1700)])
        entries = await facts.read(redis.link(0), 0, b"0-0", 100)
        assert [len(e.accepted) for e in entries] == [500, 500, 500, 200]
        assert await all_accepted(redis) == [v.id for v in verdicts]


@pytest.mark.parametrize("when", ["cut_replies", "cut_requests"])
async def test_a_commit_whose_reply_was_lost_is_repeated_and_accepted_once(
    valkey_url: str, tmp_path: Path, when: str
) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, opened(proxy.url) as redis, accepting(redis) as acceptor:
        proxy.match = b"bodybody"
        setattr(proxy, when, 1)
        (verdict,) = await acceptor.accept(0, [ask(1, text="bodybody")])
        assert proxy.cuts == 1
        assert len(proxy.requests) == 2, "it was sent again"
        assert verdict.kind == "accepted"
        assert await all_accepted(redis) == [verdict.id]
        ((entry,),) = [e.messages for e in await packs.read(redis.link(0), "marketing:shop", b"0-0", 9)]
        assert entry.message_id == verdict.id


async def test_lost_replies_under_load_lose_and_double_nothing(valkey_url: str, tmp_path: Path) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, opened(proxy.url) as redis, accepting(redis) as acceptor:
        proxy.match = b"EVALSHA"
        accepted: list[bytes] = []

        async def sender(base: int) -> None:
            for n in range(30):
                (verdict,) = await acceptor.accept(0, [ask(base * 100 + n)])
                accepted.append(verdict.id)

        async def trouble() -> None:
            for n in range(12):
                seen = len(accepted)
                setattr(proxy, "cut_replies" if n % 2 else "cut_requests", 1)
                await until(lambda seen=seen: len(accepted) > seen + 20 or len(accepted) == 900, "accepting")

        await asyncio.gather(trouble(), *(sender(n) for n in range(30)))
        assert proxy.cuts >= 8
        assert len(set(accepted)) == 900
        assert sorted(await all_accepted(redis)) == sorted(accepted)
        entries = await packs.read(redis.link(0), "marketing:shop", b"0-0", 2000)
        assert sum(len(e.messages) for e in entries) == 900
        assert await packs.depths(redis.link(0)) == {b"marketing:shop": 900}


async def test_the_same_commit_gives_the_same_verdicts_and_ids_whenever_it_is_repeated(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        asks = [ask(1), ask(2, ref=REF), ask(3, ref=REF), ask(4, due_ms=2_000_000_000_000)]
        first = await acceptor.accept(0, asks, b"commit-of-16-byt")
        before = dump(valkey_url)
        assert await acceptor.accept(0, asks, b"commit-of-16-byt") == first
        assert dump(valkey_url) == before
        async with opened(valkey_url) as other, accepting(other) as acceptor_elsewhere:
            assert await acceptor_elsewhere.accept(0, asks, b"commit-of-16-byt") == first
        with pytest.raises(ValueError, match="at most 500"):
            await acceptor.accept(0, [ask(n) for n in range(501)], b"commit-of-16-byt")


async def test_a_commit_id_is_remembered_as_long_as_a_ref(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis, ref_hours=2) as acceptor:
        await acceptor.accept(0, [ask(1)], b"commit-of-16-byt")
        with client(valkey_url) as c:
            assert 7_190_000 < c.pttl(b"{0}:i:commit-of-16-byt") <= 7_200_000


async def test_redis_away_is_told_at_once_and_over_when_it_is_back(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    async with opened(server.url) as redis, accepting(redis) as acceptor:
        (before,) = await acceptor.accept(0, [ask(1)])
        await server.kill()
        await until(lambda: not redis.link(0).is_up, "noticing")
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(RedisAwayError):
                await acceptor.accept(0, [ask(2)])
        assert time.monotonic() - began < 5  # of one that waited each would take seconds
        await server.start()
        await until(lambda: redis.link(0).is_up, "coming back")
        with pytest.raises(ShardClosedError):
            await acceptor.accept(0, [ask(3)])
        await open_shard(redis.link(0), 0, redis.link(0).run_id)
        (after,) = await acceptor.accept(0, [ask(4)])
        assert await all_accepted(redis) == [before.id, after.id], "what was accepted survived the kill"


async def test_a_kill_of_redis_under_load_loses_no_accepted_message(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    async with opened(server.url) as redis, accepting(redis) as acceptor:
        accepted: list[bytes] = []

        async def sender(base: int) -> None:
            for n in range(200):
                try:
                    (verdict,) = await acceptor.accept(0, [ask(base * 1000 + n)])
                except (RedisAwayError, ShardClosedError):
                    return
                accepted.append(verdict.id)

        senders = asyncio.gather(*(sender(n) for n in range(20)))
        await until(lambda: len(accepted) > 500, "accepting")
        await server.kill()
        await senders
        await server.start()
        await until(lambda: redis.link(0).is_up, "coming back")
        assert set(accepted) <= set(await all_accepted(redis))


async def test_what_repeating_cannot_settle_is_told_as_unknown_within_seconds(
    own_valkey: MakeValkey, tmp_path: Path
) -> None:
    server = await own_valkey()
    async with Proxy(tmp_path, server.url) as proxy, opened(proxy.url) as redis, accepting(redis) as acceptor:
        proxy.match, proxy.cut_replies = b"bodybody", 1
        accepting_one = asyncio.create_task(acceptor.accept(0, [ask(1, text="bodybody")]))
        await until(lambda: proxy.requests, "the request")
        await server.kill()
        began = time.monotonic()
        with pytest.raises(RedisAwayError):
            await accepting_one
        assert time.monotonic() - began < 30
        await server.start()
        await until(lambda: redis.link(0).is_up, "coming back")
        await open_shard(redis.link(0), 0, redis.link(0).run_id)
        (after,) = await acceptor.accept(0, [ask(2)])
        assert (await all_accepted(redis))[-1] == after.id


async def test_a_password_and_a_database_of_the_url_are_used(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    with client(server.url) as c:
        c.config_set("requirepass", "p@ss word")
        url = server.url.replace("unix://", "unix://:p%40ss%20word@") + "?db=2"
        async with opened(url) as redis, accepting(redis) as acceptor:
            await acceptor.accept(0, [ask(1)])
            await redis.link(0).call("SELECT", 0)
        with pytest.raises(RedisAwayError, match="NOAUTH"):
            await Redis.open(server.url, 1, timeout_s=0.5)
        c.execute_command("AUTH", "p@ss word")
        assert c.info("keyspace").keys() == {"db2"}


async def test_a_closed_shard_accepts_nothing_and_says_why(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        await close_shard(redis.link(0), 0, "the file is older than the ledger")
        before = dump(valkey_url)
        with pytest.raises(ShardClosedError, match="older than the ledger"):
            await acceptor.accept(0, [ask(1)])
        assert dump(valkey_url) == before


async def test_the_intake_bound_refuses_and_what_was_accepted_stays(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis, intake_limit=10) as acceptor:
        await acceptor.accept(0, [ask(n) for n in range(12)])

        async def refused() -> bool:
            try:
                await acceptor.accept(0, [ask(99)])
            except BoundReachedError:
                return True
            return False

        await until(refused, "the bound")
        count = len(await all_accepted(redis))
        with client(valkey_url) as c:
            c.delete("{0}:intake:marketing:shop", "{0}:depths")
        await until(lambda: _accepts(acceptor.accept(0, [ask(100)])), "room again")
        assert len(await all_accepted(redis)) == count + 1


async def _accepts(accepting: Awaitable[object]) -> bool:
    try:
        await accepting
    except BoundReachedError:
        return False
    return True


async def test_the_memory_bound_refuses_and_so_does_redis_itself(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    async with opened(server.url) as redis, accepting(redis) as acceptor:
        with client(server.url) as c:
            used = c.info("memory")["used_memory"]
            c.config_set("maxmemory", int(used * 1.2))
            await until(lambda: redis.used() >= 0.7, "measuring")
            with pytest.raises(BoundReachedError):
                await acceptor.accept(0, [ask(1)])
            c.config_set("maxmemory", 1 << 29)
            await until(lambda: redis.used() < 0.7, "measuring")
            c.config_set("maxmemory", int(used * 0.9))
            with pytest.raises(BoundReachedError):  # Redis refuses before our own measure says so
                await acceptor.accept(0, [ask(2)])
            assert c.xlen("{0}:events") == 0
        await facts.append(redis.link(0), 0, b"\x01\x90")


async def test_a_request_that_goes_away_takes_nobody_along(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        tasks = [asyncio.create_task(acceptor.accept(0, [ask(n)])) for n in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(r, list) for r in results[1::2])
        assert len(await all_accepted(redis)) >= 50
