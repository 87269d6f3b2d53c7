"""`GET /v1/numbers/{number}/history`: everything with one number, sent and received, in one list, newest first.

In: a client's key and a number. Out: the client's own messages to it and what it wrote to the client. Never: another
client's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gateway.api import call, privacy, query, reading, render
from gateway.api.call import Answer, Call
from gateway.api.documents import MessageView
from gateway.api.inbound import InboundView, inbound_view
from gateway.api.problems import Code, Problem
from gateway.api.query import DEFAULT_LIMIT, MAX_LIMIT
from gateway.api.reading import STORE_S, store_away
from gateway.api.routes import Parameter, Route
from gateway.store import history
from gateway.store.messages import Found
from gateway.store.pool import StoreAwayError
from gateway.text import numbers

_FILTERS: Final = ("since", "cursor", "limit")


class HistoryEntry(msgspec.Struct, kw_only=True):
    """A message to the number, or one from it."""

    at: Annotated[datetime, Meta(description="when it became ours")]
    direction: Annotated[Literal["outbound", "inbound"], Meta(description="outbound: to it; inbound: from it")]
    message: Annotated[MessageView | None, Meta(description="what was sent, without a timeline; null: inbound")] = None
    inbound: Annotated[InboundView | None, Meta(description="what the subscriber wrote; null: outbound")] = None


class History(msgspec.Struct):
    """A page of everything with one number."""

    number: Annotated[str, Meta(description="the number in E.164, as the key may see it", examples=["+79161234567"])]
    entries: Annotated[Sequence[HistoryEntry], Meta(description="newest first")]
    next: Annotated[str | None, Meta(description="the path of the next page; null: this is the last")]


async def get_history(c: Call) -> Answer:
    """One list of what was sent to a number and what came from it."""
    given = c.request.query
    part = query.page(given, _FILTERS)
    if isinstance(part, Problem):
        return part
    try:
        number = numbers.parse(c.params["number"], c.gate.settings.default_region)
    except numbers.NumberError as e:
        return query.invalid("number", e.sentence)
    try:
        async with asyncio.timeout(STORE_S):
            rows = await history.of_number(
                c.gate.pool, c.client, number, since_ms=part.since_ms, cursor=part.cursor, limit=part.limit + 1
            )
    except (StoreAwayError, TimeoutError):
        return store_away()
    following = query.next_page(c.request.path, given, rows[part.limit - 1].id) if len(rows) > part.limit else None
    entries = [_entry(row) for row in rows[: part.limit]]
    if not entries or not await privacy.look(c, "number.look", number=number, found=len(entries)):
        number, entries = privacy.number(c, number), [_hidden(entry) for entry in entries]
    headers = {"Link": f'<{following}>; rel="next"'} if following else None
    return call.answer(History(number, entries, following), headers=headers)


def _entry(row: history.Row) -> HistoryEntry:
    if isinstance(row, Found):
        view = render.found(row)
        return HistoryEntry(at=view.accepted_at, direction="outbound", message=view)
    heard = inbound_view(row)
    return HistoryEntry(at=heard.received_at, direction="inbound", inbound=heard)


def _hidden(entry: HistoryEntry) -> HistoryEntry:
    return HistoryEntry(
        at=entry.at,
        direction=entry.direction,
        message=reading.hidden(entry.message) if entry.message is not None else None,
        inbound=privacy.hidden(entry.inbound, "from_") if entry.inbound is not None else None,
    )


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/v1/numbers/{number}/history",
        "read",
        get_history,
        "Everything with one number: what you sent to it and what it wrote to you, newest first.",
        {200: History},
        codes=(Code.QUERY_INVALID, Code.CURSOR_INVALID, Code.POSTGRES_AWAY),
        parameters=(
            Parameter("since", "accepted or received then or later", {"type": "string", "format": "date-time"}),
            Parameter("cursor", "from `next` of the page before"),
            Parameter(
                "limit",
                "results a page",
                {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            ),
        ),
    ),
)
