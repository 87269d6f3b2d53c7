"""The benchmark's arithmetic: percentiles, CPU by process, floors scaled by the machine's speed."""

from __future__ import annotations

import os
import subprocess
import sys

from bench import account
from bench.__main__ import KNOWN, median
from bench.floors import FLOORS, Floor, broken


def test_a_percentile_is_a_value_that_occurred() -> None:
    values = [float(n) for n in range(1, 101)]
    assert account.percentile(values, 0.5) == 50
    assert account.percentile(values, 0.99) == 99
    assert account.percentile([7.0], 0.99) == 7
    assert account.percentile([], 0.5) == 0
    assert account.milliseconds([0.001, 0.002], "accept") == {"accept_p50_ms": 1.0, "accept_p99_ms": 2.0}


def test_cpu_time_of_a_child_that_ended_stays_with_its_parent() -> None:
    work = "sum(i * i for i in range(3_000_000))"
    before = account.cpu_seconds({"me": os.getpid()})
    subprocess.run([sys.executable, "-c", work], check=True)
    after = account.cpu_seconds({"me": os.getpid()})
    cost = account.per_message(before, after, 1000)
    assert cost["me"] >= 30
    assert cost["all"] == cost["me"]


def test_floors_follow_the_speed_of_the_machine_but_not_where_the_carrier_sets_the_pace() -> None:
    rate, latency, paced = Floor("a", 100), Floor("b", 50, at_most=True), Floor("c", 100, scaled=False)
    assert rate.holds({"a": 60}, 0.5)
    assert not rate.holds({"a": 60}, 1.0)
    assert latency.holds({"b": 90}, 0.5)
    assert not latency.holds({"b": 90}, 1.0)
    assert not paced.holds({"c": 60}, 0.5)


def test_every_load_has_a_floor_and_what_is_lost_or_doubled_breaks_any() -> None:
    assert set(FLOORS) == set(KNOWN)
    good = {"load": "late", "messages_per_s": 12_000.0, "lost": 0, "doubled": 0}
    assert broken(good, 1.0) == []
    assert len(broken(good | {"lost": 1, "doubled": 2, "messages_per_s": 11_999.0}, 1.0)) == 3


def test_the_median_is_a_whole_run() -> None:
    runs = [{"messages_per_s": rate, "n": rate} for rate in (3, 1, 2)]
    assert median(runs)["n"] == 2
