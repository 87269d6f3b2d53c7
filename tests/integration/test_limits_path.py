"""Limits in the path, on a real Redis: who has to wait is passed by, and nobody sends more than is allowed."""

from __future__ import annotations

from collections import Counter

from gateway.events import Parked
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Limit, Operator, Plan, Rate, Route
from gateway.provider import Outcome, Submission
from tests.core_path import Path, always_accepted, running
from tests.core_redis import until


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
        whole = sorted(seconds)[1:-1]
        assert sum(seconds[s] for s in whole) >= 0.98 * 200 * len(whole)
        parked = Counter(fact.id for fact in await path.facts() if isinstance(fact, Parked))
        assert len(parked) > 3_000 and set(parked) <= slow
        assert sum(parked.values()) <= 1.05 * len(parked), "each is parked once"
