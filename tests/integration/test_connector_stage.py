"""The connector stage follows the plan; and what keeps the path going when words get lost or Redis is killed."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any

import msgspec
import pytest

from gateway.connector import pump
from gateway.connector import stage as stage_module
from gateway.connector.stage import Stage
from gateway.embedded.valkey import Valkey
from gateway.message import pack_journey
from gateway.plan.choice import Compiled
from gateway.provider import Reports, SettingsError
from gateway.router import route
from gateway.streams import carriers
from gateway.streams.opening import open_shard
from tests.core_builders import journey, message_id, queued
from tests.core_path import Path, Scripted, always_accepted, plan, running
from tests.core_redis import client, until


class Workshop:
    """A provider module whose carriers the test sees; settings with `broken` are refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[Scripted] = []
        module = ModuleType("providers.scripted")
        module.open = self.open  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "providers.scripted", module)

    def open(self, carrier: str, settings: Mapping[str, Any], reports: Reports) -> Scripted:
        if settings.get("broken"):
            raise SettingsError("`broken` must not be")
        self.opened.append(Scripted(carrier, reports, 50, always_accepted))
        return self.opened[-1]

    def names(self) -> list[str]:
        return [p.name for p in self.opened]


def with_settings(made: Compiled, name: str, version: int, **settings: Any) -> Compiled:
    changed = [msgspec.structs.replace(c, settings=settings) if c.name == name else c for c in made.plan.carriers]
    return Compiled(msgspec.structs.replace(made.plan, carriers=tuple(changed)), version)


async def test_a_changed_carrier_alone_is_opened_anew_and_one_that_is_gone_is_closed(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop(monkeypatch)
    async with running(valkey_url) as path:
        path.plan = None
        running_stage = asyncio.create_task(Stage(path.settings, path.redis, "me", lambda: path.plan).run())
        path.plan = first = plan(("north", "south"))
        await until(lambda: sorted(shop.names()) == ["north", "south"], "both carriers")
        path.plan = second = with_settings(first, "south", 2, host="elsewhere")
        await until(lambda: shop.names().count("south") == 2, "the changed one")
        path.plan = Compiled(second.plan, 3)
        path.plan = plan(("south",), version=4)
        await until(lambda: [p.closed for p in shop.opened if p.name == "north"] == [True], "the end of north")
        await until(lambda: not shop.opened[-1].closed and shop.opened[-1].name == "south", "south")
        running_stage.cancel()
        await asyncio.wait((running_stage,))
        assert all(p.closed for p in shop.opened if p.started)
        assert shop.names().count("north") == 1


async def test_a_carrier_whose_settings_cannot_work_is_visible_and_its_outbox_is_recalled(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "_RETRY_S", 0.05)
    shop = Workshop(monkeypatch)
    async with running(valkey_url) as path:
        path.plan = with_settings(plan(("north", "south")), "north", 1, broken=True)
        running_stage = asyncio.create_task(Stage(path.settings, path.redis, "me", lambda: path.plan).run())
        status = await until(lambda: _status(path, "north"), "its status")
        assert (status["live"], status["limited_by"]) == (False, "settings")
        assert status["last_error"] == "`broken` must not be"
        since = status["down_since_ms"]
        await until(lambda: _later(path, status["at_ms"]), "some more tries")
        assert (await _status(path, "north"))["down_since_ms"] == since, "it is down since its first failure"
        assert shop.names() == ["south"]
        running_stage.cancel()
        await asyncio.wait((running_stage,))


async def _status(path: Path, carrier: str) -> dict[str, Any]:
    return (await carriers.statuses(path.redis)).get(carrier, {})


async def _later(path: Path, at_ms: int) -> bool:
    return int((await _status(path, "north"))["at_ms"]) > at_ms + 200


async def test_an_unknown_provider_or_a_missing_secret_is_a_state_and_no_crash(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop(monkeypatch)
    async with running(valkey_url) as path:
        made = with_settings(plan(("north", "south")), "north", 1, password={"env": "SLUICE_TEST_NOT_SET"})
        odd = msgspec.structs.replace(made.plan.carriers[0], name="odd", provider="pigeon", settings={})
        path.plan = Compiled(msgspec.structs.replace(made.plan, carriers=(*made.plan.carriers, odd)), 1)
        running_stage = asyncio.create_task(Stage(path.settings, path.redis, "me", lambda: path.plan).run())
        status = await until(lambda: _status(path, "north"), "north's status")
        assert "SLUICE_TEST_NOT_SET" in status["last_error"]
        status = await until(lambda: _status(path, "odd"), "odd's status")
        assert "pigeon" in status["last_error"]
        await until(lambda: shop.names() == ["south"], "the one that works")
        running_stage.cancel()
        await asyncio.wait((running_stage,))


async def test_a_lane_whose_wakes_were_lost_is_found_while_others_are_busy(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "DISCOVER_S", 0.3)
    monkeypatch.setattr(route, "DISCOVER_S", 0.3)
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector()
        busy = True

        async def keep_busy() -> None:
            while busy:
                await path.accept(20, client="busy")

        keeping = asyncio.create_task(keep_busy())
        await until(lambda: len(path.submissions()) > 100, "being busy")
        silent, boxed = (queued(id=message_id(path.redis.clock_ms())) for _ in range(2))
        with client(valkey_url) as c:  # as if the scripts' words had not arrived
            c.xadd("{0}:intake:marketing:silent", {"m": silent.value})
            c.sadd("{0}:lanes", "marketing:silent")
            c.xadd("{0}:outbox:north:otp:boxed", {"m": boxed.value, "r": pack_journey(journey())})
            c.sadd("{0}:lanes:north", "otp:boxed")
        try:
            await until(lambda: {silent.message_id, boxed.message_id} <= set(path.sent()), "both", 10)
        finally:
            busy = False
            await keeping
        await path.drained()


async def test_a_kill_of_redis_under_load_loses_nothing_and_holds_or_doubles_nothing(
    own_valkey: Callable[..., Awaitable[Valkey]],
) -> None:
    server = await own_valkey()
    async with running(server.url) as path:
        path.start_router()
        path.start_connector(window=30)
        ids = await path.accept(2000, klass="marketing")
        for part in (1, 2, 3):
            await until(lambda part=part: len(path.submissions()) > part * 300, "sending")
            await server.kill()
            await server.start()
            await asyncio.wait_for(path.redis.link(0).up(), 10)
            await until(lambda: _open(path), "opening")
        await path.drained(60)
        assert path.sent() == Counter(ids)
        assert await path.fates() == {"accepted": Counter(ids)}


async def _open(path: Path) -> bool:
    """What the recorder does once it has compared."""
    link = path.redis.link(0)
    if link.is_up:
        await open_shard(link, 0, link.run_id)
    return link.is_up
