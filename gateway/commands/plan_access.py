"""How `sluice plan` reaches the versions of the plan: over HTTP with a key, or in PostgreSQL and Redis themselves.

In: what `find_access` finds in options and environment. Out: one `Access` with the same answers either way. Never: a
check of a document that was not asked for by name.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gateway import what_if
from gateway.api.plan_documents import PlanEffect
from gateway.commands.client import Client, Refused
from gateway.commands.live import with_data
from gateway.commands.settings import names_servers, read_settings
from gateway.commands.times import SPAN_HINT
from gateway.config import Settings
from gateway.live import plan as live_plan
from gateway.plan.document import Plan
from gateway.plan.parse import parse
from gateway.plan.problems import Problem
from gateway.provider_modules import check_whole
from gateway.store import plans
from gateway.store.plans import PlanRow
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import Redis, RedisAwayError, ScriptError

MAX_HISTORY = 500
"""Versions that one answer holds."""


class AccessError(Exception):
    """It did not work. The text is a sentence; `problems` are those of the document, when it is the cause."""

    def __init__(self, sentence: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(sentence)
        self.problems = problems


class Access(Protocol):
    """Versions of the plan. Everything raises AccessError."""

    async def active(self) -> int | None:
        """The version in use; None before the first activation."""
        ...

    async def history(self, limit: int) -> list[PlanRow]:
        """Newest first, up to `MAX_HISTORY`."""
        ...

    async def document(self, version: int) -> str:
        """The text of a version."""
        ...

    async def draft(self, document: str, note: str) -> int:
        """Keep a new version."""
        ...

    async def activate(self, version: int, note: str) -> None:
        """Make it live everywhere; `note` says why, for the audit."""
        ...

    async def rollback(self, version: int | None, note: str) -> int:
        """Return to a version, or to the one before; which one it was."""
        ...

    async def check(self, document: str) -> list[Problem]:
        """What is wrong with a document, limits that last week would have reached among it."""
        ...

    async def replay(self, document: str, against: int, since: str | None, until: str | None, most: int) -> PlanEffect:
        """What a document would have done with messages accepted from `since` to `until` (RFC 3339)."""
        ...


@asynccontextmanager
async def find_access(config: Path | None) -> AsyncIterator[Access]:
    """The servers themselves when a configuration or SLUICE_POSTGRES_URL names them, else the API of `find_target`."""
    if names_servers(config):
        settings = read_settings(config)
        pool = await Pool.open(settings.postgres_url, size=1)
        try:
            yield ByServers(pool, settings)
        except StoreAwayError as e:
            raise AccessError(f"{e}") from e
        finally:
            await pool.close()
        return
    yield ByHttp(Client())


class ByServers:
    """For whoever runs PostgreSQL and Redis: works before any key exists."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self._pool, self._settings = pool, settings

    async def active(self) -> int | None:
        """The version in use."""
        found = await plans.active(self._pool)
        return None if found is None else found.version

    async def history(self, limit: int) -> list[PlanRow]:
        """Newest first."""
        return await plans.history(self._pool, limit)

    async def document(self, version: int) -> str:
        """The text of a version."""
        if (text := await plans.document(self._pool, version)) is None:
            raise AccessError(f"There is no version {version}.")
        return text

    async def draft(self, document: str, note: str) -> int:
        """Keep a new version."""
        return await plans.draft(self._pool, document, who=_who(), note=note)

    async def activate(self, version: int, note: str) -> None:
        """Make it live everywhere."""
        async with self._redis() as redis:
            _or_refused(await live_plan.activate(self._pool, redis, version, who=_who(), note=note))

    async def rollback(self, version: int | None, note: str) -> int:
        """Return to a version, or to the one before."""
        async with self._redis() as redis:
            done = await live_plan.rollback(self._pool, redis, version, who=_who(), note=note)
            return _or_refused(done).version

    async def check(self, document: str) -> list[Problem]:
        """What is wrong with a document."""
        plan, found = check_whole(document)
        return found if plan is None else [*found, *await what_if.low_limits(self._pool, document, plan)]

    async def replay(self, document: str, against: int, since: str | None, until: str | None, most: int) -> PlanEffect:
        """What a document would have done with messages."""
        from gateway.api.plan_trials import effect_document  # with it comes a web server

        plans_asked = [_readable(text) for text in (await self.document(against), document)]
        async with self._redis() as redis:
            live = await with_data(self._settings, self._pool, redis)
        made = [live.ready(plan, 0) for plan in plans_asked]
        span = [None if at is None else round(_moment(at).timestamp() * 1000) for at in (since, until)]
        return effect_document(await what_if.compare(self._pool, made[0], made[1], span[0], span[1], most))

    @asynccontextmanager
    async def _redis(self) -> AsyncIterator[Redis]:
        try:
            redis = await Redis.open(self._settings.redis_url, self._settings.shards)
            try:
                yield redis
            finally:
                await redis.close()
        except (RedisAwayError, ScriptError) as e:
            sentence = f"Redis did not take the plan ({e}): running processes learn of a new version when it is back."
            raise AccessError(sentence) from e


def _readable(document: str) -> Plan:
    plan = parse(document)
    if not isinstance(plan, Plan):
        raise AccessError("The document cannot be read by this release.", plan)
    return plan


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as e:
        raise AccessError(f"`{text}` is no time: {SPAN_HINT}.") from e


def _or_refused(done: plans.Active | live_plan.Refused) -> plans.Active:
    if isinstance(done, live_plan.Refused):
        raise AccessError(done.sentence, done.problems)
    return done


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


class _Row(msgspec.Struct):
    version: int
    active: bool
    note: str
    sha256: str
    created_at: datetime
    created_by: str
    activated_at: datetime | None = None
    activated_by: str | None = None

    def row(self) -> PlanRow:
        return PlanRow(
            version=self.version,
            active=self.active,
            note=self.note,
            sha256=self.sha256,
            created_ms=round(self.created_at.timestamp() * 1000),
            created_by=self.created_by,
            activated_ms=round(self.activated_at.timestamp() * 1000) if self.activated_at else None,
            activated_by=self.activated_by,
        )


class ByHttp:
    """For whoever has a key with the scope `plan`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def active(self) -> int | None:
        """The version in use."""
        found: int | None = (await self._ask("GET", "/v1/plans?limit=1"))["active"]
        return found

    async def history(self, limit: int) -> list[PlanRow]:
        """Newest first."""
        found = await self._ask("GET", f"/v1/plans?limit={limit}")
        return [row.row() for row in msgspec.convert(found["plans"], list[_Row])]

    async def document(self, version: int) -> str:
        """The text of a version."""
        return str((await self._ask("GET", f"/v1/plans/{version}"))["document"])

    async def draft(self, document: str, note: str) -> int:
        """Keep a new version."""
        return int((await self._ask("POST", "/v1/plans", {"document": document, "note": note}))["version"])

    async def activate(self, version: int, note: str) -> None:
        """Make it live everywhere."""
        await self._ask("POST", f"/v1/plans/{version}/activate", {"note": note})

    async def rollback(self, version: int | None, note: str) -> int:
        """Return to a version, or to the one before."""
        body = {"version": version, "note": note}
        return int((await self._ask("POST", "/v1/plans/rollback", body))["version"])

    async def check(self, document: str) -> list[Problem]:
        """What is wrong with a document."""
        found = await self._ask("POST", "/v1/plans/check", {"document": document})
        return msgspec.convert(found["problems"], list[Problem])

    async def replay(self, document: str, against: int, since: str | None, until: str | None, most: int) -> PlanEffect:
        """What a document would have done with messages."""
        body = {"document": document, "against": against, "since": since, "until": until, "sample": most}
        return msgspec.convert((await self._ask("POST", "/v1/plans/replay", body))["effect"], PlanEffect)

    async def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await asyncio.to_thread(self._client.ask, method, path, body)
        except Refused as e:
            problems = msgspec.convert(e.document.get("plan_problems", ()), list[Problem])
            raise AccessError(e.format_message(), problems) from e
        return answer
