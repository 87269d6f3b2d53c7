"""`/v1/endpoints`: where a client's events go. Registered, changed, removed, tested, their secrets rotated.

In: a client's key. Out: the client's own endpoints; a secret once, when it is made. Never: another client's endpoint.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from gateway import logs
from gateway.api import call, diagnosis
from gateway.api.call import Answer, Call
from gateway.api.checks import url_fault
from gateway.api.problems import Code, Problem, problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.render import time_of
from gateway.api.webhook_documents import (
    EndpointChange,
    EndpointMade,
    EndpointRemoved,
    EndpointView,
    EndpointViews,
    NewEndpoint,
    Rotate,
    Sample,
    SampleSent,
    SecretMade,
)
from gateway.callbacks import address, inbound
from gateway.callbacks.audience import endpoint_target
from gateway.callbacks.event import DEFAULT_TYPES, INBOUND, Event, event_id
from gateway.callbacks.signing import secret_text
from gateway.config import Settings
from gateway.ledger.rows import CallbackDue
from gateway.live import endpoints as live_endpoints
from gateway.message import id_tail, make_id
from gateway.store import callbacks, endpoints
from gateway.store.endpoints import MAX_ENDPOINTS, EndpointRow
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import RedisAwayError, ScriptError

log = logs.stage("api")
T = TypeVar("T")
D = TypeVar("D", bound=msgspec.Struct)

KNOWN_S: Final = 0.7
"""So long an answer waits after who is to be told has changed: then every recorder knows, and a message that is sent
the moment after is told of."""

UNKNOWN: Final = problem(Code.UNKNOWN_ENDPOINT, "No endpoint of yours has this id; GET /v1/endpoints lists them.")


async def document(c: Call, kind: type[D]) -> D | Problem:
    """The body as this type; an empty body has its defaults, where it may be empty."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=kind)
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)


async def ask(work: Awaitable[T]) -> T | Problem:
    """PostgreSQL's answer, or why there is none."""
    try:
        async with asyncio.timeout(STORE_S):
            return await work
    except (StoreAwayError, TimeoutError):
        return store_away()


def url_problem(url: str, settings: Settings) -> Problem | None:
    """What is wrong with a URL, as far as it can be told without looking its name up."""
    if (sentence := url_fault(url)) is not None:
        return problem(Code.CALLBACK_URL_INVALID, sentence, pointer="/url")
    host = urlsplit(url).hostname or ""
    why = address.refusal("127.0.0.1" if host == "localhost" else host, address.networks(settings.callbacks_allow))
    if why and why != "no address":
        sentence = f"{host} is {why}: callbacks go there only if the setting callbacks_allow names its network."
        return problem(Code.CALLBACK_URL_INVALID, sentence, pointer="/url")
    return None


async def list_endpoints(c: Call) -> Answer:
    """The client's, oldest first."""
    rows = await ask(endpoints.of_client(c.gate.pool, c.client))
    return rows if isinstance(rows, Problem) else call.answer(EndpointViews([view(row) for row in rows]))


async def get_endpoint(c: Call) -> Answer:
    """One of them."""
    row = await ask(endpoints.get(c.gate.pool, c.client, c.params["id"]))
    return row if isinstance(row, Problem) else call.answer(view(row)) if row is not None else UNKNOWN


async def create_endpoint(c: Call) -> Answer:
    """Register one. Its secret is in this answer and nowhere else."""
    wanted = await document(c, NewEndpoint)
    if isinstance(wanted, Problem):
        return wanted
    if wrong := url_problem(wanted.url, c.gate.settings) or _nul(wanted.description):
        return wrong
    expires_ms = _from_now(wanted.expires_in_s) if wanted.expires_in_s else None
    try:
        row = await ask(
            endpoints.create(
                c.gate.pool,
                c.client,
                wanted.url,
                who=c.who,
                events=_types(wanted.events) if wanted.events is not None else DEFAULT_TYPES,
                bundle=wanted.bundle,
                description=wanted.description,
                expires_ms=expires_ms,
            )
        )
    except endpoints.TooManyError:
        return problem(
            Code.TOO_MANY_ENDPOINTS, f"A client has at most {MAX_ENDPOINTS} endpoints: remove one that is not used."
        )
    if isinstance(row, Problem):
        return row
    await _publish(c)
    await asyncio.sleep(KNOWN_S)
    return call.answer(EndpointMade(view(row), secret_text(row.secret)), 201)


async def change_endpoint(c: Call) -> Answer:
    """Give it another URL, other events; disable it or enable it again."""
    wanted = await document(c, EndpointChange)
    if isinstance(wanted, Problem):
        return wanted
    given: dict[str, Any] = {
        name: value for name in wanted.__struct_fields__ if (value := getattr(wanted, name)) is not UNSET
    }
    if "url" in given and (wrong := url_problem(given["url"], c.gate.settings)):
        return wrong
    if wrong := _nul(given.get("description", "")):
        return wrong
    if "events" in given:
        given["events"] = _types(given["events"])
    if "expires_in_s" in given:
        given["expires_ms"] = _from_now(given.pop("expires_in_s"))
    row = await ask(endpoints.change(c.gate.pool, c.client, c.params["id"], given, who=c.who))
    if isinstance(row, Problem):
        return row
    if row is None:
        return UNKNOWN
    await _publish(c)
    if {"events", "enabled"} & given.keys():
        await asyncio.sleep(KNOWN_S)
    return call.answer(view(row))


async def remove_endpoint(c: Call) -> Answer:
    """End it, with what waits for it."""
    removed = await ask(endpoints.remove(c.gate.pool, c.client, c.params["id"], who=c.who))
    if isinstance(removed, Problem):
        return removed
    if not removed:
        return UNKNOWN
    await _publish(c)
    return call.answer(EndpointRemoved(c.params["id"]))


async def rotate_secret(c: Call) -> Answer:
    """A new secret. The one before goes on signing for a time, so that nothing is refused meanwhile."""
    wanted = await document(c, Rotate)
    if isinstance(wanted, Problem):
        return wanted
    row = await ask(endpoints.rotate(c.gate.pool, c.client, c.params["id"], wanted.overlap_s * 1000, who=c.who))
    if isinstance(row, Problem):
        return row
    if row is None:
        return UNKNOWN
    await _publish(c)
    return call.answer(SecretMade(secret_text(row.secret), _time(row.former_until_ms)))


async def send_sample(c: Call) -> Answer:
    """Send an event that tells of no message, signed as any other."""
    wanted = await document(c, Sample)
    if isinstance(wanted, Problem):
        return wanted
    row = await ask(endpoints.get(c.gate.pool, c.client, c.params["id"]))
    if isinstance(row, Problem):
        return row
    if row is None:
        return UNKNOWN
    if row.disabled_ms is not None:
        return problem(Code.ENDPOINT_DISABLED, 'The endpoint is disabled: PATCH it with {"enabled": true} first.')
    event = sample(c, wanted.type)
    sent = await ask(tell(c.gate.pool, CallbackDue(endpoint_target(c.client, row.id), event)))
    return sent if isinstance(sent, Problem) else call.answer(SampleSent(event_id(event.id, event.seq)), 202)


def sample(c: Call, kind: str, url: str = "") -> Event:
    """An event of a message that nobody sent."""
    now_ms = c.gate.redis.clock_ms()
    state = kind.removeprefix("message.")
    if state == INBOUND:
        made = make_id(now_ms, id_tail(0))
        data = inbound.data(made, now_ms, "sample", ("+15005550006", "1234"), "Hello")
        return Event(made, 1, now_ms, state, meta=data, url=url)
    return Event(make_id(now_ms, id_tail(0)), 1, now_ms, state, ref="sample", meta='{"sample":true}', url=url)


async def tell(pool: Pool, due: CallbackDue) -> None:
    """Put it into the outbox."""
    async with pool.transaction() as connection:
        await callbacks.add(connection, [due])


def view(row: EndpointRow) -> EndpointView:
    """As its client sees it."""
    return EndpointView(
        id=row.id,
        url=row.url,
        events=row.events,  # type: ignore[arg-type]
        bundle=row.bundle,
        description=row.description,
        enabled=row.disabled_ms is None,
        disabled_at=_time(row.disabled_ms),
        disabled_why=row.disabled_why or None,
        failing_since=_time(row.failing_since_ms),
        last_error=row.last_error or None,
        created_at=time_of(row.created_ms),
        changed_at=time_of(row.changed_ms),
        expires_at=_time(row.expires_ms),
    )


async def _publish(c: Call) -> None:
    """Make the change known. What fails here is made up for within half a minute."""
    try:
        async with asyncio.timeout(STORE_S):
            await live_endpoints.publish(c.gate.pool, c.gate.redis)
    except (StoreAwayError, RedisAwayError, ScriptError, TimeoutError) as e:
        log.warning("endpoints not published", reason=e)


def _types(events: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(events))


def _nul(text: str) -> Problem | None:
    if "\0" in text:
        return problem(Code.FORBIDDEN_CHARACTER, "U+0000 cannot be stored: leave it out.", pointer="/description")
    return None


def _from_now(seconds: int) -> int:
    return int((time.time() + seconds) * 1000)


def _time(ms: int | None) -> Any:
    return time_of(ms) if ms else None
