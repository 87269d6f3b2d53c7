"""Limits in the path, on a real Redis: who has to wait is passed by, and nobody sends more than is allowed."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from msgspec.structs import replace

from gateway.events import Parked
from gateway.plan.choice import Compiled
from gateway.plan.document import Budget, Carrier, Limit, Operator, Plan, Rate, Route
from gateway.plan.periods import bounds
from gateway.provider import Outcome, Submission
from gateway.streams import seats
from gateway.streams.cancel import cancel
from tests.core_path import Path, always_accepted, running
from tests.core_redis import opened, until


def limited(*limits: Limit, carriers: tuple[str, ...] = ("north",)) -> Compiled:
    """Numbers that begin with +7916 are `slow`'s, those with +7903 `fast`'s."""
    return Compiled(
        Plan(
            carriers=tuple(Carrier(name=name, provider="scripted") for name in carriers),
            operators=(Operator(name="slow", prefixes=("7916",)), Operator(name="fast", prefixes=("7903",))),
            rates=tuple(Rate(carrier=name, price="1.5", currency="RUB") for name in carriers),
            routes=(Route(name="all", carriers=carriers),),
            limits=limits,
        ),
        1,
    )


def halves(*limits: Limit) -> Compiled:
    """Half of the numbers go by `north`, the others by `south`."""
    return Compiled(
        Plan(
            carriers=(Carrier(name="north", provider="scripted"), Carrier(name="south", provider="scripted")),
            operators=(Operator(name="any", prefixes=("",)),),
            routes=(Route(name="half", carriers=("south",), percent=50), Route(name="rest", carriers=("north",))),
            limits=limits,
        ),
        1,
    )


SLOW, FAST = "+7916", "+7903"


class Clocked:
    """Answers, and keeps when each part came."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.at: list[tuple[int, str]] = []

    def __call__(self, s: Submission) -> Outcome | None:
        self.at.append((self._path.redis.clock_ms(), s.to))
        return always_accepted(s)

    def count(self, begin: str) -> int:
        return sum(to.startswith(begin) for _, to in self.at)

    def by_second(self, begin: str) -> Counter[int]:
        return Counter(ms // 1000 for ms, to in self.at if to.startswith(begin))


async def test_a_slow_operator_keeps_its_limit_and_does_not_slow_others_of_the_lane(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.plan = limited(Limit(parts=200, per="second", carrier="north", operator="slow"))
        clock = Clocked(path)
        slow = set(await path.accept(5_000))
        fast = await path.accept(300, to="+79031234567")
        path.start_router()
        path.start_connector(window=500, answer=clock)
        await until(lambda: clock.count(FAST) == len(fast), "the fast ones")
        assert clock.count(SLOW) < 1_000, "the fast ones went before most of the slow ones that came earlier"
        await until(lambda: clock.count(SLOW) >= 1_100, "the slow ones")
        seconds = clock.by_second(SLOW)
        assert max(seconds.values()) <= 200
        whole = sorted(seconds)[2:-1]  # what was taken at the end of the first second counts in the next one too
        assert sum(seconds[s] for s in whole) >= 0.5 * 200 * len(whole)  # how much a busy machine reaches: bench.limits
        parked = Counter(fact.id for fact in await path.facts() if isinstance(fact, Parked))
        assert len(parked) > 3_000 and set(parked) <= slow
        assert sum(parked.values()) <= 1.2 * len(parked), "each is parked once, or nearly"


async def test_a_carrier_whose_day_is_full_leaves_the_rest_to_the_next_one(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.plan = limited(Limit(parts=100, per="day", carrier="north"), carriers=("north", "south"))
        ids = await path.accept(1_000)
        path.start_connector("north")
        path.start_connector("south")
        path.start_router()
        await until(lambda: len(path.submissions()) == len(ids), "all")
        assert len(path.submissions("north")) == 100
        assert set(path.sent().values()) == {1}
        assert max(Counter(f.id for f in await path.facts() if isinstance(f, Parked)).values(), default=0) <= 2


async def test_without_another_carrier_the_rest_of_the_day_waits_for_the_next_one(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.plan = limited(Limit(parts=100, per="day", client="*"))
        ids = await path.accept(300, validity_s=200_000)
        others = await path.accept(50, client="bank")
        path.start_router()
        path.start_connector()
        await until(lambda: len(path.submissions()) == 150, "what may go")
        await until(lambda: path.later() == 200, "the rest")
        facts = [fact for fact in await path.facts() if isinstance(fact, Parked)]
        midnight = bounds(path.redis.clock_ms(), "day", "Europe/Moscow")[1]
        after = bounds(midnight, "day", "Europe/Moscow")[1]
        assert {fact.reason for fact in facts} == {"limit"} and {fact.id for fact in facts} <= set(ids)
        days = Counter(midnight if fact.until_ms < after else after for fact in facts)
        assert days == {midnight: 100, after: 100}, "as many as each day has room for"
        assert all(midnight <= fact.until_ms for fact in facts)
        assert set(others) <= set(path.sent())


async def test_two_processes_share_a_senders_limit_and_one_that_dies_frees_nothing(valkey_url: str) -> None:
    """What the dead one had leased counts as used until the period ends: together they never send more."""
    async with running(valkey_url) as path, opened(valkey_url) as other:
        path.plan = halves(Limit(parts=300, per="second", sender="Shop"))
        clock = Clocked(path)
        await path.accept(6_000)
        path.start_router()
        path.start_connector("north", window=300, answer=clock)
        path.start_connector("south", window=300, answer=clock, redis=other)
        await until(lambda: len(clock.at) >= 900, "some")
        north, south = len(path.submissions("north")), len(path.submissions("south"))
        assert north > 200 and south > 200, "both have their part"
        path.kill(other)
        before = len(path.submissions("north"))
        await until(lambda: len(path.submissions("north")) >= before + 900, "the other goes on")
        seconds = clock.by_second(SLOW)
        assert max(seconds.values()) <= 300, seconds


async def test_messages_on_their_way_to_one_number_are_at_most_so_many(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.plan = limited(Limit(in_flight=2, client="shop"))
        await path.accept(20, to="+79161111111")
        others = await path.accept(20, to="+79162222222", client="bank")
        path.start_router()
        path.start_connector(answer=lambda s: None)
        await until(lambda: len(path.submissions()) == 22, "two of one, all of the other")
        for _ in range(40):
            if len(path.sent()) == 40:
                break
            known = len(path.sent())
            mine = [s for s in path.carrier().kept if s.message_id not in others]
            assert len(mine) <= 2
            path.carrier().release()
            await until(lambda known=known: len(path.sent()) > known or not path.waiting(), "the next ones", 30)
        assert len(path.sent()) == 40


async def test_what_a_budget_that_holds_has_no_money_for_waits_for_the_next_day(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        plan = limited()
        budget = Budget(amount="30", currency="RUB", per="day", client="shop", when_spent="hold")
        path.plan = Compiled(replace(plan.plan, budgets=(budget,)), 2)
        ids = await path.accept(60, validity_s=200_000)
        others = await path.accept(10, client="bank")
        path.start_router()
        path.start_connector()
        await until(lambda: set(others) <= set(path.sent()), "whose money it is not")
        await until(lambda: len(path.sent()) >= 30, "what there is money for")
        assert 20 <= len(path.sent()) - 10 <= 21, "thirty roubles are twenty parts, and one more may be owed"
        midnight = bounds(path.redis.clock_ms(), "day", "Europe/Moscow")[1]

        async def held() -> dict[bytes, Parked]:
            return {f.id: f for f in await path.facts() if isinstance(f, Parked) and f.until_ms >= midnight}

        async def is_settled() -> bool:
            return len(await held()) + len(path.sent()) == 70

        await until(is_settled, "what was put off for a moment only")
        parked = await held()
        assert {f.reason for f in parked.values()} == {"budget"} and set(parked) <= set(ids)
        assert len(parked) == path.later()


async def test_what_is_cancelled_while_it_is_held_back_or_parked_is_never_sent(valkey_url: str) -> None:
    async with running(valkey_url, shards=2) as path:
        path.plan = limited(Limit(parts=20, per="second", client="shop"))
        ids = await path.accept(400)
        path.start_router()
        path.start_connector()
        await until(lambda: len(path.sent()) >= 20 and path.later() > 0, "the first ones")
        verdicts = await cancel(path.redis, [(i, "marketing", "shop") for i in ids[100:]])
        cancelled = {i for i, verdict in verdicts.items() if verdict == "cancelled"}
        assert len(cancelled) > 200
        await path.drained(40)
        assert not cancelled & set(path.sent())
        assert set(path.sent()) | cancelled == set(ids) and set(path.sent().values()) == {1}


async def test_a_connector_that_dies_with_messages_held_back_loses_and_doubles_none(valkey_url: str) -> None:
    async with running(valkey_url) as path, opened(valkey_url) as other:
        path.plan = limited(Limit(parts=100, per="second", carrier="north"))
        ids = await path.accept(600, klass="otp", validity_s=600)
        path.start_router()
        path.start_connector(redis=other)
        await until(lambda: len(path.sent()) >= 150, "some")
        path.kill(other)
        path.start_connector(name="successor")
        await until(lambda: set(path.sent()) == set(ids), "all", 40)
        await path.drained(40)
        doubled = [i for i, n in path.sent().items() if n > 1]
        assert len(doubled) <= 100, "at most what was on the wire when it died"


async def test_a_stall_on_the_way_to_the_wire_overruns_no_second(valkey_url: str) -> None:
    """As a peer counts that looks back a second at each part, whatever the clock says."""
    async with running(valkey_url) as path:
        path.plan = limited(Limit(parts=40, per="second", carrier="north", operator="slow"))
        at: list[float] = []

        def stalled(s: Submission) -> Outcome | None:
            at.append(time.monotonic())
            if len(at) % 23 == 0:
                time.sleep(0.15)  # the whole process stands still
            return always_accepted(s)

        await path.accept(250)
        path.start_router()
        path.start_connector(window=500, answer=stalled)
        await until(lambda: len(at) >= 150, "most of them", 60)
        assert max(sum(one - 1 < other <= one for other in at) for one in at) <= 40


def by_class(*limits: Limit) -> Compiled:
    """An otp goes by `south`, the rest by `north`."""
    return Compiled(
        Plan(
            carriers=(Carrier(name="north", provider="scripted"), Carrier(name="south", provider="scripted")),
            operators=(Operator(name="any", prefixes=("",)),),
            routes=(
                Route(name="otp", carriers=("south",), classes=("otp",)),
                Route(name="rest", carriers=("north",)),
            ),
            limits=limits,
        ),
        1,
    )


async def test_two_processes_share_what_may_be_on_its_way_to_one_number(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a process that is killed frees its seats when its lease is over, not before."""
    monkeypatch.setattr(seats, "LEASE_S", 3.0)
    monkeypatch.setattr(seats, "_RENEW_S", 1.0)
    async with running(valkey_url) as path, opened(valkey_url) as other:
        path.plan = by_class(Limit(in_flight=3, client="shop"))
        to = "+79161111111"
        for klass in ("otp", "marketing"):
            await path.accept(10, to=to, klass=klass)
        bystanders = await path.accept(200)
        path.start_router()
        path.start_connector("north", answer=lambda s: None if s.to == to else always_accepted(s))
        path.start_connector("south", answer=lambda s: None if s.to == to else always_accepted(s), redis=other)

        def flying() -> int:
            return sum(len(path.carrier(name).kept) for name in ("north", "south") if path.providers[name])

        await until(lambda: flying() == 3, "three of one number")
        await until(lambda: set(bystanders) <= set(path.sent()), "all of others")
        for _ in range(6):  # each answer makes room for one, wherever it came
            busy = max(("north", "south"), key=lambda name: len(path.carrier(name).kept))
            known = len(path.submissions())
            path.carrier(busy).release()
            await until(lambda known=known: len(path.submissions()) > known, "the next ones")  # type: ignore[misc]
            assert flying() <= 3
        await until(lambda: flying() == 3 or len(path.sent()) == 220, "as many again")
        dead = len(path.carrier("south").kept)
        path.kill(other)
        known = len(path.submissions("north"))
        path.carrier("north").release()
        await until(lambda: len(path.submissions("north")) == min(known + 3 - dead, 210), "what the dead one left")
        if dead:
            path.carrier("north").release()
            await until(lambda: len(path.carrier("north").kept) == 3 or len(path.sent("north")) == 210, "its own", 30)


async def test_each_client_of_a_star_has_its_own_seats(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.plan = limited(Limit(in_flight=1, client="*"))
        for name in ("shop", "bank"):
            await path.accept(3, to="+79161111111", client=name)
        path.start_router()
        path.start_connector(answer=lambda s: None)
        await until(lambda: len(path.submissions()) == 2, "one of each")
        path.carrier().release()
        await until(lambda: len(path.submissions()) == 4, "the next of each")
