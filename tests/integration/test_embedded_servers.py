"""Valkey and PostgreSQL as `sluice up` starts them: start, kill, leftovers, stop."""

from __future__ import annotations

import asyncpg
import redis.asyncio


async def test_valkey_keeps_what_it_took_through_kill_9(own_valkey):
    server = await own_valkey()
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.set("a", "1")
    await server.kill()
    await server.start()
    async with redis.asyncio.Redis.from_url(server.url) as client:
        assert await client.get("a") == b"1"
        assert (await client.config_get("appendfsync"))["appendfsync"] == "always"


async def test_postgres_keeps_what_it_committed_through_kill_9(own_postgres):
    server = await own_postgres()
    connection = await asyncpg.connect(server.url)
    await connection.execute("create table a (x int); insert into a values (1)")
    await server.kill()
    await connection.close(timeout=1)
    await server.start()
    connection = await asyncpg.connect(server.url)
    assert await connection.fetchval("select x from a") == 1
    await connection.close()


async def test_the_shared_servers_start_empty(valkey_url, postgres_url):
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        assert await client.dbsize() == 0
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("select 1") == 1
    await connection.close()
