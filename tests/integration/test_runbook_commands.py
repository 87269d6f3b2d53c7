"""What runbooks ask of Redis and PostgreSQL can be asked."""

from __future__ import annotations

import shlex

import asyncpg
import pytest
import redis.asyncio

from tests.monitoring_documents import commands

LINES = [shlex.split(line) for line in commands()]


@pytest.mark.parametrize("words", [w for w in LINES if w[0] == "psql"], ids=lambda words: words[-1][:40])
async def test_postgresql_understands_the_query(words: list[str], postgres_url: str) -> None:
    assert words[1:3] == ["$SLUICE_POSTGRES_URL", "-c"]
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.fetch(words[3])
    finally:
        await connection.close()


@pytest.mark.parametrize("words", [w for w in LINES if w[0] == "redis-cli"], ids=lambda words: " ".join(words[3:]))
async def test_redis_understands_the_command(words: list[str], valkey_url: str) -> None:
    assert words[1:3] == ["-u", "$SLUICE_REDIS_URL"]
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        await client.execute_command(*words[3:])
