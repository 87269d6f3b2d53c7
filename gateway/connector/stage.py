"""The connector stage: one connector for each carrier of the live plan. A changed carrier alone is re-opened."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.config import Settings
from gateway.connector import journal
from gateway.connector.connector import Connector, Work
from gateway.connector.sieve import Sieve
from gateway.credentials import CredentialError, resolve
from gateway.message import Message
from gateway.plan.admission import Admission, Barred, Which, nobody
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier
from gateway.provider import Provider, Reports, SettingsError
from gateway.streams import carriers
from gateway.streams.allowances import Allowances
from gateway.streams.link import Redis, RedisAwayError
from gateway.streams.pauses import Pauses
from gateway.streams.seats import Seats

log = logging.getLogger("connector")

_RETRY_S = 5.0


def opener(
    carrier: str, provider: str, settings: Mapping[str, Any], callbacks_url: str = ""
) -> Callable[[Reports], Provider]:
    """A function that makes the provider by its name. Raises SettingsError for a name that no module has."""
    try:
        module = importlib.import_module(f"providers.{provider}")
    except ModuleNotFoundError as e:
        raise SettingsError(f"carrier {carrier}: there is no provider `{provider}`") from e
    return lambda reports: module.open(carrier, settings, replace(reports, callbacks_url=callbacks_url))


class Stage:
    """Life: `run()` until cancelled."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        owner: str,
        plan: Callable[[], Compiled | None],
        which: Which = nobody,
        stops_any: Callable[[], bool] = lambda: True,
    ) -> None:
        """`which`: the stop lists of this process; `stops_any`: whether anything is on them."""
        self._admission = Admission(which, stops_any)
        self._settings, self._redis, self._owner, self._plan = settings, redis, owner, plan
        self._journals = journal.prepare(settings.state_dir)
        self._allowances, self._seats, self._pauses = Allowances(redis), Seats(redis), Pauses(redis)
        self._running: dict[str, tuple[tuple[Carrier, Mapping[str, int]], asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Follow the plan."""
        beside = [
            asyncio.create_task(self._allowances.run(), name="limits"),
            asyncio.create_task(self._seats.run(), name="seats"),
            asyncio.create_task(self._pauses.run(), name="pauses"),
        ]
        try:
            seen: Compiled | None = None
            while True:
                for task in beside:
                    if task.done():
                        task.result()
                plan = self._plan()
                if plan is not None and plan is not seen:
                    await self._follow(plan)
                    seen = plan
                await self._reap()
                await asyncio.sleep(0.1)
        finally:
            await asyncio.gather(*(self._stop(name) for name in list(self._running)))
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)

    async def _follow(self, plan: Compiled) -> None:
        wanted = {c.name: (c, plan.shares(c.name)) for c in plan.plan.carriers}
        changed = [name for name, (was, _) in self._running.items() if wanted.get(name) != was]
        await asyncio.gather(*(self._stop(name) for name in changed))
        for name, (carrier, shares) in wanted.items():
            if name not in self._running:
                task = asyncio.create_task(self._serve(carrier, shares), name=f"connector {name}")
                self._running[name] = ((carrier, shares), task)

    def _barred(self, message: Message, now_ms: int) -> Barred | None:
        return self._admission.barred(self._plan(), message, now_ms)

    def _bars(self) -> bool:
        return self._admission.question(self._plan()) is not None

    async def _serve(self, carrier: Carrier, shares: Mapping[str, int]) -> None:
        name, since = carrier.name, 0
        while True:
            connector: Connector | None = None
            try:
                make = opener(name, carrier.provider, resolve(carrier.settings), self._settings.callbacks_url)
                work = Work(name, carrier.rate_per_s or 0.0, shares, make, carrier.sandbox, self._barred, self._bars)
                connector = Connector(
                    work,
                    self._redis,
                    self._owner,
                    self._settings.lease_s,
                    self._settings.memory_mark,
                    self._journals,
                    sieve=Sieve(name, self._allowances, self._seats, self._plan, self._pauses, self._redis.clock_ms),
                )
                await connector.run()
            except (SettingsError, CredentialError) as e:
                log.error("carrier_settings", extra={"carrier": name, "error": str(e)})
                if not since or (connector is not None and connector.provider is not None):
                    since = self._redis.clock_ms()  # down since the first failure, so that its outbox is recalled
                await self._report(name, str(e), since)
                await asyncio.sleep(_RETRY_S)

    async def _report(self, name: str, error: str, since: int) -> None:
        now = self._redis.clock_ms()
        status = {"at_ms": now, "owner": self._owner, "live": False, "down_since_ms": since, "limited_by": "settings"}
        with contextlib.suppress(RedisAwayError):
            await carriers.report(self._redis, name, status | {"last_error": error, "links": []})

    async def _stop(self, name: str) -> None:
        _, task = self._running.pop(name)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _reap(self) -> None:
        """A bug in one connector stops the stage, loudly."""
        for name, (_, task) in list(self._running.items()):
            if task.done():
                del self._running[name]
                task.result()
