"""`POST /v1/plans/diff` and `/v1/plans/replay`: what a plan changes, and what it would have done with real traffic.

In: a TOML document or a kept version. Out: differences, and what would have moved and cost. Never keeps anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from gateway import what_if
from gateway.api import call, diagnosis
from gateway.api.call import Answer, Call
from gateway.api.documents import Price
from gateway.api.plan_documents import (
    PlanDiff,
    PlanDifference,
    PlanEffect,
    PlanFieldChange,
    PlanMove,
    PlanReplay,
    PlanReplayed,
)
from gateway.api.plans import invalid, is_toml
from gateway.api.problems import Code, Problem, problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.render import time_of
from gateway.plan import problems as plan_problems
from gateway.plan.difference import difference
from gateway.plan.document import Plan
from gateway.plan.effect import Effect, Move
from gateway.plan.parse import parse
from gateway.plan.rates import decimal
from gateway.provider_modules import check_whole
from gateway.store import plans
from gateway.store.pool import Pool, StoreAwayError

LOOK_S: Final = 20.0
"""How long looking at old traffic may take."""

_MOVES: Final = 500
_DAY_MS: Final = 86_400_000
_diff = msgspec.json.Decoder(PlanDiff).decode
_replay = msgspec.json.Decoder(PlanReplay).decode
T = TypeVar("T")


async def diff_plan(c: Call) -> Answer:
    """What a plan changes against another version, and what it would have moved."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    try:
        wanted = PlanDiff(body.decode()) if is_toml(c) else _diff(body)
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)
    after = readable_plan(wanted.document)
    if isinstance(after, Problem):
        return after
    kept = await _soon(kept_plan(c.gate.pool, wanted.version), STORE_S)
    if isinstance(kept, Problem):
        return kept
    version, before = kept
    effect = None
    if wanted.days:
        until_ms = c.gate.redis.clock_ms()
        found = await _compare(c, before, after, until_ms - wanted.days * _DAY_MS, until_ms, wanted.sample)
        if isinstance(found, Problem):
            return found
        effect = effect_document(found)
    changes = [
        PlanFieldChange(change.kind, change.table, change.name, change.field, change.before, change.after)  # type: ignore[arg-type]
        for change in difference(before, after)
    ]
    return call.answer(PlanDifference(version, changes, effect))


async def replay_plan(c: Call) -> Answer:
    """What a plan would have done with messages that were really sent."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    try:
        wanted = PlanReplay(body.decode()) if is_toml(c) else _replay(body or b"{}")
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)
    if (wanted.document is None) == (wanted.version is None):
        return problem(
            Code.INVALID_VALUE, "Give either a `document` or the number of a kept `version`.", pointer="/version"
        )
    tried = await _tried(c.gate.pool, wanted)
    if isinstance(tried, Problem):
        return tried
    kept = await _soon(kept_plan(c.gate.pool, wanted.against), STORE_S)
    if isinstance(kept, Problem):
        return kept
    until_ms = c.gate.redis.clock_ms() if wanted.until is None else _ms(wanted.until)
    since_ms = until_ms - what_if.WEEK_MS if wanted.since is None else _ms(wanted.since)
    if since_ms >= until_ms:
        return problem(Code.INVALID_VALUE, "`since` must be before `until`.", pointer="/since")
    found = await _compare(c, kept[1], tried, since_ms, until_ms, wanted.sample)
    return found if isinstance(found, Problem) else call.answer(PlanReplayed(kept[0], effect_document(found)))


async def _tried(pool: Pool, wanted: PlanReplay) -> Plan | Problem:
    if wanted.document is not None:
        return readable_plan(wanted.document)
    kept = await _soon(kept_plan(pool, wanted.version), STORE_S)
    return kept if isinstance(kept, Problem) else kept[1]


def readable_plan(document: str) -> Plan | Problem:
    """The plan of a document that could be used."""
    checked = check_whole(document)
    if checked.plan is None:
        return invalid(plan_problems.errors(checked.problems))
    return checked.plan


async def kept_plan(pool: Pool, version: int | None) -> tuple[int, Plan] | Problem:
    """A kept version, or the one in use. Raises StoreAwayError."""
    if version is None:
        active = await plans.active(pool)
        if active is None:
            return problem(Code.UNKNOWN_PLAN, "No version is in use yet: give the number of one in `version`.")
        version, document = active.version, active.document
    elif version < 1 or version >= 2**63 or (found := await plans.document(pool, version)) is None:
        return problem(Code.UNKNOWN_PLAN, "There is no such version; GET /v1/plans lists them.")
    else:
        document = found
    plan = parse(document)
    return (version, plan) if isinstance(plan, Plan) else invalid(plan)


async def _compare(
    c: Call, before: Plan, after: Plan, since_ms: int, until_ms: int, most: int
) -> what_if.WhatIf | Problem:
    made = [c.gate.compiled(plan, 0) for plan in (before, after)]
    return await _soon(what_if.compare(c.gate.pool, made[0], made[1], since_ms, until_ms, most), LOOK_S)


async def _soon(work: Awaitable[T], within_s: float) -> T | Problem:
    try:
        async with asyncio.timeout(within_s):
            return await work
    except (StoreAwayError, TimeoutError):
        return store_away()


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def effect_document(found: what_if.WhatIf) -> PlanEffect:
    """As the API shows it."""
    e = found.effect
    return PlanEffect(
        since=time_of(found.since_ms),
        until=time_of(found.until_ms),
        sampled=found.sampled,
        messages=e.messages,
        moved=e.moved,
        refused=e.refused,
        cost_before=Price(decimal(e.cost_before_micro), e.currency),
        cost_after=Price(decimal(e.cost_after_micro), e.currency),
        moves=[_move(move, e) for move in e.moves[:_MOVES]],
    )


def _move(move: Move, e: Effect) -> PlanMove:
    return PlanMove(
        klass=move.klass,  # type: ignore[arg-type]
        operator=move.operator,
        carrier_before=move.before or None,
        carrier_after=move.after or None,
        route_before=move.route_before,
        route_after=move.route_after,
        messages=move.messages,
        parts=move.parts,
        cost_before=Price(decimal(move.cost_before_micro), e.currency),
        cost_after=Price(decimal(move.cost_after_micro), e.currency),
    )
