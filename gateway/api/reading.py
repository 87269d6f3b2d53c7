"""`GET /v1/messages/{id}`, the search, and `POST /v1/messages/{id}/cancel`.

In: a client's key and an id. Out: the client's own message as it stands. Never: another client's; "unknown" for what
was just accepted, or while PostgreSQL cannot be asked.
"""

from __future__ import annotations

import asyncio
from typing import Final, get_args

import msgspec

from gateway.api import call, carrier_cancel, privacy, query, render
from gateway.api.call import Answer, Call
from gateway.api.documents import Cancelled, MessagePage, MessageView, StateName
from gateway.api.intake import DEADLINE_S, FAILURES, why
from gateway.api.problems import Code, Problem, problem
from gateway.message import FINAL, Message, State, id_text
from gateway.store import keys, messages, search
from gateway.store.messages import Found
from gateway.store.pool import StoreAwayError
from gateway.streams import lookup
from gateway.streams.cancel import cancel as take_off
from gateway.streams.link import RedisAwayError, ScriptError
from gateway.text import numbers

STORE_S: Final = 5.0
"""How long PostgreSQL may take for an answer."""

_SETTLE_S: Final = 1.0  # the recorder is at most this far behind on a good day
_LOOK_EVERY_S: Final = 0.05
_FILTERS: Final = ("ref", "to", "state", "tag", "since", "cursor", "limit")
_ENDED: Final = frozenset(str(s) for s in FINAL)


class Fresh(msgspec.Struct, frozen=True):
    """A message that PostgreSQL does not have yet."""

    id: bytes
    message: Message
    accepted_ms: int


async def get_message(c: Call) -> Answer:
    """One message with everything that happened to it."""
    found = await find(c)
    if isinstance(found, Problem):
        return found
    if isinstance(found, Fresh):
        name = await _key_name(c, found.message.key_id)
        view = render.just_accepted(found.id, found.message, found.accepted_ms, name)
    else:
        try:
            async with asyncio.timeout(STORE_S):
                view = render.found(found, await messages.timeline(c.gate.pool, found))
        except (StoreAwayError, TimeoutError):
            return store_away()
    if not await privacy.look(c, "message.look", view.id):
        view = hidden(view)
    return call.answer(view)


async def _key_name(c: Call, key_id: str) -> str:
    """Empty while PostgreSQL is away: the message itself can be shown without."""
    try:
        async with asyncio.timeout(STORE_S):
            return await keys.name_of(c.gate.pool, key_id)
    except (StoreAwayError, TimeoutError):
        return ""


def hidden(view: MessageView) -> MessageView:
    """Without number and text, also those in receipts as they came."""
    for moment in view.timeline or ():
        moment.raw = None
    return privacy.hidden(view, "to")


async def find(c: Call) -> Found | Fresh | Problem:
    """The path's message: from PostgreSQL, else Redis, else PostgreSQL again, which may have got it meanwhile."""
    message_id = query.id_of(c.params["id"])
    if message_id is None:
        return _unknown()
    found, away = await _stored(c, message_id)
    if found is not None:
        return found
    try:
        async with asyncio.timeout(DEADLINE_S):
            hit = await lookup.find(c.gate.redis, message_id)
    except (RedisAwayError, ScriptError, TimeoutError):
        return problem(Code.REDIS_AWAY, "PostgreSQL does not have the message yet, and Redis cannot be asked.")
    if hit is not None:
        return Fresh(message_id, *hit) if hit[0].client == c.client else _unknown()
    found, away = await _stored(c, message_id)
    return found or (store_away() if away else _unknown())


async def list_messages(c: Call) -> Answer:
    """The client's messages, newest first."""
    given = c.request.query
    part = query.page(given, _FILTERS)
    if isinstance(part, Problem):
        return part
    if given.get("state", "accepted") not in get_args(StateName):
        return query.invalid("state", f"`state` is one of {', '.join(get_args(StateName))}.")
    to = given.get("to")
    if to is not None:
        try:
            to = numbers.parse(to, c.gate.settings.default_region)
        except numbers.NumberError as e:
            return query.invalid("to", e.sentence)
    try:
        async with asyncio.timeout(STORE_S):
            rows = await search.find(
                c.gate.pool,
                c.client,
                ref=given.get("ref"),
                to=to,
                state=given.get("state"),
                tag=given.get("tag"),
                since_ms=part.since_ms,
                cursor=part.cursor,
                limit=part.limit + 1,
            )
    except (StoreAwayError, TimeoutError):
        return store_away()
    following = query.next_page(c.request.path, given, rows[part.limit - 1].id) if len(rows) > part.limit else None
    views = [render.found(row) for row in rows[: part.limit]]
    asked = {name: given.get(name) for name in ("ref", "state", "tag", "since")}
    if views and not await privacy.look(c, "messages.look", number=to, found=len(views), **asked):
        views = [hidden(view) for view in views]
    page = MessagePage(views, following)
    return call.answer(page, headers={"Link": f'<{following}>; rel="next"'} if following else None)


async def cancel(c: Call) -> Answer:
    """Take a message back that is not on the wire yet, or ask its carrier to. Repeating is safe."""
    found = await find(c)
    if isinstance(found, Problem):
        return found
    if isinstance(found, Found) and found.state in _ENDED:
        return _cancelled_or_late(found)
    klass = found.klass if isinstance(found, Found) else found.message.klass
    try:
        async with asyncio.timeout(DEADLINE_S):
            verdict = (await take_off(c.gate.redis, [(found.id, klass, c.client)]))[found.id]
    except FAILURES as e:
        return why(e)
    if verdict == "cancelled":
        return call.answer(Cancelled(id_text(found.id)))
    now = await _settled(c, found.id) if verdict == "gone" else found
    if isinstance(now, Found) and now.state in (State.SUBMITTED, State.UNKNOWN):
        return await _ask_carrier(c, now)
    return _cancelled_or_late(now)


async def _ask_carrier(c: Call, found: Found) -> Answer:
    reply = await carrier_cancel.take_back(c, found)
    if reply is not None and reply.verdict == "cancelled":
        return call.answer(Cancelled(id_text(found.id)))
    if reply is None or reply.verdict == "unknown":
        return _cancelled_or_late(found)
    said = "took back only some of its parts" if reply.verdict == "partly" else "does not take it back any more"
    return problem(Code.TOO_LATE, f"The carrier {said} ({reply.code}).", id=id_text(found.id), state=found.state)


async def _settled(c: Call, message_id: bytes) -> Found | Fresh | Problem:
    """The message once the recorder has written why it left its queue, or as it stands after a second."""
    deadline = asyncio.get_running_loop().time() + _SETTLE_S
    while True:
        found = await find(c)
        open_still = isinstance(found, Fresh) or (
            isinstance(found, Found) and found.state in (State.ACCEPTED, State.SCHEDULED, State.ROUTED)
        )
        if not open_still or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(_LOOK_EVERY_S)


def _cancelled_or_late(found: Found | Fresh | Problem) -> Answer:
    if isinstance(found, Problem):
        return found
    state = found.state if isinstance(found, Found) else str(State.ACCEPTED)
    if state == State.CANCELLED:
        return call.answer(Cancelled(id_text(found.id)))
    return problem(
        Code.TOO_LATE,
        "The message has ended." if state in _ENDED else "The message is on its way to the carrier, or there already.",
        id=id_text(found.id),
        state=state,
    )


async def _stored(c: Call, message_id: bytes) -> tuple[Found | None, bool]:
    """The message in PostgreSQL, and whether PostgreSQL is away."""
    try:
        async with asyncio.timeout(STORE_S):
            return await messages.get(c.gate.pool, message_id, c.client), False
    except (StoreAwayError, TimeoutError):
        return None, True


def store_away() -> Problem:
    """What needs PostgreSQL while it is away."""
    return problem(Code.POSTGRES_AWAY, "Messages are still accepted and sent; repeat this when PostgreSQL is back.")


def _unknown() -> Problem:
    return problem(Code.UNKNOWN_MESSAGE, "No message of yours has this id.")
