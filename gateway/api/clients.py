"""`/v1/clients`: the applications that have keys, and how fast each may send.

In: a quota. Out: the client with it, live in every process within a second. Never: a key's secret.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from gateway.api import call, diagnosis
from gateway.api.access import publish_keys
from gateway.api.admin_documents import ClientView, ClientViews, NewQuota
from gateway.api.call import Answer, Call
from gateway.api.problems import Code, Problem, problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.render import time_of
from gateway.store import clients
from gateway.store.pool import StoreAwayError

LEAST_PER_S: Final = 0.01
MOST_PER_S: Final = 1_000_000

_decode = msgspec.json.Decoder(NewQuota).decode


async def list_clients(c: Call) -> Answer:
    """Every client, by name."""
    try:
        async with asyncio.timeout(STORE_S):
            rows = await clients.list_clients(c.gate.pool)
    except (StoreAwayError, TimeoutError):
        return store_away()
    return call.answer(ClientViews([_view(row) for row in rows]))


async def set_quota(c: Call) -> Answer:
    """Give a client its quota, everywhere within a second. Repeating is safe."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    try:
        wanted = _decode(body)
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)
    if refused := _impossible(wanted):
        return refused
    name = c.params["name"]
    unknown = problem(Code.UNKNOWN_CLIENT, "There is no such client; GET /v1/clients lists them.")
    if "\0" in name or not name.isprintable():
        return unknown
    try:
        async with asyncio.timeout(STORE_S):
            if not await clients.set_quota(c.gate.pool, name, wanted.messages_per_s, wanted.burst, who=c.who):
                return unknown
            rows = await clients.list_clients(c.gate.pool, name)
    except (StoreAwayError, TimeoutError):
        return store_away()
    await publish_keys(c)
    return call.answer(_view(rows[0]))


def _impossible(wanted: NewQuota) -> Problem | None:
    if not wanted.messages_per_s:
        if wanted.burst:
            return problem(
                Code.INVALID_VALUE, "Without `messages_per_s` there is no `burst`: leave it out.", pointer="/burst"
            )
        return None
    if LEAST_PER_S <= wanted.messages_per_s <= MOST_PER_S:
        return None
    return problem(
        Code.INVALID_VALUE,
        f"`messages_per_s` is {LEAST_PER_S} to {MOST_PER_S}, 0 for no limit, or null for what the settings say.",
        pointer="/messages_per_s",
    )


def _view(row: clients.ClientRow) -> ClientView:
    return ClientView(
        name=row.name,
        created_at=time_of(row.created_ms),
        disabled_at=time_of(row.disabled_ms) if row.disabled_ms else None,
        messages_per_s=row.messages_per_s,
        burst=row.burst,
        keys=row.keys,
    )
