"""`GET /v1/carriers` and `POST /v1/carriers/{name}/pause|resume|drain`: how carriers do, and an operator's orders.

In: the plan's names and the connectors' reports. Out: both in one list. Never: a carrier's settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from gateway import logs
from gateway.api import call
from gateway.api.admin_documents import Carriers, CarrierView
from gateway.api.call import Answer, Call
from gateway.api.intake import DEADLINE_S, FAILURES, why
from gateway.api.problems import Code, problem
from gateway.api.reading import STORE_S
from gateway.store import audit
from gateway.store.pool import StoreAwayError
from gateway.streams import carriers, learnt
from gateway.streams.carriers import Mode

log = logs.stage("api")

GONE_MS: Final = 15_000
"""A carrier that the plan has no more is shown while somebody still serves it: whose last report is younger."""
MODES: Final[Mapping[str, Mode]] = {"pause": "paused", "resume": "running", "drain": "draining"}


async def list_carriers(c: Call) -> Answer:
    """Every carrier that the plan names, a connector still serves or an operator has given an order for."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            return call.answer(Carriers(await _views(c)))
    except FAILURES as e:
        return why(e)


async def order(c: Call) -> Answer:
    """Pause, resume or drain one carrier."""
    name, mode = c.params["name"], MODES[c.request.path.rpartition("/")[2]]
    try:
        async with asyncio.timeout(DEADLINE_S):
            before = {view.name: view for view in await _views(c)}
            if name not in before:
                known = ", ".join(before) or "none"
                return problem(Code.UNKNOWN_CARRIER, f"There is no carrier of this name; known are: {known}.")
            await carriers.set_mode(c.gate.redis, name, mode)
    except FAILURES as e:
        return why(e)
    await _note(c, name, mode)
    return call.answer(CarrierView(name, mode, before[name].status))


async def _views(c: Call) -> list[CarrierView]:
    statuses, modes, owed = await asyncio.gather(
        carriers.statuses(c.gate.redis), carriers.modes(c.gate.redis), learnt.awaited(c.gate.redis)
    )
    for name, status in statuses.items():
        awaited = owed.get(name)
        status["receipts_awaited"] = awaited.messages if awaited is not None else 0
        status["receipts_awaited_since_ms"] = awaited.oldest_ms if awaited is not None else None
    plan, since_ms = c.gate.plan(), c.gate.redis.clock_ms() - GONE_MS
    served = {name for name, status in statuses.items() if plan is None or status.get("at_ms", 0) > since_ms}
    names = sorted(served | set(modes) | set(plan.carriers if plan is not None else ()))
    return [CarrierView(name, modes.get(name, "running"), _without_mode(statuses.get(name, {}))) for name in names]


def _without_mode(status: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name != "mode"}


async def _note(c: Call, name: str, mode: Mode) -> None:
    """The audit's row. An order at 3 a.m. must not wait for PostgreSQL, so that this may fail."""
    try:
        async with asyncio.timeout(STORE_S), c.gate.pool.transaction() as connection:
            await audit.note(connection, c.who, f"carrier.{mode}", name)
    except (StoreAwayError, TimeoutError) as e:
        log.warning("order not in the audit", reason=e, carrier=name, mode=mode, who=c.who)
