"""`/v1/pauses`: keep a class, a client, a tag or a carrier from sending, and let it send again.

In: an operator's order. Out: what is paused, in every process within a second. Nothing is lost and nothing ends because
of it; what waits is told as `paused`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway import logs
from gateway.api import call
from gateway.api.call import Answer, Call
from gateway.api.intake import DEADLINE_S, FAILURES, why
from gateway.api.pause_documents import Kind, NewPause, PauseView, PauseViews
from gateway.api.problems import Code, Problem, problem
from gateway.api.query import known_only
from gateway.api.reading import STORE_S
from gateway.api.render import time_of
from gateway.api.webhooks import document
from gateway.message import CLASSES
from gateway.store import audit
from gateway.store.pool import StoreAwayError
from gateway.streams import carriers, pauses
from gateway.streams.pauses import Pause

log = logs.stage("api")

_KINDS: Final[tuple[Kind, ...]] = ("class", "client", "tag", "carrier")
_ONE: Final = f"Name exactly one of {', '.join(_KINDS)}."


async def list_pauses(c: Call) -> Answer:
    """Everything that is paused."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            return call.answer(PauseViews(await _views(c)))
    except FAILURES as e:
        return why(e)


async def pause(c: Call) -> Answer:
    """Pause one thing. Repeating is safe: the first order stays."""
    wanted = await document(c, NewPause)
    if isinstance(wanted, Problem):
        return wanted
    given: dict[str, str | None] = {
        "class": wanted.klass,
        "client": wanted.client,
        "tag": wanted.tag,
        "carrier": wanted.carrier,
    }
    named = _named(given)
    if named is None or "\0" in named[1] + wanted.note:
        return problem(Code.INVALID_VALUE, _ONE if named is None else "U+0000 cannot be stored: leave it out.")
    return await _order(c, *named, wanted.note, on=True)


async def resume(c: Call) -> Answer:
    """Let one thing send again. Repeating is safe."""
    query = c.request.query
    if wrong := known_only(query, _KINDS):
        return wrong
    named = _named({kind: query.get(kind) for kind in _KINDS})
    if named is None:
        return problem(Code.QUERY_INVALID, _ONE, parameter="class")
    if named[0] == "class" and named[1] not in CLASSES:
        return problem(Code.QUERY_INVALID, f"A class is one of {', '.join(CLASSES)}.", parameter="class")
    return await _order(c, *named, "", on=False)


def _named(given: dict[str, str | None]) -> tuple[Kind, str] | None:
    found: list[tuple[Kind, str]] = [(kind, value) for kind in _KINDS if (value := given[kind])]
    return found[0] if len(found) == 1 else None


async def _order(c: Call, kind: Kind, name: str, note: str, *, on: bool) -> Answer:
    redis = c.gate.redis
    try:
        async with asyncio.timeout(DEADLINE_S):
            if kind == "carrier":
                if refused := await _carrier(c, name, on):
                    return refused
            elif on:
                await pauses.pause(redis, Pause(kind, name, redis.clock_ms(), c.who, note))
            else:
                await pauses.resume(redis, kind, name)
            views = await _views(c)
    except FAILURES as e:
        return why(e)
    await _note(c, f"{kind}.{'paused' if on else 'resumed'}", name, note)
    return call.answer(PauseViews(views))


async def _carrier(c: Call, name: str, on: bool) -> Problem | None:
    plan = c.gate.plan()
    known = sorted(set(plan.carriers if plan is not None else ()) | set(await carriers.statuses(c.gate.redis)))
    if name not in known:
        words = f"There is no carrier of this name; known are: {', '.join(known) or 'none'}."
        return problem(Code.UNKNOWN_CARRIER, words)
    await carriers.set_mode(c.gate.redis, name, "paused" if on else "running")
    return None


async def _views(c: Call) -> list[PauseView]:
    held, modes = await asyncio.gather(pauses.pauses(c.gate.redis), carriers.modes(c.gate.redis))
    found = [PauseView(p.kind, p.name, time_of(p.at_ms), p.by, p.note) for p in held]  # type: ignore[arg-type]
    return found + [PauseView("carrier", name) for name, mode in sorted(modes.items()) if mode == "paused"]


async def _note(c: Call, what: str, name: str, note: str) -> None:
    """The audit's row. An order at 3 a.m. must not wait for PostgreSQL, so that this may fail."""
    try:
        async with asyncio.timeout(STORE_S), c.gate.pool.transaction() as connection:
            await audit.note(connection, c.who, what, name, {"note": note} if note else None)
    except (StoreAwayError, TimeoutError) as e:
        log.warning("order not in the audit", reason=e, what=what, name=name, who=c.who)
