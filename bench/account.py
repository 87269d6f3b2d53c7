"""What a run cost and whether it was right: CPU time by process, percentiles, lost and doubled messages.

In: process ids, samples, counts of PostgreSQL and the sandbox. Out: numbers. Linux only: it reads /proc.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """CPU time used until now by each process with all its descendants, those that have ended included."""
    parents, times = _processes()
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    used = {}
    for name, root in roots.items():
        total, todo = 0, [root]
        while todo:
            pid = todo.pop()
            total += times.get(pid, 0)
            todo += children.get(pid, [])
        used[name] = total / TICKS
    return used


def _processes() -> tuple[dict[int, int], dict[int, int]]:
    parents, times = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile; its parent has its time
            continue
        # proc(5), counted from the state, field 3: ppid 4, utime 14, stime 15, cutime 16, cstime 17
        parents[int(entry.name)] = int(fields[1])
        times[int(entry.name)] = sum(map(int, fields[11:15]))
    return parents, times


def busy_seconds() -> float:
    """CPU time that the whole machine was not idle, since it started."""
    fields = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / TICKS  # but idle and iowait


def per_message(before: Mapping[str, float], after: Mapping[str, float], messages: int) -> dict[str, float]:
    """CPU in microseconds a message, by process, and their sum as `all`."""
    cost = {name: round((after[name] - before[name]) / messages * 1e6, 2) for name in after}
    return cost | {"all": round(sum(cost.values()), 2)}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed; 0.0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def milliseconds(seconds: Sequence[float], name: str) -> dict[str, float]:
    """p50 and p99 under the names of the benchmark."""
    shares = (("p50", 0.50), ("p99", 0.99))
    return {f"{name}_{p}_ms": round(percentile(seconds, share) * 1000, 2) for p, share in shares}
