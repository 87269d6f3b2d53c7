"""`GET /v1/inbound`: what subscribers wrote to a client, newest first.

In: a client's key and filters. Out: the client's own messages, parts put together. Never: another client's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gateway.api import call, privacy, query
from gateway.api.call import Answer, Call
from gateway.api.problems import Code, Problem
from gateway.api.query import DEFAULT_LIMIT, MAX_LIMIT
from gateway.api.reading import STORE_S, store_away
from gateway.api.routes import Parameter, Route
from gateway.message import id_text, id_time_ms
from gateway.plan.inbound import number_of
from gateway.store import inbound
from gateway.store.inbound import InboundRow
from gateway.store.pool import StoreAwayError
from gateway.store.recipients import recipient_hash
from gateway.text import numbers

_FILTERS: Final = ("from", "to", "since", "cursor", "limit")


class InboundView(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """A subscriber's message."""

    id: Annotated[str, Meta(description="the message's id", examples=["0199c1a2-7a3e-7c11-8f00-5a1d2e3f4a5b"])]
    received_at: Annotated[datetime, Meta(description="when its first part reached us")]
    from_: Annotated[str, Meta(description="the subscriber", examples=["+79161234567"])]
    to: Annotated[str, Meta(description="our number or short code that was written to", examples=["1234"])]
    text: Annotated[str, Meta(description="what was written, all parts that came", examples=["Yes"])]
    parts: Annotated[int, Meta(description="parts that came")]
    missing: Annotated[int, Meta(description="parts that did not come in time")]
    carrier: Annotated[str, Meta(description="the carrier that brought it", examples=["north"])]
    reply_to: Annotated[
        str | None, Meta(description="the last message that you sent to this subscriber; null: there is none")
    ]
    test: Annotated[bool, Meta(description="true: a reply to what a test key sent")]
    masked: Annotated[
        bool, Meta(description="true: number and text are hidden, because the key has no scope `privacy`")
    ] = False


class InboundPage(msgspec.Struct):
    """A page of subscribers' messages, newest first."""

    messages: Annotated[Sequence[InboundView], Meta(description="newest first")]
    next: Annotated[str | None, Meta(description="the path of the next page; null: this is the last")]


async def list_inbound(c: Call) -> Answer:
    """The client's messages from subscribers."""
    given = c.request.query
    part = query.page(given, _FILTERS)
    if isinstance(part, Problem):
        return part
    sender = given.get("from")
    if sender is not None:
        try:
            sender = numbers.parse(sender, c.gate.settings.default_region)
        except numbers.NumberError as e:
            return query.invalid("from", e.sentence)
    try:
        async with asyncio.timeout(STORE_S):
            key = await c.gate.pool.recipient_key()
            rows = await inbound.search(
                c.gate.pool,
                c.client,
                sender_hash=recipient_hash(key, sender) if sender is not None else None,
                recipient=given.get("to"),
                since_ms=part.since_ms,
                before=(id_time_ms(part.cursor), part.cursor) if part.cursor is not None else None,
                limit=part.limit + 1,
            )
    except (StoreAwayError, TimeoutError):
        return store_away()
    following = query.next_page(c.request.path, given, rows[part.limit - 1].id) if len(rows) > part.limit else None
    views = [inbound_view(row) for row in rows[: part.limit]]
    asked = {name: given.get(name) for name in ("to", "since")}
    if views and not await privacy.look(c, "inbound.look", number=sender, found=len(views), **asked):
        views = [privacy.hidden(view, "from_") for view in views]
    page = InboundPage(views, following)
    return call.answer(page, headers={"Link": f'<{following}>; rel="next"'} if following else None)


def inbound_view(row: InboundRow) -> InboundView:
    """In full."""
    return InboundView(
        id=id_text(row.id),
        received_at=datetime.fromtimestamp(row.at_ms / 1000, UTC),
        from_=number_of(row.sender),
        to=row.recipient,
        text=row.text,
        parts=row.parts,
        missing=row.missing,
        carrier=row.carrier,
        reply_to=id_text(row.reply_to) if row.reply_to is not None else None,
        test=row.test,
    )


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/v1/inbound",
        "read",
        list_inbound,
        "What subscribers wrote to you, newest first.",
        {200: InboundPage},
        codes=(Code.QUERY_INVALID, Code.CURSOR_INVALID, Code.POSTGRES_AWAY),
        parameters=(
            Parameter("from", "the subscriber's number, in any form that sending takes"),
            Parameter("to", "our number or short code that was written to"),
            Parameter("since", "received then or later", {"type": "string", "format": "date-time"}),
            Parameter("cursor", "from `next` of the page before"),
            Parameter(
                "limit",
                "results a page",
                {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            ),
        ),
    ),
)
