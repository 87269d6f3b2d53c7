"""What the carriers' reports in Redis mean for choosing one: who can send, whose queue is long, what limits the others.

In: status reports and orders as streams/carriers.py has them. Out: sets and words; for one question all of it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gateway.plan.surroundings import Surroundings
from gateway.streams import carriers, chances
from gateway.streams.link import Redis

STALE_MS: Final = 5_000
"""A connector reports twice a second; one silent this long is dead or cut off."""

SLOW_S: Final = {"otp": 2.0, "alert": 5.0, "transactional": 15.0, "marketing": 60.0}
"""A carrier that has so much of a class before it, in seconds of sending, comes after the others."""


def can_send(status: Mapping[str, Any], mode: str, now_ms: int) -> bool:
    """Whether its connector runs, has a live bind and nobody ordered otherwise; whatever its breaker says."""
    return bool(status["live"]) and now_ms - int(status["at_ms"]) < STALE_MS and mode == "running"


def breaker(status: Mapping[str, Any]) -> str:
    """closed, open or half_open; a connector of an older release has none."""
    return str(status.get("breaker", {}).get("state", "closed"))


def slow(statuses: Mapping[str, Mapping[str, Any]]) -> frozenset[tuple[str, str]]:
    """Carriers and classes of which much waits."""
    return frozenset(
        (name, klass)
        for name, status in statuses.items()
        for klass, seconds in status.get("queue_s", {}).items()
        if seconds > SLOW_S.get(klass, 60.0)
    )


def aside(statuses: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Carriers and operators that are set aside or tried again, because most of what goes there fails."""
    return {
        (name, operator): breaker
        for name, status in statuses.items()
        for operator, breaker in status.get("operators", {}).items()
    }


def limit(status: Mapping[str, Any] | None, mode: str, now_ms: int) -> str:
    """What limits it: paused, draining, no_connector, no_bind, breaker, rate, window, memory, settings or nothing."""
    if mode != "running":
        return mode
    if status is None or now_ms - int(status["at_ms"]) >= STALE_MS:
        return "no_connector"
    return str(status["limited_by"])


async def outlook(redis: Redis, around: Surroundings) -> tuple[Surroundings, Callable[[str], str]]:
    """The surroundings with what Redis knows of carriers now, and what limits each. Raises RedisAwayError.

    Of a carrier that never had a connector nothing is known: a plan that is only tried may have such.
    """
    statuses, modes, now_ms = await carriers.statuses(redis), await carriers.modes(redis), redis.clock_ms()
    _, known = await chances.load(redis)
    late, failing = slow(statuses), aside(statuses)
    down = frozenset(modes) | {
        name
        for name, status in statuses.items()
        if not can_send(status, modes.get(name, "running"), now_ms) or breaker(status) != "closed"
    }
    told = msgspec.structs.replace(
        around,
        live=lambda carrier: carrier not in down,
        slow=(lambda carrier, klass: (carrier, klass) in late) if late else None,
        aside=(lambda carrier, operator: (carrier, operator) in failing) if failing else None,
        chance=known.chance,
    )

    def why(carrier: str) -> str:
        return limit(statuses.get(carrier), modes.get(carrier, "running"), now_ms) if carrier in down else ""

    return told, why
