"""Idempotency-Key (draft-ietf-httpapi-idempotency-key): a whole request runs once, its repeat gets the first answer.

In: the key, the body, how to run the request. Out: its answer, fresh or replayed. Never: a second run while the first
may still be at work; a key kept by a request that accepted nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from gateway import logs
from gateway.api import call
from gateway.api.intake import DEADLINE_S, FAILURES, seed_of, why
from gateway.api.problems import Code, Problem, problem
from gateway.streams import reserve
from gateway.streams.link import Redis, RedisAwayError, ScriptError

log = logs.stage("api")

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[!-~]{1,255}")
_REOPEN_S: Final = 30.0
_REOPEN_EVERY_S: Final = 0.1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, bytes]).decode

Run = Callable[[int, bytes], Awaitable[call.Answer]]
"""Runs the request as of a time (ms) with a seed for its ids. A problem means that nothing was accepted for certain,
unless its code is `redis_away`."""


async def once(c: call.Call, key: str, body: bytes, run: Run) -> call.Answer:
    """The answer of the first request with this key, which may be this one."""
    redis, client = c.gate.redis, c.client
    if _KEY.fullmatch(key) is None:
        return problem(
            Code.IDEMPOTENCY_KEY_INVALID,
            "An Idempotency-Key has 1 to 255 visible ASCII characters: a random UUID is a good one.",
            parameter=HEADER,
        )
    body_hash = hashlib.blake2b(c.request.path.encode() + b"\0" + body, digest_size=16).digest()
    try:
        async with asyncio.timeout(DEADLINE_S):
            held = await reserve.reserve(redis, client, key, body_hash, c.gate.settings.ref_hours * 3_600_000)
    except FAILURES as e:
        return why(e)
    match held.kind:
        case "running":
            return problem(Code.REQUEST_RUNNING, "Repeat this in a moment to get its answer.", parameter=HEADER)
        case "mismatch":
            return problem(
                Code.IDEMPOTENCY_KEY_REUSED,
                "The key was used with another body: repeat the same request, or take a new key.",
                parameter=HEADER,
            )
        case "done":
            status, stored = _decode(held.response)
            return call.raw(stored, status, {"Idempotent-Replayed": "true"})
    answer = await run(held.first_ms, seed_of(client, key, body_hash))
    await _close(c, key, answer)
    return answer


async def _close(c: call.Call, key: str, answer: call.Answer) -> None:
    """Remember the answer, or free the key. What stays uncertain is settled by a repeat, under the same seed."""
    redis, client = c.gate.redis, c.client
    if isinstance(answer, Problem) and answer.code is Code.REDIS_AWAY:
        c.gate.afterwards(_reopen(redis, client, key), "reopen an idempotency key")
        return
    try:
        async with asyncio.timeout(DEADLINE_S):
            if isinstance(answer, Problem):
                await reserve.release(redis, client, key)
            else:
                await reserve.finish(redis, client, key, _encode((answer.status, _bytes(answer))))
    except (RedisAwayError, ScriptError, TimeoutError) as e:
        log.warning("idempotency key left open", reason=e)


async def _reopen(redis: Redis, client: str, key: str) -> None:
    """As soon as Redis is back; later the reservation has run out by itself."""
    with contextlib.suppress(TimeoutError, ScriptError):
        async with asyncio.timeout(_REOPEN_S):
            while True:
                try:
                    return await reserve.reopen(redis, client, key)
                except RedisAwayError:
                    await asyncio.sleep(_REOPEN_EVERY_S)


def _bytes(response: web.Response) -> bytes:
    body = response.body
    assert isinstance(body, bytes)
    return body
