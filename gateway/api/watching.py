"""`GET /v1/scorecards` and `GET /v1/incidents`: how carriers do, and what is unusual. For operators."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.api import call, query
from gateway.api.call import Answer, Call
from gateway.api.problems import Problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.render import time_of, words
from gateway.api.routes import Parameter
from gateway.api.watch_documents import Incidents, Scorecards, incident, scorecard
from gateway.stats import watching
from gateway.store.pool import StoreAwayError

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS

PARAMETERS: Final = (
    Parameter("since", "accepted then or later", {"type": "string", "format": "date-time"}),
    Parameter("until", "accepted before; now when not given", {"type": "string", "format": "date-time"}),
)


async def get_scorecards(c: Call) -> Answer:
    """Of the last seven days, unless asked otherwise."""
    span = _span(c, 7 * _DAY_MS, 92 * _DAY_MS)
    if isinstance(span, Problem):
        return span
    try:
        async with asyncio.timeout(STORE_S):
            found = await watching.score(c.gate.pool, *span)
    except (StoreAwayError, TimeoutError):
        return store_away()
    return call.answer(Scorecards(time_of(span[0]), time_of(span[1]), [scorecard(one) for one in found]))


async def get_incidents(c: Call) -> Answer:
    """Of the last six hours, unless asked otherwise."""
    span = _span(c, 6 * _HOUR_MS, _DAY_MS)
    if isinstance(span, Problem):
        return span
    try:
        async with asyncio.timeout(STORE_S):
            found = await watching.watch(c.gate.pool, *span, words)
    except (StoreAwayError, TimeoutError):
        return store_away()
    listed = [incident(one) for one in found]
    return call.answer(Incidents(time_of(span[0]), time_of(span[1]), watching.EARLIER_DAYS, listed))


def _span(c: Call, usual_ms: int, longest_ms: int) -> tuple[int, int] | Problem:
    given = c.request.query
    if wrong := query.known_only(given, ("since", "until")):
        return wrong
    since, until = query.time_ms(given, "since"), query.time_ms(given, "until")
    if isinstance(since, Problem):
        return since
    if isinstance(until, Problem):
        return until
    until_ms = until if until is not None else c.gate.redis.clock_ms()
    since_ms = since if since is not None else until_ms - usual_ms
    if not 900_000 <= until_ms - since_ms <= longest_ms:
        return query.invalid("since", f"A span is 15 minutes to {longest_ms // _HOUR_MS} hours long.")
    return since_ms, until_ms
