"""`GET /v1/stats` with `from`, `to`, `tz`, `group_by` and `filter`: figures of any slice, as JSON, CSV or Arrow.

In: a query. Out: figures. Never: another client's, unless the key may operate the gateway.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from gateway.api import call, query
from gateway.api.call import Answer, Call
from gateway.api.figure_documents import Group, Statistics, group
from gateway.api.problems import Code, Problem, problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.render import time_of
from gateway.api.routes import Parameter
from gateway.stats import tables
from gateway.stats.reading import MOST, Asked, Place
from gateway.stats.slicing import BY, Page, Slice, page
from gateway.stats.spans import STEPS, zone_of
from gateway.store.pool import StoreAwayError

_DAY_MS: Final = 86_400_000
_NAMES: Final = ("client", "klass", "carrier", "operator", "country", "sender", "state", "tag")
"""Dimensions as fields of Group, in their order."""

LONGEST_MS: Final = 800 * _DAY_MS
FINE_MS: Final = 32 * _DAY_MS
OWN: Final = ("from", "to", "tz", "group_by", "filter")
"""Parameters of which any one asks for figures and not for sums by state."""

_MORE: Final = ("country", "sender", "reason")
PAGING: Final = ("limit", "cursor")
KNOWN: Final = (*OWN, *PAGING, "since", "until", "step", *BY)
USUAL: Final = 1_000
"""Groups of a page unless asked for more."""
MOST_ROWS: Final = 110_000
"""Of roll-ups, for such a page: rather it is a short one."""

PARAMETERS: Final = (
    Parameter("from", "accepted then or later; a day ago when not given", {"type": "string", "format": "date-time"}),
    Parameter("to", "accepted before; now when not given", {"type": "string", "format": "date-time"}),
    Parameter("tz", "the zone of days, weeks and months, such as Europe/Moscow; UTC when not given"),
    Parameter("group_by", f"comma-separated dimensions out of {', '.join(BY)}"),
    Parameter("filter", "comma-separated `dimension=value`; of several values of one dimension any will do"),
    *(Parameter(name, f"only messages of this {name}; with any of the five above") for name in _MORE),
)
PAGES: Final = (
    Parameter("limit", f"groups of a page, at most {MOST:,}", {"type": "integer", "minimum": 1, "maximum": MOST}),
    Parameter("cursor", "where the page before ended, as its `next` says"),
)
STEP: Final = Parameter("step", "one group for each", {"type": "string", "enum": list(STEPS)})


def is_asked(given: Mapping[str, str]) -> bool:
    """Whether a query asks for figures."""
    return any(name in given for name in (*OWN, *_MORE))


async def get_figures(c: Call) -> Answer:
    """As a JSON document."""
    asked = read(c)
    if isinstance(asked, Problem):
        return asked
    found = await _page(c, asked)
    if isinstance(found, Problem):
        return found
    groups = [_group(one, asked) for one in found.slices]
    zone = asked.zone.key
    since, until = time_of(_floor(asked.since_ms)), time_of(-_floor(-asked.until_ms))
    return call.answer(Statistics(since, until, asked.by, groups, zone, _next(c, asked, found)))


async def get_sums(c: Call, asked: Asked) -> Answer:
    """Only messages, parts and cost."""
    found = await _page(c, asked)
    if isinstance(found, Problem):
        return found
    groups = []
    for one in found.slices:
        at = time_of(one.at_ms) if asked.step else None
        whole = group(one, asked.by, at, latencies=False)
        values = [getattr(whole, name) for name in _NAMES]
        first, *others = (*(whole.costs or ()), None)
        groups.append(Group(whole.messages, whole.parts, first, at, *values))
        groups += [Group(0, 0, cost, at, *values) for cost in others if cost]  # what it cost in other currencies
    more = _next(c, asked, found)
    return call.answer(Statistics(time_of(asked.since_ms), time_of(asked.until_ms), asked.by, groups, next=more))


async def get_csv(c: Call) -> Answer:
    """As CSV; `excel=true`: as spreadsheets of most of Europe open it at once."""
    excel = c.request.query.get("excel", "false")
    if excel not in ("true", "false"):
        return query.invalid("excel", "`excel` is true or false.")
    return await _table(c, "text/csv; charset=utf-8", lambda rows: tables.csv_of(rows, excel == "true"))


async def get_arrow(c: Call) -> Answer:
    """As a stream of Apache Arrow."""
    if not tables.has_arrow():
        return query.invalid("arrow", "This gateway has no Arrow: install the extra `arrow`, or ask for CSV.")
    return await _table(c, tables.ARROW, tables.arrow_of)


async def _table(c: Call, kind: str, made: tables.Made) -> Answer:
    asked = read(c, ("excel",), MOST)
    if isinstance(asked, Problem):
        return asked
    found = await _page(c, asked)
    if isinstance(found, Problem):
        return found
    groups = (msgspec.to_builtins(_group(one, asked), builtin_types=(datetime,)) for one in found.slices)
    rows = [tables.row(group, asked) for group in groups]
    body = await asyncio.to_thread(made, rows or [tables.heads(asked)])
    headers = {"Content-Type": kind}
    if more := _next(c, asked, found):
        headers["Link"] = f'<{more}>; rel="next"'
    return web.Response(body=body if rows else tables.empty(body, kind), headers=headers)


def read(c: Call, more: tuple[str, ...] = (), usual: int = USUAL) -> Asked | Problem:
    """The question in a query; `usual`: groups of a page unless it says how many."""
    given = c.request.query
    if wrong := query.known_only(given, (*KNOWN, *more)):
        return wrong
    since = query.time_ms(given, "from" if "from" in given else "since")
    until = query.time_ms(given, "to" if "to" in given else "until")
    if isinstance(since, Problem):
        return since
    if isinstance(until, Problem):
        return until
    until_ms = until if until is not None else c.gate.redis.clock_ms() + 1
    since_ms = since if since is not None else until_ms - _DAY_MS
    by = tuple(name.strip() for name in given.get("group_by", "").split(",") if name.strip())
    if any(name not in BY for name in by) or len(set(by)) < len(by):
        return query.invalid("group_by", f"`group_by` names each of {', '.join(BY)} at most once.")
    step = given.get("step")
    if step is not None and step not in STEPS:
        return query.invalid("step", f"`step` is one of {', '.join(STEPS)}; `minute` only with `since` and `by`.")
    if until_ms - since_ms > (FINE_MS if step in ("quarter", "hour") else LONGEST_MS):
        return query.invalid("from", "At most 800 days at once, and 32 days in steps of an hour or a quarter of it.")
    if (zone := zone_of(given.get("tz", "UTC"))) is None:
        return query.invalid("tz", "`tz` is a time zone such as Europe/Moscow or UTC.")
    only = _only(given)
    if isinstance(only, Problem):
        return only
    paging = paging_of(given, len([name for name in by if name != "state"]), usual)
    if isinstance(paging, Problem):
        return paging
    if not c.rights.scopes & {"ops", "admin"}:
        only["client"] = [c.client] if c.client in only.get("client", [c.client]) else []
    limit, after = paging
    return Asked(
        since_ms,
        until_ms,
        by,
        step,
        zone,
        only,
        limit=limit,
        after=after,
        most_rows=None if limit > USUAL else MOST_ROWS,
    )


def paging_of(given: Mapping[str, str], values: int, usual: int = USUAL) -> tuple[int, Place | None] | Problem:
    """How many groups, and behind which; its place has so many values."""
    limit = given.get("limit", str(usual))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= MOST):
        return query.invalid("limit", f"`limit` is 1 to {MOST}.")
    if (cursor := given.get("cursor")) is None:
        return int(limit), None
    try:
        after = msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode() + b"=="), type=Place)
    except (ValueError, msgspec.DecodeError):
        after = None
    if after is None or len(after[1]) != values or not 0 <= after[0] < 1 << 53 or any("\0" in one for one in after[1]):
        said = "Take the cursor from `next` of the page before, or leave it out."
        return problem(Code.CURSOR_INVALID, said, parameter="cursor")
    return int(limit), after


def next_page(c: Call, since_ms: int, until_ms: int, place: Place | None) -> str | None:
    """The path of the page behind a place; it asks for the same time, also where none was given."""
    if place is None:
        return None
    cursor = base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")
    given = {name: value for name, value in c.request.query.items() if name not in ("since", "until", "from", "to")}
    first, last = ("from", "to") if is_asked(c.request.query) else ("since", "until")
    span = {first: time_of(since_ms).isoformat(), last: time_of(until_ms).isoformat()}
    return f"{c.request.path}?{urlencode({**span, **given, 'cursor': cursor})}"


def _only(given: Mapping[str, str]) -> dict[str, list[str]] | Problem:
    only: dict[str, list[str]] = {name: [given[name]] for name in BY if name in given}
    for pair in given.get("filter", "").split(","):
        name, equals, value = pair.strip().partition("=")
        if not name and not equals:
            continue
        if not equals or name not in BY:
            said = f"`filter` is `dimension=value`, several with commas; dimensions are {', '.join(BY)}."
            return query.invalid("filter", said)
        only.setdefault(name, []).append(value)
    return only


def _next(c: Call, asked: Asked, found: Page) -> str | None:
    return next_page(c, asked.since_ms, asked.until_ms, found.next)


async def _page(c: Call, asked: Asked) -> Page | Problem:
    try:
        async with asyncio.timeout(STORE_S):
            return await page(c.gate.pool, asked)
    except (StoreAwayError, TimeoutError):
        return store_away()


def _group(one: Slice, asked: Asked) -> Group:
    at = time_of(one.at_ms).astimezone(asked.zone) if asked.step else None
    return group(one, asked.by, at, asked.latencies)


def _floor(ms: int) -> int:
    return ms - ms % 900_000
