"""Stop lists and sending hours on the path through a real Redis: what is stopped or untimely reaches no carrier."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.events import Ended, Parked
from gateway.plan.choice import Compiled
from gateway.plan.document import Defaults, Window
from gateway.plan.windows import SPREAD_MS
from gateway.provider import Reason
from tests.core_path import Path, plan, running
from tests.core_redis import client, until

DAY_S = 86_400


def closed(now_ms: int, version: int) -> Compiled:
    """A plan whose window opens in two hours or a little more."""
    opens = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(hours=2, minutes=1)
    ends = opens + timedelta(hours=4)
    window = Window(name="later", from_=f"{opens:%H:%M}", until=f"{ends:%H:%M}")
    base = plan(("north",), version)
    return Compiled(msgspec.structs.replace(base.plan, defaults=Defaults(timezone="UTC"), windows=(window,)), version)


def number(n: int) -> str:
    return f"+7916{n:07d}"


async def parked(path: Path) -> Counter[bytes]:
    return Counter(f.id for f in await path.facts() if isinstance(f, Parked) and f.reason == Reason.WINDOW_HOURS)


async def test_who_is_stopped_while_his_message_waits_gets_nothing(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        in_intake = (await path.accept(10))[2]
        path.stopped[number(3)] = "client"
        path.start_router()
        ids = await path.accept(20)
        await until(lambda: path.left().get("{0}:outbox:north:marketing:shop") == 29, "routing")
        path.stopped[number(17)] = "global"
        path.start_connector(window=5)
        await path.drained()
        ended = {f.id: f for f in await path.facts() if isinstance(f, Ended)}
        assert set(ended) == {in_intake, ids[6]}
        assert {(f.state, f.reason) for f in ended.values()} == {("failed", "stopped")}
        assert ended[ids[6]].by == "stop list of everybody" and ended[in_intake].by == "stop list of the client"
        assert path.sent() == Counter(set(path.accepted) - set(ended))


async def test_what_is_out_of_its_hours_waits_for_them_once_and_is_sent_then(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        now = path.redis.clock_ms()
        path.plan = closed(now, 1)
        path.start_router()
        path.start_connector()
        ids = await path.accept(60, validity_s=DAY_S)
        urgent = await path.accept(5, klass="otp")
        await until(lambda: path.later() == 60, "all to wait")
        due = {f.until_ms for f in await path.facts() if isinstance(f, Parked)}
        assert min(due) > now + 7_200_000 and max(due) < now + 7_260_000 + SPREAD_MS and len(due) > 30
        assert await parked(path) == Counter(ids) and path.sent() == Counter(urgent)
        path.plan = plan(("north",), 2)  # its hours have come
        with client(path.url) as c:
            c.zadd("{0}:later", dict.fromkeys(ids, now))
        await path.drained()
        assert path.sent() == Counter(ids) + Counter(urgent) and await parked(path) == Counter(ids)


async def test_what_missed_its_hours_in_an_outbox_goes_back_and_waits(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        ids = await path.accept(40, validity_s=DAY_S)
        short = await path.accept(3, validity_s=600)
        await until(lambda: path.left().get("{0}:outbox:north:marketing:shop") == 43, "routing")
        path.plan = closed(path.redis.clock_ms(), 2)
        path.start_connector(window=7)
        await until(lambda: path.later() == 40 == path.waiting(), "all to wait, and no entry or mark to be left")
        assert await parked(path) == Counter(ids) and not path.sent()
        ended = [(f.id, f.state, f.reason, f.attempt) for f in await path.facts() if isinstance(f, Ended)]
        assert sorted(ended) == sorted((i, "expired", "window_hours", 0) for i in short)
