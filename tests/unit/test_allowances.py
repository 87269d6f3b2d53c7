"""Leased slices against a plain slow limiter: whatever processes, clocks and crashes do, no period is overrun."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.plan.document import Limit, Plan
from gateway.plan.limits import Count, Limits
from gateway.plan.periods import bounds
from gateway.streams.allowances import Allowance, key_of

BERLIN_MONTH_END = 1_793_487_590_000  # 2026-10-31 23:59:50 there


def count(parts: int, per: str) -> Count:
    plan = Plan(limits=(Limit(parts=parts, per=per, client="*"),))
    return Limits(plan).counts("north", "mts", "Shop", "shop", "", "otp")[0]


class Server:
    """What Redis does with slices."""

    def __init__(self, limit: int) -> None:
        self.limit, self.out = limit, Counter[str]()

    def lease(self, key: str, amount: int) -> tuple[int, int]:
        free = self.limit - self.out[key]
        granted = max(min(amount, free), 0) if amount > 0 else max(amount, -self.out[key])
        self.out[key] += granted
        return granted, self.out[key]


class Process:
    """Leases when it is told to; what it was granted may be lost on the way."""

    def __init__(self, wanted: Count, server: Server) -> None:
        self.server, self.wanted = server, set[Allowance]()
        self.own = Allowance(wanted, self.wanted.add)

    def lease(self, now: int, lost: bool) -> None:
        if amount := self.own.asks(now):
            key = self.own.key
            granted, out = self.server.lease(key, amount)
            if not lost:
                self.own.granted(key, granted, amount, out, now)

    def send(self, parts: int, now: int) -> int:
        if not self.own.fits(parts, now):
            self.own.need(parts)
            return 0
        self.own.spend(parts, now)
        return min(parts, self.own.limit)

    def tidy(self, now: int) -> None:
        if spare := self.own.spare(now):
            self.server.lease(self.own.key, -spare)


STEP = st.tuples(
    st.sampled_from(("send", "send", "send", "lease", "lost", "tidy", "crash")),
    st.integers(0, 2),  # process
    st.integers(1, 4),  # parts
    st.sampled_from((0, 1, 5, 40, 300, 999, 1_000, 5_000, -300, -4_000, 3_600_000)),  # ms that pass
)


@settings(max_examples=300)
@given(st.integers(1, 40), st.sampled_from(("second", "minute", "day", "month")), st.lists(STEP, max_size=200))
def test_all_processes_together_never_use_more_than_a_period_allows(
    parts: int, per: str, steps: list[tuple[str, int, int, int]]
) -> None:
    wanted, server = count(parts, per), Server(parts)
    processes = [Process(wanted, server) for _ in range(3)]
    used, now = Counter[int](), BERLIN_MONTH_END
    for what, n, weight, passed in steps:
        now += passed
        if what == "send":
            used[bounds(now, per, "Europe/Moscow")[0]] += processes[n].send(weight, now)
        elif what == "crash":
            processes[n] = Process(wanted, server)
        elif what == "tidy":
            processes[n].tidy(now)
        else:
            processes[n].lease(now, lost=what == "lost")
    assert all(sum_ <= parts for sum_ in used.values()), used


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 3), st.sampled_from(("second", "minute")))
def test_processes_that_go_on_asking_use_all_that_a_period_allows(parts: int, number: int, per: str) -> None:
    """As a limiter in one process would: nothing of an allowance is left lying."""
    wanted, server = count(parts, per), Server(parts)
    processes = [Process(wanted, server) for _ in range(number)]
    begin = bounds(BERLIN_MONTH_END, per, "Europe/Moscow")[1]
    sent, length = 0, bounds(begin, per, "Europe/Moscow")[1] - begin
    for ms in range(0, min(length, 3_000), 5):
        for process in processes:
            while process.send(1, begin + ms):
                sent += 1
            process.lease(begin + ms, lost=False)
    assert sent == parts


def test_a_slice_is_worth_nothing_in_the_next_period_nor_when_the_clock_is_put_back() -> None:
    wanted = count(10, "second")
    process = Process(wanted, Server(10))
    process.own.need(5)
    process.lease(1_000, lost=False)
    assert process.own.room(1_989) > 0
    assert process.own.room(2_000) == 0
    process.own.need(5)
    process.lease(2_000, lost=False)
    assert process.own.room(1_500) == 0


def test_a_grant_that_comes_after_its_period_is_not_used() -> None:
    process = Process(count(10, "second"), Server(10))
    process.own.need(3)
    amount, key = process.own.asks(1_990), process.own.key
    process.own.granted(key, amount, amount, amount, 2_003)
    assert process.own.room(2_003) == 0


@given(st.integers(1, 50), st.lists(st.integers(1, 4), min_size=1, max_size=300), st.sampled_from(("second", "day")))
def test_places_are_in_order_and_no_period_gets_more_than_it_allows(limit: int, weights: list[int], per: str) -> None:
    own = Allowance(count(limit, per), lambda _: None)
    own.room(BERLIN_MONTH_END)
    slots = [(own.place(parts, BERLIN_MONTH_END), parts) for parts in weights]
    assert [slot for slot, _ in slots] == sorted(slot for slot, _ in slots)
    _, end = bounds(BERLIN_MONTH_END, per, "Europe/Moscow")
    assert slots[0][0] >= end
    placed = Counter[int]()
    for slot, parts in slots:
        placed[bounds(slot, per, "Europe/Moscow")[0]] += parts
    assert all(n <= max(limit, 4) for n in placed.values())


def test_the_name_of_a_count_tells_its_period() -> None:
    wanted: Any = count(10, "second")
    assert key_of(wanted, 5_000) == "used:second,client=shop:5"
