"""What limits an installation now: one answer, by one rule. Pure.

The rule: first what stops everything (Redis, a closed shard, no plan, memory). Then the queue that is the furthest
downstream of those where messages wait for longer than WAITING_S: whatever empties that one is the limit, because
everything before it only waits for it. There the carrier says why (window, rate, no bind, an order); where it says
nothing, the CPU of the process does. The recorder is beside the path: it limits only when sending does not. When
nothing waits, what comes in goes out, and at most the api's CPU or a quota is in the way of more.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.commands.times import span
from gateway.commands.watch.view import Carrier, Process, View

WAITING_S: Final = 1.0
"""What is on its way is younger; what is older waits."""

LAG_S: Final = 3.0
"""How far behind the recorder may be before it is late."""

BUSY: Final = 0.85
"""A process is one event loop on one core; at this share of it turns get long."""


LATE_S: Final = 0.05
"""An event loop that is this late without using its core does not get one: the machine has too much to do."""


class Limit(msgspec.Struct, frozen=True):
    """`what` is stable, for programs; `where` names a carrier or a process."""

    what: str
    where: str
    sentence: str


def limit_of(v: View) -> Limit:
    """The one thing to look at first."""
    return _stopped(v) or _sending(v) or _routing(v) or _recording(v) or _accepting(v) or _nothing(v)


def _stopped(v: View) -> Limit | None:
    if v.processes and all(p.error for p in v.processes):
        return Limit("away", "", f"no process answers: {v.processes[0].error}")
    if "redis" in v.failed_checks:
        return Limit("redis", "", "Redis cannot be reached: nothing is accepted or sent until it is back")
    if v.closed_shards:
        shards = ", ".join(v.closed_shards)
        return Limit("shard_closed", "", f"shard {shards} is closed until `sluice recover` has compared what is queued")
    if "plan" in v.failed_checks:
        return Limit("no_plan", "", "no plan is active: sluice plan apply FILE --activate")
    sending, accept = v.stops_at.get("sending", 0.85), v.stops_at.get("accept", 0.70)
    if v.redis_share >= sending:
        return Limit("memory", "", f"Redis is {v.redis_share:.0%} full: sending stops at {sending:.0%}")
    if v.redis_share >= accept:
        return Limit("memory", "", f"Redis is {v.redis_share:.0%} full: new messages get 429 from {accept:.0%} on")
    return None


def _sending(v: View) -> Limit | None:
    """A carrier whose outbox has messages that wait: of several, the one where most do."""
    late = [c for c in v.carriers if c.waiting and c.age_s >= WAITING_S]
    if not late:
        return None
    worst = max(late, key=lambda c: c.waiting)
    others = f" (and {len(late) - 1} more)" if len(late) > 1 else ""
    waits = f"{worst.waiting:,} wait for it, the oldest for {span(worst.age_s)}{others}"
    if worst.verdict.limited_by:
        return Limit(worst.verdict.limited_by, worst.name, f"carrier {worst.name}: {waits}. {worst.verdict.sentence}")
    if worst.rate_limit and worst.per_s >= 0.9 * worst.rate_limit:
        sentence = f"It sends as fast as its rate of {worst.rate_limit:g} parts a second allows."
        return Limit("rate", worst.name, f"carrier {worst.name}: {waits}. {sentence}")
    if by := _cpu(v, "connector", waits):
        return by
    return Limit("unclear", worst.name, f"carrier {worst.name}: {waits}, and nothing shows why{_speed(worst)}")


def _speed(carrier: Carrier) -> str:
    return f"; it takes {carrier.per_s:,.0f}/s" if carrier.per_s else ""


def _routing(v: View) -> Limit | None:
    late = [q for q in v.queues if q.name == "intake" and q.age_s >= WAITING_S]
    if not late:
        return None
    count, age = sum(q.messages for q in late), max(q.age_s for q in late)
    waits = f"{count:,} wait to be routed, the oldest for {span(age)}"
    if v.carriers and not any(c.verdict.ok for c in v.carriers):
        return Limit("no_bind", "", f"no carrier can send now: {waits}. sluice carriers")
    if by := _cpu(v, "router", waits):
        return by
    if not any("router" in p.roles for p in v.processes):
        return Limit("router", "", f"no process with the role router is seen: {waits}")
    return Limit("router", "", f"the router: {waits}")


def _recording(v: View) -> Limit | None:
    if v.recorder_lag_s < LAG_S:
        return None
    behind = f"PostgreSQL is {span(v.recorder_lag_s)} behind; sending goes on, trace and stats are late"
    if "postgres" in v.failed_checks:
        return Limit("recorder", "", f"PostgreSQL cannot be reached: {behind}")
    if by := _cpu(v, "recorder", behind):
        return Limit("recorder", by.where, f"the recorder: {by.sentence}")
    return Limit("recorder", "", f"the recorder: {behind}")


def _accepting(v: View) -> Limit | None:
    if by := _cpu(v, "api", "it takes in no more"):
        return by
    if per_s := v.refused.get("rate_limited"):
        return Limit("quota", "", f"clients' quotas: {per_s:,.1f} requests a second get 429")
    if per_s := v.refused.get("intake_full"):
        return Limit("intake", "", f"the intake: {per_s:,.1f} requests a second get 429")
    return None


def _nothing(v: View) -> Limit:
    broken = [c for c in v.carriers if not c.verdict.ok]
    also = f"; carrier {broken[0].name} cannot send: sluice carriers check {broken[0].name}" if broken else ""
    away = next((p for p in v.processes if p.error), None)
    also += f"; {away.name} does not answer: {away.error}" if away else ""
    return Limit("nothing", "", f"nothing: what comes in goes out{also}")


def _cpu(v: View, role: str, so: str) -> Limit | None:
    """The process with this role that has used up its core, or that the machine gives none."""
    mine: list[Process] = [p for p in v.processes if role in p.roles]
    busiest = max(mine, key=lambda p: p.cpu or 0.0, default=None)
    if busiest and (busiest.cpu or 0.0) >= BUSY:
        return Limit("cpu", busiest.name, f"CPU of {busiest.name} ({busiest.cpu:.0%} of a core): {so}")
    latest = max(mine, key=lambda p: p.late_s or 0.0, default=None)
    if latest and (latest.late_s or 0.0) >= LATE_S:
        late = f"{latest.name} gets its turns {span(latest.late_s or 0.0)} late, though it uses"
        used = f"{latest.cpu:.0%} of a core" if latest.cpu is not None else "no whole core"
        return Limit("machine", latest.name, f"CPU of the machine: {late} {used}: {so}")
    return None
