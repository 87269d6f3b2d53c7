"""`/v1/messages/retry`, `/v1/orphans`, `/v1/uncertain`: what failed is sent again, and what nobody can place is shown.

For operators: messages are everybody's. Never: a message sent again twice, a text, a number in full without the scope
`privacy`.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Final

from gateway import logs, retries
from gateway.api import call, privacy, query
from gateway.api.call import Answer, Call
from gateway.api.doubt_documents import (
    Orphans,
    OrphanView,
    Retried,
    RetriedPage,
    RetryFailed,
    UncertainOnes,
    UncertainView,
)
from gateway.api.intake import FAILURES, why
from gateway.api.problems import Code, Problem, problem
from gateway.api.reading import store_away
from gateway.api.render import time_of
from gateway.api.webhooks import ask, document
from gateway.message import id_text
from gateway.store import doubts
from gateway.store.pool import StoreAwayError
from gateway.store.retries import Failed, count

_RETRY_S: Final = 60.0
_DAY_MS: Final = 86_400_000
_FILTERS: Final = ("carrier", "since", "limit")
_YES_NO: Final = ("true", "false")


async def retry_failed(c: Call) -> Answer:
    """Send failed messages again, each once."""
    wanted = await document(c, RetryFailed)
    if isinstance(wanted, Problem):
        return wanted
    failed = _failed(wanted)
    if isinstance(failed, Problem):
        return failed
    gate = c.gate
    try:
        async with asyncio.timeout(_RETRY_S):
            if wanted.dry_run:
                found = await count(gate.pool, failed, retries.repeat_hours(gate.settings))
                return call.answer(RetriedPage(found, [], False))
            pairs = await retries.retry_failed(
                gate.settings, gate.redis, gate.pool, gate.acceptor, failed, wanted.limit, c.who
            )
    except StoreAwayError:
        return store_away()
    except FAILURES as e:
        return why(e)
    shown = [Retried(id_text(first), id_text(again)) for first, again in pairs]
    return call.answer(RetriedPage(len(shown), shown, len(shown) == wanted.limit))


def _failed(wanted: RetryFailed) -> Failed | Problem:
    if "\0" in wanted.reason + (wanted.client or ""):
        return problem(Code.FORBIDDEN_CHARACTER, "U+0000 cannot be stored: leave it out.")
    until = wanted.until
    if until is not None and until.tzinfo is None:
        return problem(Code.INVALID_VALUE, "`until` needs an offset, such as 2030-01-31T09:00:00Z.", pointer="/until")
    if not (2000 <= wanted.since.year < 9000) or (until is not None and not 2000 <= until.year < 9000):
        return problem(Code.INVALID_VALUE, "`since` and `until` are times of this age.", pointer="/since")
    return Failed(
        reason=wanted.reason,
        since_ms=_ms(wanted.since),
        until_ms=round(time.time() * 1000) if until is None else _ms(until),
        states=wanted.states,
        client=wanted.client,
        klass=wanted.klass,
    )


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


async def list_orphans(c: Call) -> Answer:
    """Receipts that no submission was found for."""
    given = _given(c)
    if isinstance(given, Problem):
        return given
    rows = await ask(doubts.orphans(c.gate.pool, *given))
    if isinstance(rows, Problem):
        return rows
    sees = bool(rows) and await privacy.look(c, "orphans.look", carrier=c.request.query.get("carrier"), found=len(rows))
    views = [
        OrphanView(
            time_of(o.at_ms),
            o.carrier,
            o.carrier_message_id,
            o.state,
            o.reason,
            o.code,
            o.recipient if sees else logs.masked(o.recipient),
            o.sender if sees else logs.guarded(o.sender),
            o.waiting,
        )
        for o in rows
    ]
    return call.answer(Orphans(views))


async def list_uncertain(c: Call) -> Answer:
    """Submissions of which nobody knows whether the carrier took them."""
    given = _given(c, "open")
    if isinstance(given, Problem):
        return given
    if (open_only := c.request.query.get("open", "false")) not in _YES_NO:
        return query.invalid("open", "`open` is true or false.")
    rows = await ask(doubts.doubtful(c.gate.pool, *given, open_only=open_only == "true"))
    if isinstance(rows, Problem):
        return rows
    views = [
        UncertainView(
            id_text(u.message_id),
            u.attempt,
            u.part,
            time_of(u.sent_ms),
            u.carrier,
            u.reason,
            u.client,
            u.klass,  # type: ignore[arg-type]
            u.state,  # type: ignore[arg-type]
        )
        for u in rows
    ]
    return call.answer(UncertainOnes(views))


def _given(c: Call, *more: str) -> tuple[str | None, int, int] | Problem:
    """Carrier, since when, and how many; by default those of the last week."""
    given = c.request.query
    since, limit = query.time_ms(given, "since"), query.limit(given)
    if wrong := query.known_only(given, (*_FILTERS, *more)):
        return wrong
    if isinstance(since, Problem):
        return since
    if isinstance(limit, Problem):
        return limit
    week_ago = round(time.time() * 1000) - 7 * _DAY_MS
    return given.get("carrier"), week_ago if since is None else since, limit
