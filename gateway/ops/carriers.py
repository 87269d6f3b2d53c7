"""Which carriers of the plan can send, as everybody sees it: a carrier without a connector anywhere is shown too.

In: what connectors report to Redis, what operators ordered, the plan. Out: `metrics.carrier_live`, `carrier_mode`
and the like.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from gateway import metrics
from gateway.plan.choice import Compiled
from gateway.streams import carriers
from gateway.streams.link import Redis, RedisAwayError, ScriptError

EVERY_S: Final = 2.0
STALE_MS: Final = 5_000
BREAKER: Final = ("closed", "open", "half_open")
MODES: Final = ("running", "paused", "draining")


async def watch_carriers(redis: Redis, plan: Callable[[], Compiled | None]) -> None:
    """Set the gauges now and then. Runs until cancelled."""
    while True:
        compiled = plan()
        if compiled is not None:
            names = [carrier.name for carrier in compiled.plan.carriers]
            try:
                show(names, await carriers.statuses(redis), await carriers.modes(redis), redis.clock_ms())
            except (RedisAwayError, ScriptError):
                pass  # the routers know no more either; `redis_up` tells
        await asyncio.sleep(EVERY_S)


def show(names: Iterable[str], statuses: Mapping[str, Any], modes: Mapping[str, str], now_ms: int) -> None:
    """Replace what the gauges showed: a carrier that left the plan is not shown any more."""
    metrics.carrier_live.clear()
    metrics.carrier_mode.clear()
    metrics.carrier_breaker.clear()
    metrics.carrier_aside.clear()
    for name in names:
        status = statuses.get(name)
        live = status is not None and status["live"] and now_ms - status["at_ms"] < STALE_MS
        metrics.carrier_live.labels(name).set(bool(live))
        breaker = str((status or {}).get("breaker", {}).get("state", "closed"))
        for state in BREAKER:
            metrics.carrier_breaker.labels(name, state).set(breaker == state)
        for operator in (status or {}).get("operators", {}):
            metrics.carrier_aside.labels(name, operator).set(1)
        for mode in MODES:
            metrics.carrier_mode.labels(name, mode).set(modes.get(name, "running") == mode)
