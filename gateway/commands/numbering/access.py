"""How `sluice numbers` reaches datasets: over HTTP with a key, or in PostgreSQL and Redis themselves.

In: settings, or the gateway's address and key. Out: the same answers either way. An expected no is a ClickException.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import click
import msgspec

from gateway.api.dataset_documents import DatasetView, NumberView, UnmappedView
from gateway.commands.client import Client
from gateway.commands.live import with_data
from gateway.commands.settings import names_servers, read_settings
from gateway.config import Settings
from gateway.live import datasets as live_datasets
from gateway.numbering.directory import Directory
from gateway.plan.document import Plan
from gateway.plan.parse import parse
from gateway.store import datasets, plans
from gateway.store.datasets import Dataset
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams import using
from gateway.streams.link import Redis, RedisAwayError, ScriptError

T = TypeVar("T")

MAX_HISTORY = 500


class Access(Protocol):
    """What the commands need of whoever has the versions."""

    def history(self, kind: str | None, limit: int) -> list[DatasetView]:
        """Versions, newest first, up to MAX_HISTORY."""

    def fetch(self, version: DatasetView, target: Path) -> None:
        """Write the content of a version."""

    def put(self, kind: str, source: Path, rows: int, note: str, names: str) -> int:
        """Keep a file that was read; the version."""

    def activate(self, version: DatasetView) -> None:
        """Make it live everywhere."""

    def rollback(self, kind: str, version: int | None) -> int:
        """Return to a version, or to the one before; which one it was."""

    def use(self, kind: str, version: int) -> tuple[int, int]:
        """How many processes use a version already, and how many there are."""

    def deactivate(self, kind: str) -> bool:
        """Use none any more; False: none was in use."""

    def show(self, number: str) -> NumberView:
        """All that is known of a number."""

    def unmapped(self, limit: int) -> list[UnmappedView]:
        """Operators that the plan does not know."""


def find_access(config: Path | None) -> Access:
    """The servers themselves when a configuration or SLUICE_POSTGRES_URL names them, else the API of `find_target`."""
    return ByServers(read_settings(config)) if names_servers(config) else ByHttp(Client())


class ByServers:
    """For operators on the servers themselves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def history(self, kind: str | None, limit: int) -> list[DatasetView]:
        from gateway.api.datasets import view  # with it comes a web server

        return [view(row) for row in self._run(lambda pool, _: datasets.history(pool, kind, limit))]

    def fetch(self, version: DatasetView, target: Path) -> None:
        async def work(pool: Pool, _: Redis) -> None:
            with target.open("wb") as file:
                async for piece in datasets.content(pool, version.version):
                    file.write(piece)

        self._run(work)

    def put(self, kind: str, source: Path, rows: int, note: str, names: str) -> int:
        async def work(pool: Pool, redis: Redis) -> int:
            pieces = datasets.pieces(source)
            version = await datasets.put(pool, kind, pieces, rows=rows, who=_who(), note=note, source=names)
            await live_datasets.publish(pool, redis)
            return version

        return self._run(work)

    def activate(self, version: DatasetView) -> None:
        self._run(lambda pool, redis: _done(live_datasets.activate(pool, redis, version.version, who=_who())))

    def rollback(self, kind: str, version: int | None) -> int:
        done = self._run(lambda pool, redis: _done(live_datasets.rollback(pool, redis, kind, version, who=_who())))
        return done.version

    def use(self, kind: str, version: int) -> tuple[int, int]:
        found = self._run(lambda _, redis: using.versions(redis, kind))
        return found.count(version), len(found)

    def deactivate(self, kind: str) -> bool:
        return self._run(lambda pool, redis: live_datasets.deactivate(pool, redis, kind, who=_who()))

    def show(self, number: str) -> NumberView:
        from gateway.api.numbers import number_view

        return number_view(self._run(self._directory), number)

    def unmapped(self, limit: int) -> list[UnmappedView]:
        found = self._run(self._directory).unmapped()[:limit]
        return [UnmappedView(u.kind, u.name, u.country, u.count) for u in found]

    async def _directory(self, pool: Pool, redis: Redis) -> Directory:
        """The plan and the tables that are in use."""
        plan = await with_data(self._settings, pool, redis)
        active = await plans.active(pool)
        document = parse(active.document) if active else Plan()
        return plan.directory_for(document if isinstance(document, Plan) else Plan())

    def _run(self, work: Callable[[Pool, Redis], Awaitable[T]]) -> T:
        async def run() -> T:
            pool = await Pool.open(self._settings.postgres_url, size=2)
            try:
                redis = await Redis.open(self._settings.redis_url, self._settings.shards)
                try:
                    return await work(pool, redis)
                finally:
                    await redis.close()
            finally:
                await pool.close()

        try:
            return asyncio.run(run())
        except StoreAwayError as e:
            raise click.ClickException(str(e)) from e
        except (RedisAwayError, ScriptError) as e:
            raise click.ClickException(f"{e}: what was changed counts everywhere once Redis is back") from e


class ByHttp:
    """For whoever has a key with the scope `plan`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def history(self, kind: str | None, limit: int) -> list[DatasetView]:
        found = self._client.get("/v1/datasets", {"kind": kind, "limit": str(limit)})
        return msgspec.convert(found["datasets"], list[DatasetView])

    def fetch(self, version: DatasetView, target: Path) -> None:
        self._client.download(f"/v1/datasets/{version.kind}/{version.version}/content", target)

    def put(self, kind: str, source: Path, rows: int, note: str, names: str) -> int:
        query = urlencode({name: value for name, value in (("note", note), ("source", names)) if value})
        found = self._client.upload(f"/v1/datasets/{kind}" + (f"?{query}" if query else ""), source, "text/csv")
        return int(found["dataset"]["version"])

    def activate(self, version: DatasetView) -> None:
        self._client.post(f"/v1/datasets/{version.kind}/{version.version}/activate")

    def rollback(self, kind: str, version: int | None) -> int:
        found: dict[str, Any] = self._client.post(f"/v1/datasets/{kind}/rollback", {"version": version})
        return int(found["version"])

    def use(self, kind: str, version: int) -> tuple[int, int]:
        found = self._client.get(f"/v1/datasets/{kind}/use")
        return (found["ready"] if found["version"] == version else found["processes"]), found["processes"]

    def deactivate(self, kind: str) -> bool:
        return bool(self._client.post(f"/v1/datasets/{kind}/deactivate")["ended"])

    def show(self, number: str) -> NumberView:
        return msgspec.convert(self._client.get(f"/v1/numbers/{number}"), NumberView)

    def unmapped(self, limit: int) -> list[UnmappedView]:
        found = self._client.get("/v1/numbers/unmapped", {"limit": str(limit)})
        return msgspec.convert(found["operators"], list[UnmappedView])


async def _done(work: live_datasets.Change) -> Dataset:
    found = await work
    if isinstance(found, live_datasets.Refused):
        raise click.ClickException(found.sentence)
    return found


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
