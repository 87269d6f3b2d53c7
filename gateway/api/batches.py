"""`GET /v1/batches/{id}` and `POST /v1/batches/{id}/cancel|reschedule`.

In: a batch's id. Out: how its messages stand, or how many were changed. Never: another client's; a change that misses
messages which PostgreSQL does not have yet.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from gateway.api import call, diagnosis, query, render
from gateway.api.call import Answer, Call
from gateway.api.checks import time_of
from gateway.api.documents import BatchChange, Reschedule
from gateway.api.intake import DEADLINE_S, FAILURES, why
from gateway.api.problems import Code, Fault, Problem, from_faults, problem
from gateway.api.reading import STORE_S, store_away
from gateway.message import State, id_text
from gateway.store import batches, messages
from gateway.store.messages import BatchFound
from gateway.store.pool import StoreAwayError
from gateway.streams import lookup
from gateway.streams.cancel import cancel as take_off
from gateway.streams.cancel import reschedule as put_off
from gateway.streams.link import RedisAwayError, ScriptError

_RECORDED_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.1
_CHUNK: Final = 1000

_reschedule = msgspec.json.Decoder(Reschedule).decode

Open = list[tuple[bytes, str, str]]


async def get_batch(c: Call) -> Answer:
    """A batch and how its messages stand."""
    found = await _find(c)
    return found if isinstance(found, Problem) else call.answer(render.batch(found))


async def cancel(c: Call) -> Answer:
    """Take back every message of the batch that is not on the wire yet."""
    found = await _find(c)
    if isinstance(found, Problem):
        return found
    waiting = await _open(c, found)
    if isinstance(waiting, Problem):
        return waiting
    changed = 0
    try:
        for at in range(0, len(waiting), _CHUNK):
            targets = [(i, klass, c.client) for i, klass, _ in waiting[at : at + _CHUNK]]
            verdicts = await take_off(c.gate.redis, targets)
            changed += sum(v == "cancelled" for v in verdicts.values())
    except FAILURES as e:
        return why(e)
    return call.answer(BatchChange(id_text(found.id), changed, len(waiting) - changed))


async def reschedule(c: Call) -> Answer:
    """Give every message of the batch that is still scheduled another time."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    send_at_ms = _send_at(body, c.gate.redis.clock_ms())
    if isinstance(send_at_ms, Problem):
        return send_at_ms
    found = await _find(c)
    if isinstance(found, Problem):
        return found
    waiting = await _open(c, found)
    if isinstance(waiting, Problem):
        return waiting
    scheduled = [i for i, _, state in waiting if state == State.SCHEDULED]
    changed = 0
    try:
        for at in range(0, len(scheduled), _CHUNK):
            verdicts = await put_off(c.gate.redis, scheduled[at : at + _CHUNK], send_at_ms)
            changed += sum(v == "rescheduled" for v in verdicts.values())
    except FAILURES as e:
        return why(e)
    return call.answer(BatchChange(id_text(found.id), changed, len(waiting) - changed))


def _send_at(body: bytes, now_ms: int) -> int | Problem:
    try:
        wanted = _reschedule(body)
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)
    faults: list[Fault] = []
    send_at_ms = time_of(wanted.send_at, now_ms, faults)
    return from_faults(faults) if faults else send_at_ms


async def _find(c: Call) -> BatchFound | Problem:
    batch_id = query.id_of(c.params["id"])
    unknown = problem(Code.UNKNOWN_BATCH, "No batch of yours has this id.")
    if batch_id is None:
        return unknown
    away = False
    try:
        async with asyncio.timeout(STORE_S):
            found = await messages.batch(c.gate.pool, batch_id, c.client)
    except (StoreAwayError, TimeoutError):
        found, away = None, True
    if found is not None:
        return found
    try:
        async with asyncio.timeout(DEADLINE_S):
            fact = await lookup.find_batch(c.gate.redis, batch_id)
    except (RedisAwayError, ScriptError, TimeoutError):
        return problem(Code.REDIS_AWAY, "PostgreSQL does not have the batch yet, and Redis cannot be asked.")
    if fact is not None:
        return render.just_batched(fact) if fact.client == c.client else unknown
    return store_away() if away else unknown


async def _open(c: Call, found: BatchFound) -> Open | Problem:
    """The batch's open messages, once PostgreSQL has them all."""
    try:
        async with asyncio.timeout(_RECORDED_S):
            while True:
                recorded, waiting = await batches.open_messages(c.gate.pool, found.id, found.at_ms)
                if recorded >= found.accepted:
                    return waiting
                await asyncio.sleep(_LOOK_EVERY_S)
    except StoreAwayError:
        return store_away()
    except TimeoutError:
        return problem(Code.NOT_READY, "The batch's messages are still being written down: repeat this in a moment.")
