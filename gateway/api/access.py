"""`/v1/keys`: clients' keys listed, made and revoked by whoever administers the gateway.

In: what a key may do. Out: its secret, once. Never: a secret that is already kept.
"""

from __future__ import annotations

import asyncio

import msgspec

from gateway import logs
from gateway.api import call, diagnosis
from gateway.api.admin_documents import KeyMade, KeyView, KeyViews, NewKey
from gateway.api.call import Answer, Call
from gateway.api.problems import Code, Problem, problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.render import time_of
from gateway.live import keys as live_keys
from gateway.message import CLASSES
from gateway.store import keys
from gateway.store.pool import StoreAwayError
from gateway.streams.link import RedisAwayError, ScriptError

log = logs.stage("api")

_decode = msgspec.json.Decoder(NewKey).decode


async def list_keys(c: Call) -> Answer:
    """Every key, oldest first; revoked ones too."""
    try:
        async with asyncio.timeout(STORE_S):
            rows = await keys.list_keys(c.gate.pool)
    except (StoreAwayError, TimeoutError):
        return store_away()
    return call.answer(KeyViews([_view(row) for row in rows]))


async def create_key(c: Call) -> Answer:
    """Make a key. Its secret is in this answer and nowhere else."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    try:
        wanted = _decode(body)
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)
    if "\0" in wanted.name:
        return problem(Code.FORBIDDEN_CHARACTER, "U+0000 cannot be stored: leave it out.", pointer="/name")
    try:
        async with asyncio.timeout(STORE_S):
            key_id, secret = await keys.create_key(
                c.gate.pool,
                wanted.client,
                who=c.who,
                name=wanted.name,
                scopes=wanted.scopes,
                classes=wanted.classes if wanted.classes is not None else CLASSES,
                networks=wanted.networks,
                test=wanted.test,
                expires_ms=int(wanted.expires_at.timestamp() * 1000) if wanted.expires_at else None,
            )
    except keys.KeyRefusedError as e:
        return problem(Code.INVALID_VALUE, f"{e}.")
    except (StoreAwayError, TimeoutError):
        return store_away()
    await publish_keys(c)
    return call.answer(KeyMade(key_id, wanted.client, secret), 201)


async def revoke_key(c: Call) -> Answer:
    """End a key for good, everywhere within a second. Repeating is safe."""
    key_id = c.params["id"]
    try:
        async with asyncio.timeout(STORE_S):
            await keys.revoke_key(c.gate.pool, key_id, who=c.who)
            rows = [row for row in await keys.list_keys(c.gate.pool) if row.id == key_id]
    except (StoreAwayError, TimeoutError):
        return store_away()
    if not rows:
        return problem(Code.UNKNOWN_KEY, "There is no such key; GET /v1/keys lists them.")
    await publish_keys(c)
    return call.answer(_view(rows[0]))


async def publish_keys(c: Call) -> None:
    """Make the change known. What fails here is made up for within half a minute."""
    try:
        async with asyncio.timeout(STORE_S):
            await live_keys.publish(c.gate.pool, c.gate.redis)
    except (StoreAwayError, RedisAwayError, ScriptError, TimeoutError) as e:
        log.warning("keys not published", reason=e)


def _view(row: keys.KeyRow) -> KeyView:
    return KeyView(
        id=row.id,
        client=row.client,
        name=row.name,
        scopes=row.scopes,
        classes=row.classes,
        networks=row.networks,
        test=row.test,
        created_at=time_of(row.created_ms),
        expires_at=time_of(row.expires_ms) if row.expires_ms else None,
        revoked_at=time_of(row.revoked_ms) if row.revoked_ms else None,
    )
