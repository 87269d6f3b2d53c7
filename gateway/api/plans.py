"""`/v1/plans`: versions of the routing plan, kept, checked and made active.

In: a TOML document. Out: versions, and what is wrong with a document line by line. Never: a plan with an error made
active; a secret, because a plan has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar

import msgspec

from gateway import what_if
from gateway.api import call, diagnosis, query
from gateway.api.admin_documents import (
    NewPlan,
    PlanActive,
    PlanChange,
    PlanChecked,
    PlanKept,
    PlanReturn,
    PlanText,
    PlanVersions,
    PlanVersionView,
)
from gateway.api.call import Answer, Call
from gateway.api.intake import why
from gateway.api.problems import Code, PlanFault, Problem, problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.render import time_of
from gateway.live import plan as live_plan
from gateway.plan import problems as plan_problems
from gateway.plan.document import Plan
from gateway.provider_modules import check_whole
from gateway.store import plans
from gateway.store.pool import StoreAwayError
from gateway.streams.link import RedisAwayError, ScriptError

_TOML: Final = frozenset({"application/toml", "text/plain", "text/x-toml"})
_MAX_VERSION: Final = 2**63 - 1
_decode = msgspec.json.Decoder(NewPlan).decode
A = TypeVar("A", PlanChange, PlanReturn)


async def list_plans(c: Call) -> Answer:
    """All versions, newest first."""
    limit = query.limit(c.request.query)
    if wrong := query.known_only(c.request.query, ("limit",)):
        return wrong
    if isinstance(limit, Problem):
        return limit
    try:
        async with asyncio.timeout(STORE_S):
            rows = await plans.history(c.gate.pool, limit)
            active = await plans.active(c.gate.pool)
    except (StoreAwayError, TimeoutError):
        return store_away()
    return call.answer(PlanVersions(active.version if active else None, [_view(row) for row in rows]))


async def get_plan(c: Call) -> Answer:
    """One version with its text."""
    version = _version(c)
    if isinstance(version, Problem):
        return version
    try:
        async with asyncio.timeout(STORE_S):
            row, text = await plans.row(c.gate.pool, version), await plans.document(c.gate.pool, version)
    except (StoreAwayError, TimeoutError):
        return store_away()
    if row is None or text is None:
        return _unknown(c)
    return call.answer(PlanText(_view(row), text))


async def keep_plan(c: Call) -> Answer:
    """Keep a document as a new version, and make it active if that is asked for."""
    wanted = await _wanted(c)
    if isinstance(wanted, Problem):
        return wanted
    found = check_whole(wanted.document).problems
    if errors := plan_problems.errors(found):
        return invalid(errors)
    try:
        async with asyncio.timeout(STORE_S):
            version = await plans.draft(c.gate.pool, wanted.document, who=c.who, note=wanted.note)
    except (StoreAwayError, TimeoutError):
        return store_away()
    if wanted.activate:
        activated = await _activate(c, version, wanted.note)
        if isinstance(activated, Problem):
            return activated
    return call.answer(PlanKept(version, wanted.activate, _faults(found)), 201)


async def activate(c: Call) -> Answer:
    """Make a version the one in use, in every process within a second."""
    version = _version(c)
    if isinstance(version, Problem):
        return version
    wanted = await _about(c, PlanChange())
    if isinstance(wanted, Problem):
        return wanted
    activated = await _activate(c, version, wanted.note)
    return activated if isinstance(activated, Problem) else call.answer(activated)


async def rollback(c: Call) -> Answer:
    """Return to a version, or to the one that was in use before."""
    wanted = await _about(c, PlanReturn())
    if isinstance(wanted, Problem):
        return wanted
    returned = await _live(
        c, live_plan.rollback(c.gate.pool, c.gate.redis, wanted.version, who=c.who, note=wanted.note)
    )
    return returned if isinstance(returned, Problem) else call.answer(returned)


async def check_plan(c: Call) -> Answer:
    """Say what is wrong with a document, keeping nothing."""
    wanted = await _wanted(c)
    if isinstance(wanted, Problem):
        return wanted
    plan, found = check_whole(wanted.document)
    if plan is not None:
        found = sorted([*found, *await _low_limits(c, wanted.document, plan)], key=lambda p: p.line)
    return call.answer(PlanChecked(not plan_problems.errors(found), _faults(found)))


async def _low_limits(c: Call, document: str, plan: Plan) -> list[plan_problems.Problem]:
    """Limits that last week would have reached; none while PostgreSQL cannot tell."""
    try:
        async with asyncio.timeout(STORE_S):
            return await what_if.low_limits(c.gate.pool, document, plan)
    except (StoreAwayError, TimeoutError):
        return []


async def _wanted(c: Call) -> NewPlan | Problem:
    body = await c.body()
    if isinstance(body, Problem):
        return body
    if is_toml(c):
        try:
            return NewPlan(body.decode())
        except UnicodeDecodeError as e:
            return diagnosis.not_json(e)
    try:
        wanted = _decode(body)
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)
    if "\0" in wanted.document + wanted.note:
        return problem(Code.FORBIDDEN_CHARACTER, "U+0000 cannot be stored: leave it out.")
    return wanted


def is_toml(c: Call) -> bool:
    """Whether the body is the document itself."""
    return c.request.content_type in _TOML


async def _about(c: Call, nothing: A) -> A | Problem:
    """What the body says; a request without one says nothing."""
    body = await c.body()
    if isinstance(body, Problem) or not body:
        return body or nothing
    try:
        wanted = msgspec.json.decode(body, type=type(nothing))
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)
    if "\0" in wanted.note:
        return problem(Code.FORBIDDEN_CHARACTER, "U+0000 cannot be stored: leave it out.")
    if isinstance(wanted, PlanReturn) and wanted.version is not None and not 0 < wanted.version <= _MAX_VERSION:
        return _unknown(c)
    return wanted


async def _activate(c: Call, version: int, note: str) -> PlanActive | Problem:
    return await _live(c, live_plan.activate(c.gate.pool, c.gate.redis, version, who=c.who, note=note))


async def _live(c: Call, change: Awaitable[plans.Active | live_plan.Refused]) -> PlanActive | Problem:
    try:
        async with asyncio.timeout(STORE_S):
            active = await change
    except (StoreAwayError, TimeoutError):
        return store_away()
    except (RedisAwayError, ScriptError) as e:
        return why(e)
    if not isinstance(active, live_plan.Refused):
        return PlanActive(active.version, time_of(active.since_us // 1000))
    if active.problems:
        return invalid(active.problems)
    if active.code == "nothing_before":
        return problem(Code.UNKNOWN_PLAN, "No other version was active before; GET /v1/plans lists them.")
    return _unknown(c)


def _version(c: Call) -> int | Problem:
    text = c.params["version"]
    if text.isascii() and text.isdigit() and len(text) < 19 and 0 < int(text) <= _MAX_VERSION:
        return int(text)
    return _unknown(c)


def _unknown(c: Call) -> Problem:
    return problem(Code.UNKNOWN_PLAN, "There is no such version; GET /v1/plans lists them.")


def invalid(errors: Sequence[plan_problems.Problem]) -> Problem:
    """The answer to a document with errors."""
    first = errors[0]
    said = problem(Code.PLAN_INVALID, f"Line {first.line}: {first.sentence}", pointer=first.pointer)
    return msgspec.structs.replace(said, plan_problems=_faults(errors))


def _faults(found: Sequence[plan_problems.Problem]) -> tuple[PlanFault, ...]:
    return tuple(PlanFault(p.line, p.pointer, p.code, p.sentence, p.severity) for p in found)


def _view(row: plans.PlanRow) -> PlanVersionView:
    return PlanVersionView(
        version=row.version,
        active=row.active,
        note=row.note,
        sha256=row.sha256,
        created_at=time_of(row.created_ms),
        created_by=row.created_by,
        activated_at=time_of(row.activated_ms) if row.activated_ms else None,
        activated_by=row.activated_by,
    )
