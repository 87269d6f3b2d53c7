"""`GET /v1/stats`: what was sent, delivered and spent, from the roll-ups.

In: a span, dimensions. Out: sums. Never: another client's, unless the key may operate the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.api import call, figures, query
from gateway.api.call import Answer, Call
from gateway.api.figure_documents import Group, Statistics
from gateway.api.problems import Problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.render import price, time_of
from gateway.api.routes import Parameter
from gateway.stats.reading import Asked
from gateway.stats.spans import STEPS
from gateway.store import totals
from gateway.store.pool import StoreAwayError

_DAY_MS: Final = 86_400_000
_STEPS: Final = tuple(dict.fromkeys((*totals.STEPS, *STEPS)))
_KNOWN: Final = ("since", "until", "by", "step", *figures.PAGING, *totals.DIMENSIONS)

PARAMETERS: Final = (
    Parameter("since", "accepted then or later; a day ago when not given", {"type": "string", "format": "date-time"}),
    Parameter("until", "accepted before; now when not given", {"type": "string", "format": "date-time"}),
    Parameter("by", f"comma-separated dimensions out of {', '.join(totals.DIMENSIONS)}; `state` when not given"),
    Parameter("step", "one group for each", {"type": "string", "enum": list(_STEPS)}),
    *(Parameter(name, f"only messages of this {name}") for name in totals.DIMENSIONS),
    *figures.PARAMETERS,
    *figures.PAGES,
)


async def get_stats(c: Call) -> Answer:
    """Sums of the client's messages; of all clients' for keys that may operate."""
    given = c.request.query
    if figures.is_asked(given):
        return await figures.get_figures(c)
    if wrong := query.known_only(given, _KNOWN):
        return wrong
    since, until = query.time_ms(given, "since"), query.time_ms(given, "until")
    if isinstance(since, Problem):
        return since
    if isinstance(until, Problem):
        return until
    until_ms = until if until is not None else c.gate.redis.clock_ms() + 60_000
    since_ms = since if since is not None else until_ms - _DAY_MS
    by = [name.strip() for name in given.get("by", "state").split(",") if name.strip()]
    if any(name not in totals.DIMENSIONS for name in by) or len(set(by)) < len(by):
        return query.invalid("by", f"`by` names each of {', '.join(totals.DIMENSIONS)} at most once.")
    step = given.get("step")
    if step is not None and step not in totals.STEPS:
        return query.invalid("step", f"`step` is one of {', '.join(totals.STEPS)}.")
    client = None if c.rights.scopes & {"ops", "admin"} else c.client
    only = {name: given[name] for name in totals.DIMENSIONS if name in given}
    if nul := next((name for name, value in only.items() if "\0" in value), None):
        return query.invalid(nul, "U+0000 is in no value.")
    if (
        _DAY_MS < until_ms - since_ms <= (figures.FINE_MS if step == "hour" else figures.LONGEST_MS)
        and step != "minute"
    ):
        allowed = {name: [value] for name, value in only.items()}
        if client is not None:
            allowed["client"] = [client] if client in allowed.get("client", [client]) else []
        paging = figures.paging_of(given, len([name for name in by if name != "state"]))
        if isinstance(paging, Problem):
            return paging
        asked = Asked(since_ms, until_ms, tuple(by), step, only=allowed, latencies=False)
        return await figures.get_sums(
            c, msgspec.structs.replace(asked, limit=paging[0], after=paging[1], most_rows=figures.MOST_ROWS)
        )
    paging = figures.paging_of(given, len(by) + 1)
    if isinstance(paging, Problem):
        return paging
    limit, after = paging
    try:
        async with asyncio.timeout(STORE_S):
            found = await totals.totals(c.gate.pool, client, since_ms, until_ms, by, step, only, limit + 1, after)
    except (StoreAwayError, TimeoutError):
        return store_away()
    groups = [_group(total, by, step is not None) for total in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    place = None if last is None else (last.at_ms, (*last.values, last.currency))
    more = figures.next_page(c, since_ms, until_ms, place)
    return call.answer(Statistics(time_of(since_ms), time_of(until_ms), by, groups, next=more))


def _group(total: totals.Total, by: Sequence[str], stepped: bool) -> Group:
    names = ["klass" if name == "class" else name for name in by]
    values: dict[str, Any] = dict(zip(names, total.values, strict=True))
    at = time_of(total.at_ms) if stepped else None
    cost = price(total.cost_micro, total.currency)
    return Group(messages=total.messages, parts=total.parts, cost=cost, at=at, **values)
