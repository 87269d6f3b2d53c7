"""`/v1/callbacks`: what became of events, sent again where asked; and the secret behind messages' callback URLs.

In: a client's key. Out: the client's own callbacks. Never: a whole URL of a message, whose path may be a secret.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from gateway.api import call, query
from gateway.api.call import Answer, Call
from gateway.api.problems import Code, Problem, problem
from gateway.api.render import time_of
from gateway.api.webhook_documents import (
    CallbackPage,
    CallbackView,
    Retried,
    Retry,
    Rotate,
    SampleSent,
    SampleTo,
    SecretMade,
)
from gateway.api.webhooks import UNKNOWN, ask, document, sample, tell, url_problem
from gateway.callbacks.audience import url_target
from gateway.callbacks.event import event_id, parse_event_id
from gateway.callbacks.signing import secret_text
from gateway.ledger.rows import CallbackDue
from gateway.message import id_text
from gateway.store import callbacks, endpoints
from gateway.store.callbacks import CallbackRow
from gateway.store.endpoints import CallbackSecret

STATES: Final = ("waiting", "delivered", "failed")
_FILTERS: Final = ("state", "endpoint", "event_id", "message_id", "client", "since", "cursor", "limit")


async def list_callbacks(c: Call) -> Answer:
    """Those that were tried."""
    given = c.request.query
    part = query.page(given, _FILTERS)
    if isinstance(part, Problem):
        return part
    if given.get("state", "failed") not in STATES:
        return query.invalid("state", f"`state` is one of {', '.join(STATES)}.")
    client = given.get("client", c.client)
    if client != c.client and (refused := c.rights.allow("ops")):
        return refused
    message_id, seq = None, None
    if (text := given.get("event_id")) is not None:
        if (event := parse_event_id(text)) is None:
            return query.invalid("event_id", "An event's id begins with evt_.")
        message_id, seq = event
    elif (text := given.get("message_id")) is not None and (message_id := query.id_of(text)) is None:
        return query.invalid("message_id", "A message's id is a UUID.")
    found = await ask(
        callbacks.search(
            c.gate.pool,
            client,
            state=given.get("state"),
            endpoint=given.get("endpoint"),
            message_id=message_id,
            seq=seq,
            since_ms=part.since_ms,
            cursor=part.cursor,
            limit=part.limit,
        )
    )
    if isinstance(found, Problem):
        return found
    rows, untried = found
    following = query.next_page(c.request.path, given, rows[-1].message_id) if len(rows) >= part.limit else None
    return call.answer(CallbackPage([_view(row) for row in rows], untried, following))


async def retry_callbacks(c: Call) -> Answer:
    """Send again, at once."""
    wanted = await document(c, Retry)
    if isinstance(wanted, Problem):
        return wanted
    named = [name for name in wanted.__struct_fields__ if getattr(wanted, name) is not None]
    if not named or ({"event_id", "message_id"} & set(named) and len(named) > 1):
        return problem(
            Code.INVALID_VALUE, "Say what to send again: `event_id`, or `message_id`, or `endpoint` and `since`."
        )
    message_id, seq = None, None
    if wanted.event_id is not None:
        if (event := parse_event_id(wanted.event_id)) is None:
            return problem(Code.INVALID_VALUE, "An event's id begins with evt_.", pointer="/event_id")
        message_id, seq = event
    elif wanted.message_id is not None and (message_id := query.id_of(wanted.message_id)) is None:
        return problem(Code.INVALID_VALUE, "A message's id is a UUID.", pointer="/message_id")
    if wanted.endpoint is not None:
        row = await ask(endpoints.get(c.gate.pool, c.client, wanted.endpoint))
        if isinstance(row, Problem):
            return row
        if row is None:
            return UNKNOWN
        if row.disabled_ms is not None:
            return problem(Code.ENDPOINT_DISABLED, 'The endpoint is disabled: PATCH it with {"enabled": true} first.')
    count = await ask(
        callbacks.retry(
            c.gate.pool,
            c.client,
            c.gate.redis.clock_ms(),
            message_id=message_id,
            seq=seq,
            endpoint=wanted.endpoint,
            since_ms=int(wanted.since.timestamp() * 1000) if wanted.since else None,
        )
    )
    return count if isinstance(count, Problem) else call.answer(Retried(count))


async def send_sample(c: Call) -> Answer:
    """Send an event that tells of no message to any URL, signed with the secret behind callback URLs."""
    wanted = await document(c, SampleTo)
    if isinstance(wanted, Problem):
        return wanted
    if wrong := url_problem(wanted.url, c.gate.settings):
        return wrong
    event = sample(c, wanted.type, wanted.url)
    sent = await ask(tell(c.gate.pool, CallbackDue(url_target(c.client, wanted.url), event)))
    return sent if isinstance(sent, Problem) else call.answer(SampleSent(event_id(event.id, event.seq)), 202)


async def get_secret(c: Call) -> Answer:
    """What signs requests to this client's callback URLs; made when it is asked for first."""
    found = await ask(endpoints.callback_secret(c.gate.pool, c.client))
    return found if isinstance(found, Problem) else call.answer(_secret(found))


async def rotate_secret(c: Call) -> Answer:
    """Another one. The one before goes on signing for a time."""
    wanted = await document(c, Rotate)
    if isinstance(wanted, Problem):
        return wanted
    found = await ask(endpoints.rotate_callback_secret(c.gate.pool, c.client, wanted.overlap_s * 1000, who=c.who))
    return found if isinstance(found, Problem) else call.answer(_secret(found))


def _secret(found: CallbackSecret) -> SecretMade:
    until = found.former_until_ms
    return SecretMade(secret_text(found.secret), time_of(until) if until else None)


def _view(row: CallbackRow) -> CallbackView:
    waiting = row.done_ms is None
    return CallbackView(
        event_id=event_id(row.message_id, row.seq),
        type=f"message.{row.state}",  # type: ignore[arg-type]
        seq=row.seq,
        message_id=id_text(row.message_id),
        endpoint=row.endpoint or None,
        client=row.client,
        host=urlsplit(row.url).netloc,
        state="waiting" if waiting else "failed" if row.outcome == "failed" else "delivered",
        tries=row.tries,
        status=row.status or None,
        error=row.error or None,
        at=time_of(row.at_ms),
        next_try_at=time_of(row.next_try_ms) if waiting else None,
        done_at=time_of(row.done_ms) if row.done_ms is not None else None,
    )
