"""What connectors report, as routers and explanations see it."""

from __future__ import annotations

from typing import Any

from gateway.deliveries import DEADLINE_S
from gateway.plan.surroundings import Chance, Surroundings
from gateway.router.liveness import TRIALS, Liveness
from gateway.streams import carriers, chances
from gateway.streams.outlook import outlook
from tests.core_redis import opened


def status(now_ms: int, breaker: str = "closed", **fields: Any) -> dict[str, Any]:
    state = {
        "state": breaker,
        "since_ms": now_ms - 1_000,
        "failing_since_ms": now_ms - 7_000,
        "until_ms": 0,
        "why": "",
        "opened": 0,
    }
    known = {"live": True, "at_ms": now_ms, "down_since_ms": 0, "limited_by": "", "breaker": state, "queue_s": {}}
    return known | fields


async def test_a_carrier_with_an_open_breaker_is_down_and_a_half_open_one_gets_a_few(valkey_url: str) -> None:
    async with opened(valkey_url, 1) as redis:
        now, liveness = redis.clock_ms(), Liveness(redis)
        await carriers.report(redis, "open", status(now, "open", limited_by="breaker"))
        await carriers.report(redis, "half", status(now, "half_open", limited_by="breaker"))
        await carriers.report(redis, "fine", status(now))
        await liveness.look()
        assert [liveness.live("fine") for _ in range(9)] == [True] * 9
        assert not liveness.live("open") and liveness.why("open") == "breaker"
        assert 7_000 <= liveness.down_ms("open") < 9_000, "what waits there goes elsewhere after a while"
        assert [liveness.live("half") for _ in range(TRIALS + 3)] == [True] * TRIALS + [False] * 3
        assert 7_000 <= liveness.down_ms("half") < 9_000, "tries do not begin a new outage"
        await liveness.look()
        assert not liveness.live("half"), "no more of them before it is heard of again"
        again = status(now, "half_open")
        again["breaker"]["since_ms"] = now
        await carriers.report(redis, "half", again)
        await liveness.look()
        assert liveness.live("half")
        await carriers.report(redis, "half", status(now))
        await liveness.look()
        assert [liveness.live("half") for _ in range(TRIALS + 3)] == [True] * (TRIALS + 3)


async def test_an_operator_that_is_set_aside_at_a_carrier_gets_a_few_when_it_is_tried_again(valkey_url: str) -> None:
    async with opened(valkey_url, 1) as redis:
        now, liveness = redis.clock_ms(), Liveness(redis)
        pairs = {"mts": {"state": "open", "since_ms": now}, "tele2": {"state": "half_open", "since_ms": now}}
        await carriers.report(redis, "north", status(now, operators=pairs))
        await carriers.report(redis, "south", status(now))
        await liveness.look()
        assert liveness.is_any_aside and not liveness.is_steady and liveness.live("north")
        assert liveness.aside("north", "mts") and not liveness.aside("south", "mts")
        assert not liveness.aside("north", "beeline")
        assert [liveness.aside("north", "tele2") for _ in range(TRIALS + 2)] == [False] * TRIALS + [True] * 2
        await carriers.report(redis, "north", status(now))
        await liveness.look()
        assert not liveness.is_any_aside and liveness.is_steady and not liveness.aside("north", "tele2")


async def test_a_long_queue_makes_a_carrier_slow_for_that_class_only(valkey_url: str) -> None:
    async with opened(valkey_url, 1) as redis:
        liveness = Liveness(redis)
        await carriers.report(redis, "north", status(redis.clock_ms(), queue_s={"otp": 3.0, "marketing": 30.0}))
        await liveness.look()
        assert [liveness.slow("north", klass) for klass in DEADLINE_S] == [True, False, False, False]
        assert liveness.is_any_slow


async def test_an_explanation_knows_who_is_down_what_waits_and_what_was_learnt(valkey_url: str) -> None:
    async with opened(valkey_url, 1) as redis:
        now = redis.clock_ms()
        await carriers.report(redis, "open", status(now, "open", limited_by="breaker"))
        await carriers.report(redis, "fine", status(now, queue_s={"otp": 9.0}))
        await carriers.report(redis, "gone", status(now - 60_000))
        await carriers.set_mode(redis, "paused", "paused")
        await chances.publish(redis, now, {("otp", "fine", "mts"): Chance(0.9, 0.95, 40)})
        around, why = await outlook(redis, Surroundings(now_ms=now, used=lambda *_: 7))
        assert around.live is not None and around.slow is not None and around.chance is not None
        names = ("fine", "open", "gone", "paused", "never-seen")
        assert [around.live(name) for name in names] == [True, False, False, False, True]
        assert [why(name) for name in names] == ["", "breaker", "no_connector", "paused", ""]
        assert around.slow("fine", "otp") and not around.slow("fine", "alert")
        assert around.chance("fine", "mts", "otp") == Chance(0.9, 0.95, 40)
        assert around.used is not None and around.used("", "", "") == 7, "what was known stays"
