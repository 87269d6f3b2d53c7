"""A real API server over sockets, with keys of two clients, for integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from gateway.api.app import Server, serve
from gateway.api.recipients import Recipients
from gateway.config import Settings
from gateway.live.keys import publish
from gateway.plan import document
from gateway.plan.choice import Compiled
from gateway.store import keys
from gateway.store.pool import Pool
from gateway.streams.link import Redis
from gateway.streams.opening import open_shard


class Plan:
    """The plan in use, as a test wants it."""

    def __init__(self) -> None:
        self.compiled: Compiled | None = None

    def current(self) -> Compiled | None:
        return self.compiled

    def ready(self, plan: document.Plan, version: int) -> Compiled:
        return Compiled(plan, version)


class Checks:
    """The checks of the process."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], str]] = {}

    def add(self, name: str, check: Callable[[], str]) -> None:
        self._checks[name] = check

    def reasons(self) -> dict[str, str]:
        return {name: check() for name, check in self._checks.items()}


class Answered:
    """A response, read whole."""

    def __init__(self, status: int, headers: Any, body: bytes, document: Any) -> None:
        self.status, self.headers, self.body, self.json = status, headers, body, document

    @property
    def code(self) -> str:
        """The problem's code."""
        return str(self.json["code"])


class Api:
    """The server and a client's view of it."""

    def __init__(self, server: Server, redis: Redis, pool: Pool, settings: Settings, secrets: dict[str, str]) -> None:
        self.server, self.redis, self.pool, self.settings, self.secrets = server, redis, pool, settings, secrets
        self.plan, self.checks = Plan(), Checks()
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def ask(
        self, method: str, path: str, *, key: str | None = "acme", headers: dict[str, str] | None = None, **given: Any
    ) -> Answered:
        """One request by the key of that name."""
        sent = {} if key is None else {"Authorization": f"Bearer {self.secrets.get(key, key)}"}
        async with self.http.request(method, self.server.url + path, headers=sent | (headers or {}), **given) as r:
            body = await r.read()
            document = await r.json(content_type=None) if "json" in r.headers.get("Content-Type", "") else None
            return Answered(r.status, r.headers, body, document)

    async def post(self, path: str, document: Any = None, **given: Any) -> Answered:
        return await self.ask("POST", path, **({"json": document} if document is not None else {}), **given)

    async def get(self, path: str, **given: Any) -> Answered:
        return await self.ask("GET", path, **given)

    async def make_key(self, name: str, client: str, **rights: Any) -> str:
        """A key that works at once."""
        key_id, self.secrets[name] = await keys.create_key(self.pool, client, who="test", **rights)
        await publish(self.pool, self.redis)
        return key_id


@asynccontextmanager
async def running(
    valkey_url: str, postgres_url: str, *, recipients: Recipients | None = None, **settings: Any
) -> AsyncIterator[Api]:
    """A server on a free port; keys `acme` and `other` may send and read all of their own, `ops` may everything."""
    chosen = Settings(redis_url=valkey_url, postgres_url=postgres_url, listen="127.0.0.1:0", **settings)
    redis = await Redis.open(valkey_url, chosen.shards)
    pool = await Pool.open(postgres_url)
    for shard in range(chosen.shards):
        await open_shard(redis.link(shard), shard, redis.link(shard).run_id)
    plan, checks = Plan(), Checks()
    server = await serve(chosen, redis, pool, plan, checks, recipients)
    api = Api(server, redis, pool, chosen, {})
    api.plan, api.checks = plan, checks
    try:
        own = ("send", "read", "stats", "privacy")
        await api.make_key("acme", "acme", scopes=own)
        await api.make_key("other", "other", scopes=own)
        await api.make_key("ops", "ops", scopes=keys.SCOPES)
        yield api
    finally:
        await api.http.close()
        await server.close()
        await pool.close()
        await redis.close()
