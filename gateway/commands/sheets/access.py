"""The two ways to rate sheets and registries: PostgreSQL and Redis themselves, or a running gateway by HTTP.

In: settings, or the gateway's address and key. Out: the same answers either way. An expected no is a ClickException.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import urllib.request
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
import msgspec

from gateway import sheet_imports
from gateway.commands.client import Client, Refused
from gateway.commands.settings import names_servers, read_settings
from gateway.config import Settings
from gateway.datasets.report import Fault, Report
from gateway.live import datasets as live_datasets
from gateway.live.datasets import Refused as NotActivated
from gateway.plan.document import Plan
from gateway.plan.parse import parse
from gateway.sheet_imports import Imported, Wish
from gateway.sheets.changes import Summary
from gateway.sheets.month import Ladder
from gateway.sheets.sender_changes import SenderSummary
from gateway.sheets.table import decode
from gateway.store import datasets
from gateway.store.datasets import Dataset
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import Redis, RedisAwayError, ScriptError

T = TypeVar("T")


class Access(Protocol):
    """What the commands need of whoever has the versions."""

    def import_rates(self, data: bytes, wish: Wish) -> Imported[Summary]:
        """Bring in a price list."""

    def import_senders(self, data: bytes, wish: Wish) -> Imported[SenderSummary]:
        """Bring in a registry."""

    def month(self) -> list[Ladder]:
        """Where month ladders stand."""

    def history(self, kind: str, limit: int) -> list[Dataset]:
        """Versions, newest first."""

    def content(self, kind: str, version: int | None) -> bytes:
        """The CSV of a version; None: of the one in use, empty when there is none."""

    def activate(self, kind: str, version: int) -> None:
        """Make it live everywhere."""

    def rollback(self, kind: str, version: int | None) -> int:
        """Return to a version, or to the one before; which one it was."""

    def plan(self) -> Plan:
        """The plan in use; an empty one before the first."""


def find_access(config: Path | None) -> Access:
    """The servers themselves when a configuration or SLUICE_POSTGRES_URL names them, else the API of `find_target`."""
    return ByServers(read_settings(config)) if names_servers(config) else ByHttp(Client())


class ByServers:
    """For operators on the servers themselves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def import_rates(self, data: bytes, wish: Wish) -> Imported[Summary]:
        return self._kept(lambda pool: sheet_imports.import_rates(pool, data, wish, _who()))

    def import_senders(self, data: bytes, wish: Wish) -> Imported[SenderSummary]:
        return self._kept(lambda pool: sheet_imports.import_senders(pool, data, wish, _who()))

    def month(self) -> list[Ladder]:
        return self._run(sheet_imports.month)

    def history(self, kind: str, limit: int) -> list[Dataset]:
        return self._run(lambda pool: datasets.history(pool, kind, limit))

    def content(self, kind: str, version: int | None) -> bytes:
        async def work(pool: Pool) -> bytes:
            row = await datasets.active(pool, kind) if version is None else await datasets.row(pool, version)
            if version is not None and (row is None or row.kind != kind or not row.kept):
                raise click.ClickException(f"There is no version {version} of {kind} whose content is kept.")
            return b"" if row is None else await sheet_imports.content(pool, row.version)

        return self._run(work)

    def activate(self, kind: str, version: int) -> None:
        async def work(pool: Pool, redis: Redis) -> None:
            row = await datasets.row(pool, version)
            if row is None or row.kind != kind:
                raise click.ClickException(f"There is no version {version} of {kind}.")
            _or_refused(await live_datasets.activate(pool, redis, version, who=_who()))

        self._run_with_redis(work)

    def rollback(self, kind: str, version: int | None) -> int:
        async def work(pool: Pool, redis: Redis) -> int:
            return _or_refused(await live_datasets.rollback(pool, redis, kind, version, who=_who())).version

        return self._run_with_redis(work)

    def plan(self) -> Plan:
        return self._run(sheet_imports.active_plan)

    def _kept(self, work: Callable[[Pool], Awaitable[T]]) -> T:
        """Done, and every process told to fetch ahead what was kept."""

        async def both(pool: Pool, redis: Redis) -> T:
            done = await work(pool)
            await live_datasets.publish(pool, redis)
            return done

        return self._run_with_redis(both)

    def _run(self, work: Callable[[Pool], Awaitable[T]]) -> T:
        async def run() -> T:
            pool = await Pool.open(self._settings.postgres_url, size=1)
            try:
                return await work(pool)
            finally:
                await pool.close()

        try:
            return asyncio.run(run())
        except StoreAwayError as e:
            raise click.ClickException(str(e)) from e

    def _run_with_redis(self, work: Callable[[Pool, Redis], Awaitable[T]]) -> T:
        async def run(pool: Pool) -> T:
            redis = await Redis.open(self._settings.redis_url, self._settings.shards)
            try:
                return await work(pool, redis)
            finally:
                await redis.close()

        try:
            return self._run(run)
        except (RedisAwayError, ScriptError) as e:
            raise click.ClickException(f"{e}: what was changed counts everywhere once Redis is back") from e


class ByHttp:
    """For whoever has a key with the scope `plan`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def import_rates(self, data: bytes, wish: Wish) -> Imported[Summary]:
        body = wish.given._asdict() | {"whole": wish.whole}
        report, found = self._import("/v1/rates/import", body, data, wish)
        if not found:
            return Imported(None, report, None)
        summary = found["summary"]
        summary["without_price"] = [(pair["carrier"], pair["operator"]) for pair in summary["without_price"]]
        return Imported(found["version"], report, msgspec.convert(summary, Summary))

    def import_senders(self, data: bytes, wish: Wish) -> Imported[SenderSummary]:
        report, found = self._import("/v1/senders/import", {"carrier": wish.given.carrier}, data, wish)
        if not found:
            return Imported(None, report, None)
        return Imported(found["version"], report, msgspec.convert(found["summary"], SenderSummary))

    def _import(self, path: str, body: dict[str, Any], data: bytes, wish: Wish) -> tuple[Report, dict[str, Any]]:
        """What was read and what came of it; nothing came of a file with wrong rows."""
        said = {"document": decode(data), "keep": wish.keep, "note": wish.note, "source": wish.source}
        try:
            found: dict[str, Any] = self._client.post(path, body | said)
        except Refused as e:
            if e.code != "dataset_invalid":
                raise
            faults = tuple(Fault(row["line"], row["sentence"]) for row in e.document.get("row_faults", ()))
            return Report(rows=0, errors=len(faults), faults=faults), {}
        return Report(rows=found["read"], remarks=tuple(found["remarks"])), found

    def month(self) -> list[Ladder]:
        return msgspec.convert(self._client.get("/v1/rates/month")["ladders"], list[Ladder])

    def history(self, kind: str, limit: int) -> list[Dataset]:
        found = self._client.get("/v1/datasets", {"kind": kind, "limit": str(limit)})["datasets"]
        return [row.dataset() for row in msgspec.convert(found, list[_Row])]

    def content(self, kind: str, version: int | None) -> bytes:
        target = self._client.target
        url = f"{target.url}/v1/datasets/{kind}/{'active' if version is None else version}/content"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {target.key}"})  # noqa: S310
        try:
            return self._client.fetch(request)
        except Refused as e:
            if e.code == "unknown_dataset" and version is None:
                return b""
            raise

    def activate(self, kind: str, version: int) -> None:
        self._client.post(f"/v1/datasets/{kind}/{version}/activate")

    def rollback(self, kind: str, version: int | None) -> int:
        return int(self._client.post(f"/v1/datasets/{kind}/rollback", {"version": version})["version"])

    def plan(self) -> Plan:
        active = self._client.get("/v1/plans", {"limit": "1"})["active"]
        if active is None:
            return Plan()
        plan = parse(self._client.get(f"/v1/plans/{active}")["document"])
        return plan if isinstance(plan, Plan) else Plan()


class _Row(msgspec.Struct):
    """A version as the API writes it."""

    version: int
    kind: str
    active: bool
    rows: int
    size_bytes: int
    sha256: str
    note: str
    source: str
    created_at: datetime
    created_by: str
    activated_at: datetime | None
    activated_by: str | None
    kept: bool

    def dataset(self) -> Dataset:
        return Dataset(
            version=self.version,
            kind=self.kind,
            active=self.active,
            rows=self.rows,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            note=self.note,
            source=self.source,
            created_ms=round(self.created_at.timestamp() * 1000),
            created_by=self.created_by,
            activated_ms=round(self.activated_at.timestamp() * 1000) if self.activated_at else None,
            activated_by=self.activated_by,
            kept=self.kept,
        )


def _or_refused(found: Dataset | NotActivated) -> Dataset:
    if isinstance(found, NotActivated):
        raise click.ClickException(found.sentence)
    return found


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
