"""Connections to Redis: order, breaks, servers that cannot serve, and the clock."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.embedded.valkey import Valkey
from gateway.streams.link import Address, OutOfMemoryError, Redis, RedisAwayError, ScriptError, scripts
from gateway.streams.opening import Openness, close_shard, is_open, open_shard
from gateway.streams.wakes import Wakes
from tests.core_redis import Proxy, client, opened, until

MakeValkey = Callable[..., Awaitable[Valkey]]


def kill_connections(url: str) -> None:
    with client(url) as c:
        for kind in ("normal", "pubsub"):
            c.client_kill_filter(_type=kind, skipme=True)


async def test_replies_come_in_order_and_errors_belong_to_their_own_call(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        link = redis.link(0)
        futures = [link.send("INCR", "n") if n % 3 else link.send("LPUSH", "n", 1) for n in range(300)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert isinstance(results[0], int)  # n became a list
        assert all(isinstance(r, ScriptError) for n, r in enumerate(results) if n % 3)
        assert [r for n, r in enumerate(results) if not n % 3] == list(range(1, 101))


async def test_calls_under_way_fail_as_unknown_and_later_ones_at_once_until_it_is_back(
    valkey_url: str, tmp_path: Path
) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, opened(proxy.url) as redis:
        link = redis.link(0)
        proxy.match, proxy.cut_requests = b"never", 1
        with pytest.raises(RedisAwayError, match="before the reply"):
            await link.call("SET", "never", 1)
        await asyncio.wait_for(link.up(), 30)
        assert await link.call("GET", "never") is None


async def test_a_hundred_dropped_connections_mend_themselves(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        link = redis.new_link(0)
        for n in range(100):
            await asyncio.wait_for(link.up(), 30)
            if n % 2:
                link.send("INCR", "tries").add_done_callback(lambda f: f.cancelled() or f.exception())
            kill_connections(valkey_url)
            await until(lambda: not link.is_up, "noticing")
        await asyncio.wait_for(link.up(), 30)
        assert int(await link.call("GET", "tries") or 0) <= 50


async def test_a_server_that_hangs_counts_as_away(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    redis = await Redis.open(server.url, 1)
    try:
        os.kill(server.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(RedisAwayError):
            await redis.link(0).call("PING")
        assert 4 < time.monotonic() - began < 30
    finally:
        os.kill(server.pid, signal.SIGCONT)
        await redis.close()


async def test_a_server_that_still_loads_its_file_is_asked_again_soon(tmp_path: Path) -> None:
    asked = 0

    async def loading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"INFO")
        writer.write(b"-LOADING it\r\n" * len(scripts()) + b"$10\r\nrun_id:abc\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(loading, str(tmp_path / "s"))
    began = time.monotonic()
    with pytest.raises(RedisAwayError, match="LOADING"):
        await Redis.open(f"unix://{tmp_path}/s", 1, timeout_s=1.5)
    assert time.monotonic() - began < 30
    assert asked > 4
    server.close()


async def test_an_unreachable_server_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RedisAwayError, match="cannot be reached"):
        await Redis.open(f"unix://{tmp_path}/nobody.sock", 1, timeout_s=0.3)
    with pytest.raises(ValueError, match="redis://"):
        await Redis.open("http://127.0.0.1", 1)


async def test_scripts_that_were_flushed_are_loaded_again(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        link = redis.link(0)
        with client(valkey_url) as c:
            c.script_flush()
        with pytest.raises(RedisAwayError, match="NOSCRIPT"):
            await link.script("fence", (), ("north", 1))
        await until(lambda: not link.is_up, "the end of the old connection")
        await asyncio.wait_for(link.up(), 30)
        assert await link.script("fence", (), ("north", 1)) == 1


async def test_a_server_that_became_a_replica_is_away_until_it_is_a_master_again(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    async with opened(server.url) as redis:
        link = redis.link(0)
        with client(server.url) as c:
            c.slaveof("127.0.0.1", 1)
            with pytest.raises(RedisAwayError, match="READONLY"):
                await link.script("fence", (), ("north", 1))
            c.slaveof()

        async def works() -> bool:
            try:
                return bool(await link.script("fence", (), ("north", 1)))
            except RedisAwayError:
                return False

        await until(works, "writing again")


async def test_memory_that_is_full_refuses_new_messages_and_still_takes_outcomes(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    async with opened(server.url) as redis:
        link = redis.link(0)
        with client(server.url) as c:
            c.config_set("maxmemory", 1 << 20)
        with pytest.raises(OutOfMemoryError):
            await link.script("mark", (), (link.run_id, "north", 1, 0, "outbox:x", "1-1", "1-1"))
        assert await link.script("settle", (), (link.run_id, "north", 1, "w", 1, b"\x01\x90")) == b"late"
        assert await link.script("append", (), (link.run_id, "", 0, b"\x01\x90"))


async def test_the_clock_is_the_servers(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        with client(valkey_url) as c:
            seconds, micros = c.time()  # type: ignore[misc]
        assert abs(redis.clock_ms() - (seconds * 1000 + micros // 1000)) < 200


async def test_memory_use_is_measured_against_the_limit(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    async with opened(server.url) as redis:
        await until(lambda: 0 < redis.used() < 0.1, "measuring")
        with client(server.url) as c:
            c.config_set("maxmemory", 0)
        await until(lambda: redis.used() == 0.0, "measuring")


async def test_wakes_arrive_and_every_new_subscription_says_that_some_may_be_missing(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        heard: list[str] = []
        wakes = Wakes(redis, 0, "wake:intake", heard.append)
        await until(lambda: heard == [""], "the subscription")
        with client(valkey_url) as c:
            assert c.execute_command("SPUBLISH", "{0}:wake:intake", "otp:shop") == 1
            await until(lambda: heard[-1] == "otp:shop", "a wake")
            for n in range(3):
                kill_connections(valkey_url)
                await until(lambda n=n: heard.count("") == n + 2, "the new subscription")
            assert c.execute_command("SPUBLISH", "{0}:wake:intake", "alert:shop") == 1
            await until(lambda: heard[-1] == "alert:shop", "a wake")
        await wakes.close()


async def test_open_and_closed_shards_are_told_with_the_reason(valkey_url: str) -> None:
    redis = await Redis.open(valkey_url, 2)
    openness = Openness(redis)
    watching = asyncio.create_task(openness.run())
    try:
        await until(lambda: "waits for the recorder" in openness.closed(), "closed")
        for n in range(2):
            await open_shard(redis.link(n), n, redis.link(n).run_id)
            assert await is_open(redis.link(n))
        await until(lambda: openness.closed() == "", "open")
        await close_shard(redis.link(1), 1, "restored from an older file")
        await until(lambda: openness.closed() == "shard 1: restored from an older file", "closed")
    finally:
        watching.cancel()
        await redis.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:1/2", Address("h", 1, "", "", "", 2)),
        ("redis://:p%40ss@h", Address("h", 6379, "", "", "p@ss")),
        ("rediss://u:p@h:7", Address("h", 7, "", "u", "p", 0, True)),
        ("unix:///run/x.sock?db=3", Address("", 6379, "/run/x.sock", "", "", 3)),
    ],
)
def test_urls_are_read_and_passwords_never_shown(url: str, expected: Address) -> None:
    address = Address.parse(url)
    assert address == expected
    assert "p@ss" not in repr(address)


def test_recipients_spread_over_shards_by_their_digits() -> None:
    redis = Redis.__new__(Redis)
    redis.shards = 4
    spread = {redis.shard_of(f"+7916{n:07d}") for n in range(100)}
    assert spread == {0, 1, 2, 3}
    assert redis.shard_of("+79161234567") == zlib.crc32(b"79161234567") % 4
