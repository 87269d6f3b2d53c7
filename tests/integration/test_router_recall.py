"""Nothing rots in an outbox, and whoever waits is visible with the reason."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateway.events import AnyFact, Ended, Waiting
from gateway.message import Try, pack_journey, unpack_journey
from gateway.provider import Outcome, Submission
from gateway.router import recall, waiting
from gateway.router.liveness import Liveness
from gateway.router.waiting import WaitingWatch
from gateway.streams import carriers
from gateway.streams.link import Redis, RedisAwayError
from tests.core_builders import journey
from tests.core_moves import Moves
from tests.core_path import Path, always_accepted, plan, running
from tests.core_redis import client, until

BOTH = ("north", "south")
NORTH = "{0}:outbox:north:marketing:shop"


def kept(s: Submission) -> Outcome | None:
    return None


async def two_carriers(path: Path, window: int = 100) -> None:
    """North is preferred, and keeps what it takes without an answer; south accepts."""
    path.plan = plan(BOTH)
    path.start_connector("north", window=window, answer=kept)
    path.start_connector("south")
    await until(lambda: all(path.providers[name] for name in BOTH), "carriers")
    await until(lambda: both_live(path.redis), "both live")
    path.start_router()


async def paused(path: Path) -> None:
    """North is paused, and its connector knows."""
    await until(lambda: path.providers["north"], "the carrier")
    await carriers.set_mode(path.redis, "north", "paused")
    await until(lambda: path.connectors["connector north"].mode == "paused", "the pause")


async def both_live(redis: Redis) -> bool:
    return sum(bool(status["live"]) for status in (await carriers.statuses(redis)).values()) == 2


@pytest.mark.parametrize("how", ["paused", "bind lost", "gone from the plan", "connector stopped"])
async def test_when_a_carrier_stops_all_that_is_not_on_its_wire_reaches_another_once(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(recall, "DEFAULT_PATIENCE_MS", 300)
    async with running(valkey_url) as path:
        await two_carriers(path)
        ids = await path.accept(4000)
        await until(lambda: path.left().get(NORTH) == 4000, "routing")
        await until(lambda: len(path.submissions("north")) == 90, "the window")
        if how == "paused":
            await carriers.set_mode(path.redis, "north", "paused")
        elif how == "bind lost":
            path.carrier("north").up = False
        elif how == "gone from the plan":
            path.plan = plan(("south",), version=2)
        else:
            await path.stop("connector north")
        await until(lambda: len(path.submissions("south")) >= 3910, "the rest on the other carrier")
        path.carrier("north").release()
        await path.drained()
        assert path.sent() == Counter(ids)
        assert path.sent("south") == Counter(ids[90:])
        assert {s.attempt for s in path.submissions("south")} == {2}


async def test_an_otp_is_patient_for_less_than_the_others(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "PATIENCE_MS", {"otp": 200})
    async with running(valkey_url) as path:
        await two_carriers(path, window=1)
        path.carrier("north").up = False
        ids = await path.accept(50, klass="marketing")
        codes = await path.accept(50, klass="otp")
        await until(lambda: set(codes) <= set(path.sent("south")), "the otps on the other carrier")
        assert not set(ids) & set(path.sent("south"))
        path.answers["north"] = always_accepted
        path.carrier("north").up = True
        await path.drained()
        assert path.sent() == Counter(ids + codes)


async def test_with_nobody_else_to_take_it_a_message_stays_where_it_is(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector()
        await paused(path)
        ids = await path.accept(100)
        await until(lambda: path.left().get(NORTH) == 100, "routing")
        look = await looker(path)
        for _ in range(3):
            assert await look.look("north", plan()) == 0
        await carriers.set_mode(path.redis, "north", "running")
        await path.drained()
        assert path.sent() == Counter(ids)
        assert {s.attempt for s in path.submissions()} == {1}


async def looker(path: Path) -> recall.Recall:
    """The recall of the router that runs, looking when the test says."""
    liveness = Liveness(path.redis)
    await liveness.look()
    with client(path.url) as c:
        token = int(c.hget("{0}:lease:router", "token"))
    return recall.Recall(path.redis.link(0), token, lambda: path.plan, liveness)


async def test_a_carrier_that_comes_back_in_the_middle_of_a_recall_doubles_nothing(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        await two_carriers(path)
        path.answers["north"] = always_accepted
        for _ in range(6):
            await carriers.set_mode(path.redis, "north", "paused")
            await path.accept(700)
            await until(lambda: path.left().get(NORTH, 0) + len(path.submissions("south")) > 0, "moving")
            await carriers.set_mode(path.redis, "north", "running")
            await path.accept(300)
        await path.drained()
        assert path.sent() == Counter(path.accepted)
        assert await path.fates() == {"accepted": Counter(path.accepted)}


async def test_the_history_travels_along_and_what_expired_meanwhile_ends(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        short = await path.accept(3, validity_s=1)
        good = await path.accept(3)
        moves = Moves(path.redis)
        await moves.begin()
        await moves.route(await moves.intake())
        path.plan = plan(("south",))
        look = await looker(path)
        await until(lambda: path.redis.clock_ms() > int.from_bytes(short[-1][:6], "big") + 1000, "a second")
        assert await look.look("north", plan(("south",))) == 6
        back = await moves.intake()
        assert [e.message_id for e in back] == good
        assert {unpack_journey(e.journey).tried for e in back} == {(Try("north", "not_bound"),)}
        ended = [f for f in await path.facts() if isinstance(f, Ended)]
        assert [(f.id, f.state, f.reason) for f in ended] == [(i, "expired", "validity") for i in short]


async def test_what_a_part_pins_to_its_carrier_is_not_recalled_and_marked_ones_never_are(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        await path.accept(6)
        moves = Moves(path.redis)
        await moves.begin()
        entries = await moves.intake()
        await moves.route(entries)
        with client(valkey_url) as c:
            c.xadd(NORTH, {"m": entries[0].value, "r": pack_journey(journey(pinned=True, owed=(2,)))})
        await moves.mark((await moves.outbox())[:2])
        look = await looker(path)
        assert await look.look("north", plan(("south",))) == 4
        left = await moves.outbox()
        assert [e.message_id for e in left] == [entries[0].message_id, entries[1].message_id, entries[0].message_id]


async def waits(path: Path) -> list[AnyFact]:
    return [f for f in await path.facts() if isinstance(f, Waiting)]


async def test_what_waits_too_long_is_told_once_with_place_reason_and_range(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AGE_MS", 30)
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector()
        await paused(path)
        ids = await path.accept(20)
        await until(lambda: path.left().get(NORTH) == 20, "routing")
        liveness = Liveness(path.redis)
        await liveness.look()
        watch = WaitingWatch(path.redis.link(0), 0, liveness)
        (fact,) = await until(watch.look, "somebody waiting")
        assert isinstance(fact, Waiting)
        assert (fact.where, fact.klass, fact.client, fact.carrier) == ("outbox", "marketing", "shop", "north")
        assert (fact.why, fact.count) == ("paused", 20)
        assert all(fact.first <= i <= fact.last for i in ids)
        assert await watch.look() == [], "told once"
        await carriers.set_mode(path.redis, "north", "running")
        await path.drained()
        assert await watch.look() == []


async def test_what_waits_for_a_plan_is_told_too(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "AGE_MS", 30)
    async with running(valkey_url) as path:
        path.plan = None
        path.start_router()
        ids = await path.accept(3)
        liveness = Liveness(path.redis)
        await liveness.look()
        watch = WaitingWatch(path.redis.link(0), 0, liveness)
        (fact,) = await until(watch.look, "somebody waiting")
        assert isinstance(fact, Waiting)
        assert (fact.where, fact.why, fact.count) == ("intake", "no_plan", 3)
        path.plan = plan()
        path.start_connector()
        await path.drained()
        assert path.sent() == Counter(ids)


async def test_a_router_tells_of_what_waits_by_itself(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "AGE_MS", 30)
    async with running(valkey_url) as path:
        path.plan = None
        path.start_router()
        await path.accept(3)
        (fact,) = await until(lambda: waits(path), "the router to tell")
        assert (fact.where, fact.why, fact.count) == ("intake", "no_plan", 3)


async def test_a_young_message_is_not_told_as_waiting(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        await path.accept(3)
        liveness = Liveness(path.redis)
        await liveness.look()
        assert await WaitingWatch(path.redis.link(0), 0, liveness).look() == []


async def test_liveness_is_what_connectors_report_and_silence_is_death(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        redis, liveness = path.redis, Liveness(path.redis)
        now = redis.clock_ms()
        status = {"live": True, "at_ms": now, "down_since_ms": 0, "limited_by": "rate"}
        await carriers.report(redis, "north", status)
        await carriers.report(redis, "south", status | {"at_ms": now - 6000})
        await carriers.report(redis, "east", status | {"live": False, "down_since_ms": now - 9000})
        await carriers.report(redis, "west", status)
        await carriers.set_mode(redis, "west", "draining")
        await liveness.look()
        assert [liveness.live(c) for c in ("north", "south", "east", "west", "nobody")] == [True] + [False] * 4
        assert liveness.down_ms("north") == 0
        assert 6000 <= liveness.down_ms("south") < 8000
        assert 9000 <= liveness.down_ms("east") < 11_000
        assert liveness.down_ms("west") == liveness.down_ms("nobody") == 1 << 40
        names = ("north", "south", "west", "nobody")
        assert [liveness.why(c) for c in names] == ["rate", "no_connector", "draining", "no_connector"]


async def test_a_draining_carrier_gets_nothing_new_and_sends_what_nobody_else_may_take(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        await path.accept(50)
        moves = Moves(path.redis)
        await moves.begin()
        await moves.route(await moves.intake())
        await moves.router.release()
        await carriers.set_mode(path.redis, "north", "draining")
        path.plan = plan(("north",))
        path.start_connector("north")
        path.start_router()
        await path.drained()
        assert path.sent("north") == Counter(path.accepted)


async def test_a_router_that_lost_its_link_for_a_moment_goes_on_at_once(valkey_url: str) -> None:
    async with running(valkey_url, lease_s=60.0) as path:
        path.start_router()
        path.start_connector()
        for _ in range(5):
            await path.accept(10)
            await until(lambda: len(path.sent()) == len(path.accepted), "routing")
            with client(valkey_url) as c:
                c.client_kill_filter(_type="normal", skipme=True)
            await asyncio.wait_for(path.redis.link(0).up(), 5)
            await until(lambda: path.redis.link(0).is_up, "a new connection")
            await until(lambda: can_accept(path), "accepting")
        await until(lambda: len(path.sent()) == len(path.accepted), "routing", 10)
        await path.drained()


async def can_accept(path: Path) -> bool:
    try:
        await path.accept(1)
    except RedisAwayError:
        return False
    return True
