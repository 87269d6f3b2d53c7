"""The plan in use, in every process within a second: PostgreSQL owns it, Redis mirrors it, `LivePlan` compiles it.

In: the mirror, which survives PostgreSQL being away. Out: a `Compiled`, swapped whole. A plan that this release cannot
read leaves the former one at work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway import logs, metrics
from gateway.live.publishing import keep
from gateway.message import UnknownVersionError
from gateway.numbering.directory import NO_TABLES, Directory, Tables
from gateway.plan.choice import Compiled
from gateway.plan.document import Plan, Rate, Sender
from gateway.plan.parse import parse
from gateway.plan.problems import Problem, errors
from gateway.plan.rates import Rates
from gateway.plan.senders import Senders
from gateway.provider_modules import check_whole
from gateway.store import plans
from gateway.store.pool import Pool
from gateway.streams.link import Redis
from gateway.streams.mirror import Mirror

log = logs.stage("plan")

MIRROR: Final = "plan"


class Refused(msgspec.Struct, frozen=True):
    """A version cannot be made active: there is none such, or it has errors that this release finds."""

    code: str
    """`unknown_plan`, `nothing_before` or `plan_invalid`."""
    sentence: str
    problems: Sequence[Problem] = ()


class LivePlan:
    """The plan as this process knows it. Life: `watch()` until cancelled; `current()` at any time."""

    def __init__(self, redis: Redis) -> None:
        self._mirror = Mirror(redis)
        self._current: Compiled | None = None
        self._since = 0
        self._changed = asyncio.Event()
        self._unprepared = asyncio.Event()
        self._sheet: tuple[Rate, ...] = ()
        self._registry: tuple[Sender, ...] = ()
        self.tables: Tables = NO_TABLES
        """What was imported of numbers; see `use_tables`."""

    def current(self) -> Compiled | None:
        """The plan; None before the first is known. Keep it no longer than for one batch."""
        return self._current

    async def known(self) -> Compiled:
        """Wait until there is a plan."""
        while self._current is None:
            await self._changed.wait()
        return self._current

    async def watch(self) -> None:
        """Follow the mirror. Runs until cancelled."""
        await self._mirror.watch(MIRROR, self._replace)

    async def keep_prepared(self) -> None:
        """Make what numbers belong to whom ready in a thread after each change, before a message asks. For processes
        whose messages ask. Runs until cancelled."""
        while True:
            await self._unprepared.wait()
            self._unprepared.clear()
            if (current := self._current) is not None and isinstance(current.directory, Directory):
                await asyncio.to_thread(current.directory.prepare)

    async def use_sheet(self, rates: tuple[Rate, ...]) -> None:
        """From now on prices are the plan's and those of this rate sheet. A long one is made ready in a thread."""
        self._sheet = rates
        while (current := self._current) is not None:
            made = await asyncio.to_thread(Rates, current.plan, rates)
            if (latest := self._current) is not None and latest.plan is current.plan:
                self._current = latest.with_data(rates=made)
                return

    def use_registry(self, senders: tuple[Sender, ...]) -> None:
        """From now on senders are registered as the plan and this registry say."""
        self._registry = senders
        if (current := self._current) is not None:
            self._current = current.with_data(senders=Senders(current.plan, senders))

    def use_tables(self, tables: Tables) -> None:
        """From now on numbers belong to whom the plan and these tables say."""
        self.tables = tables
        if (current := self._current) is not None:
            self._current = current.with_data(directory=self.directory_for(current.plan))
            self._unprepared.set()

    def directory_for(self, plan: Plan) -> Directory:
        """Whose numbers are under a plan, this or another, by what was imported."""
        return Directory(plan.operators, self.tables)

    def ready(self, plan: Plan, version: int) -> Compiled:
        """Another plan made ready, with the data that this process has beside the one in use."""
        rates, senders = Rates(plan, self._sheet), Senders(plan, self._registry)
        return Compiled(plan, version, self.directory_for(plan), rates, senders)

    def _replace(self, since: int, value: bytes) -> None:
        if since <= self._since:
            return  # a Redis that came back older than it was: it will be published again
        try:
            active = plans.unpack(value)
        except (UnknownVersionError, msgspec.DecodeError) as e:
            log.error("plan_unreadable", e)
            return
        plan = parse(active.document)
        if not isinstance(plan, Plan):
            log.error("plan_unreadable", version=active.version, problems=[p.sentence for p in plan[:5]])
            return
        self._current, self._since = self.ready(plan, active.version), since
        self._changed.set()
        self._unprepared.set()
        metrics.plan_version.set(active.version)
        log.info("plan_live", version=active.version, carriers=len(plan.carriers), routes=len(plan.routes))


async def activate(pool: Pool, redis: Redis, version: int, *, who: str, note: str = "") -> plans.Active | Refused:
    """Make a version live everywhere; `note` says why, for the audit.

    Raises StoreAwayError; RedisAwayError or ScriptError when it is active in PostgreSQL but not yet known everywhere:
    `keep_published` makes up for it.
    """
    document = await plans.document(pool, version)
    if document is None:
        return Refused("unknown_plan", f"There is no version {version}.")
    if problems := errors(check_whole(document).problems):
        return Refused("plan_invalid", f"Version {version} has errors.", problems)
    active = await plans.activate(pool, version, who=who, note=note)
    assert active is not None, "versions are never deleted"
    await publish(pool, redis)
    return active


async def rollback(
    pool: Pool, redis: Redis, version: int | None = None, *, who: str, note: str = ""
) -> plans.Active | Refused:
    """Return to a version, or to the one that was active before. Raises as `activate` does.

    What was live once is not checked again: it is known to have worked.
    """
    active = await plans.rollback(pool, version, who=who, note=note)
    if active is None and version is None:
        return Refused("nothing_before", "No other version was active before.")
    if active is None:
        return Refused("unknown_plan", f"There is no version {version}.")
    await publish(pool, redis)
    return active


async def publish(pool: Pool, redis: Redis) -> bool:
    """Mirror the active plan of PostgreSQL in Redis; False when the mirror has it already, or there is none.

    Raises StoreAwayError, RedisAwayError, ScriptError.
    """
    active = await plans.active(pool)
    return active is not None and await Mirror(redis).put(MIRROR, active.since_us, plans.pack(active))


async def keep_published(pool: Pool, redis: Redis) -> None:
    """Publish now and then. Runs until cancelled."""

    async def publishing() -> None:
        if await publish(pool, redis):
            log.info("plan_published")

    await keep(publishing, log, "plan_not_published")
