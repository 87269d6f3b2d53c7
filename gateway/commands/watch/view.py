"""What two looks at an installation say together: rates, queues, carriers, processes. Pure.

A counter that went back belongs to a process that was started again: it counts from 0. What every process measures
alike (queues, memory) is taken once, the largest; what each has of its own (counters, CPU) is added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from gateway.commands.watch.carrier import Verdict, judge
from gateway.commands.watch.sample import Labels, Reading, Sample

STAGES: Final[Mapping[str, tuple[str, Callable[[Labels], bool]]]] = {
    "accepted": ("messages_accepted_total", lambda _: True),
    "routed": ("messages_routed_total", lambda _: True),
    "submitted": ("submissions_marked_total", lambda _: True),
    "receipts": ("receipts_total", lambda _: True),
    "recorded": ("recorder_rows_total", lambda labels: labels.get("table") == "messages"),
}
"""The data path's counters. Parts are counted from `submitted` on, messages elsewhere."""

CLASSES: Final = ("otp", "alert", "transactional", "marketing", "")


class Queue(msgspec.Struct, frozen=True):
    """What waits. `waiting`: without what is with the carrier already."""

    name: str
    klass: str
    carrier: str
    messages: int
    age_s: float


class Carrier(msgspec.Struct, frozen=True):
    """A carrier as it does. `waiting` messages in its outboxes are not on the wire; the oldest waits for `age_s`."""

    name: str
    verdict: Verdict
    per_s: float
    waiting: int
    age_s: float
    rate_limit: float
    binds: tuple[tuple[str, int, int], ...]


class Process(msgspec.Struct, frozen=True):
    """A process. `cpu`: share of one core; `late_s`: how late its event loop was, on average. None: not known yet."""

    name: str
    roles: tuple[str, ...]
    cpu: float | None
    late_s: float | None
    memory_bytes: int
    error: str


class View(msgspec.Struct, frozen=True):
    """Everything that `sluice top` shows. Rates are None before there are two looks."""

    at: float
    rates: dict[str, float | None]
    refused: dict[str, float]
    queues: tuple[Queue, ...]
    carriers: tuple[Carrier, ...]
    processes: tuple[Process, ...]
    recorder_lag_s: float
    redis_bytes: int
    redis_share: float
    stops_at: dict[str, float]
    closed_shards: tuple[str, ...]
    failed_checks: tuple[str, ...]
    plan_version: int
    refusal: str
    paused: tuple[str, ...] = ()
    """Classes, clients and tags, such as `class marketing`; carriers say it themselves."""


def view(before: Sample | None, now: Sample) -> View:
    """From two looks; from one there are no rates."""
    old = {r.name: r for r in before.readings if not r.error} if before else {}
    pairs = [(old.get(r.name), r) for r in now.readings if not r.error]
    queues = _queues(now)
    rates = {stage: _rate(pairs, name, keep) for stage, (name, keep) in STAGES.items()}
    return View(
        now.at,
        rates,
        {code: rate for code, rate in _by(pairs, "refusals_total", "code").items() if rate},
        queues,
        _carriers(now, queues, _by(pairs, "submissions_marked_total", "carrier")),
        tuple(_process(old.get(r.name), r) for r in now.readings),
        _largest(now, "recorder_lag_seconds"),
        int(_largest(now, "redis_memory_used_bytes")),
        _largest(now, "redis_memory_used_ratio"),
        {labels["stops"]: value for r in now.readings for labels, value in r.of("redis_memory_threshold_ratio")},
        tuple(sorted({s["shard"] for r in now.readings for s, v in r.of("shard_open") if not v})),
        tuple(sorted({s["check"] for r in now.readings for s, v in r.of("check_ok") if not v})),
        int(_largest(now, "plan_version")),
        now.refusal,
        tuple(sorted({f"{s['kind']} {s['name']}" for r in now.readings for s, v in r.of("paused") if v})),
    )


def _queues(now: Sample) -> tuple[Queue, ...]:
    found: dict[tuple[str, str, str], list[float]] = {}
    for at, name in enumerate(("queue_messages", "queue_age_seconds")):
        for reading in now.readings:
            for labels, value in reading.of(name):
                key = (labels["queue"], labels["class"], labels["carrier"])
                both = found.setdefault(key, [0.0, 0.0])
                both[at] = max(both[at], value)
    order = {klass: n for n, klass in enumerate(CLASSES)}
    queues = (Queue(*key, int(both[0]), both[1]) for key, both in found.items() if both[0])
    return tuple(sorted(queues, key=lambda q: (q.name, order.get(q.klass, 9), q.carrier)))


def _carriers(now: Sample, queues: tuple[Queue, ...], per_s: Mapping[str, float]) -> tuple[Carrier, ...]:
    made = []
    for row in now.carriers:
        name, verdict = row["name"], judge(row, int(now.at * 1000))
        mine = [q for q in queues if q.carrier == name]
        links = row["status"].get("links", ())
        made.append(
            Carrier(
                name,
                verdict,
                per_s.get(name, 0.0),
                max(0, sum(q.messages for q in mine) - verdict.in_flight),
                max((q.age_s for q in mine), default=0.0),
                float(row["status"].get("rate_per_s") or 0.0),
                tuple((link["bind"], link["in_flight"], link["window"]) for link in links),
            )
        )
    return tuple(made)


def _process(old: Reading | None, now: Reading) -> Process:
    name, cpu = "process_cpu_seconds_total", None
    if old and (used := now.one(name)) is not None and (before := old.one(name)) is not None and now.at > old.at:
        cpu = max(0.0, used - before if used >= before else used) / (now.at - old.at)
    memory = int(now.one("process_resident_memory_bytes") or 0)
    return Process(now.name, tuple(sorted(now.roles)), cpu, _late(old, now), memory, now.error)


def _late(old: Reading | None, now: Reading) -> float | None:
    names = ("sluice_event_loop_lag_seconds_sum", "sluice_event_loop_lag_seconds_count")
    total, count = (now.one(name) for name in names)
    before, seen = (old.one(name) if old else None for name in names)
    if total is None or count is None or before is None or seen is None or count <= seen:
        return None
    return max(0.0, total - before) / (count - seen)


def _rate(pairs: list[tuple[Reading | None, Reading]], name: str, keep: Callable[[Labels], bool]) -> float | None:
    """Added up over all processes that were seen twice; None when there is none."""
    rates = [
        (_growth(_sum(old, name, keep), _sum(new, name, keep))) / (new.at - old.at)
        for old, new in pairs
        if old and new.at > old.at
    ]
    return sum(rates) if rates else None


def _by(pairs: list[tuple[Reading | None, Reading]], name: str, label: str) -> dict[str, float]:
    values = {labels[label] for _, new in pairs for labels, _ in new.of(name)}
    return {value: _rate(pairs, name, lambda labels, v=value: labels.get(label) == v) or 0.0 for value in values}  # type: ignore[misc]


def _sum(reading: Reading, name: str, keep: Callable[[Labels], bool]) -> float:
    return sum(value for labels, value in reading.of(name) if keep(labels))


def _growth(before: float, now: float) -> float:
    return now - before if now >= before else now


def _largest(now: Sample, name: str) -> float:
    return max((value for reading in now.readings for _, value in reading.of(name)), default=0.0)
