"""Routers and connectors together: breakers, backlogs, and candidates that cannot be used, on a real Redis."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.connector import breaker as breaker_module
from gateway.events import Ended
from gateway.plan.choice import Compiled
from gateway.plan.document import Operator
from gateway.plan.surroundings import Surroundings
from gateway.provider import Outcome, Reason, Submission, accepted, deferred
from gateway.streams import carriers, outlook
from tests.core_path import Path, plan, running
from tests.core_redis import until


def with_route(made: Compiled, **fields: Any) -> Compiled:
    routes = tuple(msgspec.structs.replace(route, **fields) for route in made.plan.routes)
    return Compiled(msgspec.structs.replace(made.plan, routes=routes), made.version + 1)


async def state_of(path: Path, carrier: str) -> str:
    status = (await carriers.statuses(path.redis)).get(carrier, {})
    return str(status.get("breaker", {}).get("state"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "SPAN_MS", 0)
    monkeypatch.setattr(breaker_module, "PAUSE_MS", 300)
    monkeypatch.setattr(breaker_module, "LONGEST_MS", 600)


async def test_a_carrier_that_fails_is_left_alone_and_tried_again_until_it_works(valkey_url: str, quick: None) -> None:
    async with running(valkey_url) as path:
        path.plan = plan(("north", "south"))
        works = False

        def answer(s: Submission) -> Outcome:
            s.sent_ms = path.redis.clock_ms()
            return accepted(s.message_id.hex()) if works else deferred(Reason.TEMPORARY)

        path.start_connector("north", answer=answer)
        path.start_connector("south")
        path.start_router()
        await path.accept(60, klass="otp")

        async def noticed() -> bool:
            return await state_of(path, "north") in ("open", "half_open")

        await until(noticed, "the breaker to open")
        await path.drained()
        assert sum(path.sent("south").values()) == 60, "what failed there went elsewhere"

        async def passed_by() -> bool:
            before = sum(path.sent("north").values())
            await path.accept(50, klass="otp")
            await path.drained()
            return sum(path.sent("north").values()) - before <= 5

        await until(passed_by, "the routers to pass it by, but for a few that try")
        works = True

        async def closed() -> bool:
            await path.accept(5, klass="otp")
            return await state_of(path, "north") == "closed"

        await until(closed, "the breaker to close")
        await path.drained()
        fates = await path.fates()
        assert set(fates["accepted"]) == set(path.accepted), "and nothing was lost on the way"
        assert not fates["failed"] and not fates["rejected"]


async def test_an_operator_that_fails_at_one_carrier_is_set_aside_there_alone(valkey_url: str, quick: None) -> None:
    async with running(valkey_url) as path:
        made = plan(("north", "south")).plan
        operators = (Operator(name="mts", prefixes=("7916",)), Operator(name="beeline", prefixes=("7903",)))
        path.plan = Compiled(msgspec.structs.replace(made, operators=operators), 2)
        works = False

        def answer(s: Submission) -> Outcome:
            s.sent_ms = path.redis.clock_ms()
            well = works or s.to.startswith("+7903")
            return accepted(s.message_id.hex()) if well else deferred(Reason.TEMPORARY)

        path.start_connector("north", answer=answer)
        path.start_connector("south")
        path.start_router()

        async def send(count: int) -> int:
            """How many of an operator that fails there are sent to `north`, while as many of the other all are."""
            before = sum(not s.to.startswith("+7903") for s in path.submissions("north"))
            other = sum(s.to.startswith("+7903") for s in path.submissions("north"))
            for n in range(count):
                await path.accept(1, klass="otp")
                await path.accept(1, klass="otp", to=f"+7903{n:07}")
            await path.drained()
            assert sum(s.to.startswith("+7903") for s in path.submissions("north")) == other + count
            return sum(not s.to.startswith("+7903") for s in path.submissions("north")) - before

        async def set_aside() -> bool:
            status = (await carriers.statuses(path.redis)).get("north", {})
            assert status.get("breaker", {}).get("state", "closed") == "closed"
            return await send(10) <= 5 and "mts" in status["operators"]

        await until(set_aside, "the pair to be set aside, but for a few that try", 60)
        around, _ = await outlook.outlook(path.redis, Surroundings(now_ms=path.redis.clock_ms()))
        assert around.aside is not None
        works = True

        async def back() -> bool:
            return await send(5) == 5

        await until(back, "the pair to be used again", 60)
        fates = await path.fates()
        assert set(fates["accepted"]) == set(path.accepted) and not fates["failed"]


async def test_what_is_slow_comes_behind_and_is_used_when_there_is_no_other(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(outlook.SLOW_S, "marketing", 0.5)
    async with running(valkey_url) as path:
        path.plan = plan(("north", "south"))
        path.start_connector("north", rate=20)
        path.start_connector("south")
        path.start_router()
        await path.accept(200)

        async def slow() -> bool:
            status = (await carriers.statuses(path.redis)).get("north", {})
            return float(status.get("queue_s", {}).get("marketing", 0)) > 1

        await until(slow, "the backlog to show")
        seen = sum(path.sent("north").values())

        async def elsewhere() -> bool:
            await path.accept(2)
            return sum(path.sent("south").values()) > 0

        await until(elsewhere, "others to go elsewhere")
        assert seen < 200


@pytest.mark.parametrize(("when_none", "ends"), [("fail", True), ("wait", False)])
async def test_without_a_live_candidate_a_message_fails_or_waits_as_the_route_says(
    valkey_url: str, when_none: str, ends: bool
) -> None:
    async with running(valkey_url) as path:
        path.plan = with_route(plan(("north",)), when_none=when_none)
        path.start_router()
        (one,) = await path.accept(1)
        if ends:
            await path.drained()
            assert [f for f in await path.facts() if isinstance(f, Ended)] == [Ended(one, "failed", "no_carrier")]
        else:
            await until(lambda: "{0}:outbox:north:marketing:shop" in path.left(), "it to wait at its carrier")
            path.start_connector("north")
            await path.drained()
            assert path.sent("north")[one] == 1


async def test_a_retryable_failure_goes_to_the_next_and_never_back_unless_the_route_says_so(valkey_url: str) -> None:
    for retry_same, at_north in ((False, 1), (True, 3)):
        failed: list[bytes] = []

        def answer(s: Submission, failed: list[bytes] = failed) -> Outcome:
            failed.append(s.message_id)
            return deferred(Reason.TEMPORARY)

        async with running(valkey_url) as path:
            path.plan = with_route(plan(("north", "south")), retry_same=retry_same)
            path.start_connector("north", answer=answer)
            path.start_connector("south", answer=lambda s: accepted(s.message_id.hex()))
            path.start_router()
            (one,) = await path.accept(1)
            await path.drained()
            assert failed.count(one) == at_north and path.sent("south")[one] == 1
