"""From checked messages to durable ids: refs and bodies hashed, spread over shards, accepted in chunks.

In: messages. Out: verdicts in their order, or why not. A repeat with the same seed gives the same ids. Never: more than
500 messages in one script, more than a few scripts of one request at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.api.problems import Code, Problem, problem
from gateway.message import Message, id_tail, pack_message
from gateway.streams.accept import BATCH, Acceptor, Ask, BoundReachedError, ShardClosedError, Verdict
from gateway.streams.link import OutOfMemoryError, Redis, RedisAwayError, ScriptError

DEADLINE_S: Final = 3.0
"""A request that Redis does not answer in this time gets a 503; a longer silence is not waited out."""

_AT_ONCE: Final = 4
_PASSING: Final = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "BUSY", "NOSCRIPT")
_encode = msgspec.msgpack.Encoder().encode

Failure = RedisAwayError | ShardClosedError | BoundReachedError | TimeoutError | ScriptError
FAILURES: Final = (RedisAwayError, ShardClosedError, BoundReachedError, TimeoutError, ScriptError)


class Wish(msgspec.Struct, gc=False):
    """One message to accept. `asked`: what two requests with one ref must have in common."""

    message: Message
    asked: tuple[object, ...]


def why(error: Failure) -> Problem:
    """What a failure of Redis is for the client. Raises the error again when it is a bug of ours."""
    if isinstance(error, BoundReachedError | OutOfMemoryError):
        return problem(Code.INTAKE_FULL, f"{error}: send more slowly, and repeat this later.")
    if isinstance(error, ShardClosedError):
        return problem(Code.SHARD_CLOSED, f"{error.reason}.")
    if isinstance(error, ScriptError) and not str(error).startswith(_PASSING):
        raise error
    return problem(
        Code.REDIS_AWAY,
        "It is not known whether the message was accepted: repeat it. With the same `ref` or Idempotency-Key nothing is"
        " sent twice.",
    )


def is_settled(error: Failure) -> bool:
    """Whether it is certain that nothing was accepted."""
    return isinstance(error, BoundReachedError | OutOfMemoryError | ShardClosedError)


def seed_of(client: str, key: str, body_hash: bytes) -> bytes:
    """What all ids and commits of a request with an Idempotency-Key are derived from."""
    return hashlib.blake2b(f"{client}\0{key}\0".encode() + body_hash, digest_size=32).digest()


class Intake:
    """Hands messages to the Acceptor."""

    def __init__(self, redis: Redis, acceptor: Acceptor) -> None:
        self._redis, self._acceptor = redis, acceptor

    async def take(self, wish: Wish, seed: bytes = b"") -> Verdict:
        """One message. Raises one of FAILURES, after DEADLINE_S at the latest."""
        shard = self._redis.shard_of(wish.message.to)
        ask = _ask(shard, wish, _derive(seed, 0, 0, 9) if seed else os.urandom(9))
        async with asyncio.timeout(DEADLINE_S):
            if not seed:
                return (await self._acceptor.accept(shard, (ask,)))[0]
            return (await self._acceptor.accept(shard, (ask,), _derive(seed, shard, 1, 16)))[0]

    def many(self, seed: bytes = b"") -> Many:
        """Messages of one request, one after the other."""
        return Many(self._redis, self._acceptor, seed)


class Many:
    """The messages of one request on their way: `put` each, then `finish`. Chunks leave as soon as they are full."""

    def __init__(self, redis: Redis, acceptor: Acceptor, seed: bytes) -> None:
        self._redis, self._acceptor, self._seed = redis, acceptor, seed
        self._open: dict[int, list[tuple[int, Ask]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._chunks: dict[int, int] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.verdicts: dict[int, Verdict] = {}
        self.failures: dict[int, Failure] = {}

    def put(self, index: int, wish: Wish) -> None:
        """`index` is the message's place in the request, and the key of its verdict or failure."""
        shard = self._redis.shard_of(wish.message.to)
        tail = _derive(self._seed, index, 0, 9) if self._seed else os.urandom(9)
        chunk = self._open.setdefault(shard, [])
        chunk.append((index, _ask(shard, wish, tail)))
        if len(chunk) == BATCH:
            self._send(shard)

    async def finish(self) -> None:
        """Returns when every message has its verdict or failure. Raises only for bugs."""
        for shard in list(self._open):
            self._send(shard)
        await asyncio.gather(*self._tasks)

    def _send(self, shard: int) -> None:
        chunk = self._open.pop(shard)
        number = self._chunks[shard] = self._chunks.get(shard, 0) + 1
        self._tasks.append(asyncio.create_task(self._accept(shard, number, chunk), name=f"accept chunk {number}"))

    async def _accept(self, shard: int, number: int, chunk: Sequence[tuple[int, Ask]]) -> None:
        asks = [ask for _, ask in chunk]
        commit = _derive(self._seed, shard, number, 16) if self._seed else None
        async with self._room:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    verdicts = await self._acceptor.accept(shard, asks, commit)
            except FAILURES as e:
                why(e)
                self.failures.update((index, e) for index, _ in chunk)
            else:
                self.verdicts.update(zip((index for index, _ in chunk), verdicts, strict=True))


def _ask(shard: int, wish: Wish, random: bytes) -> Ask:
    message = wish.message
    ref_key = body_hash = b""
    if message.ref:
        name = f"{message.client}\0{message.to}\0{message.ref}".encode()
        ref_key = hashlib.blake2b(name, digest_size=16).digest()
        body_hash = hashlib.blake2b(_encode(wish.asked), digest_size=8).digest()
    return Ask(
        id_tail(shard, random),
        pack_message(message),
        message.klass,
        message.client,
        message.send_at_ms,
        ref_key,
        body_hash,
    )


def _derive(seed: bytes, a: int, b: int, size: int) -> bytes:
    return hashlib.blake2b(seed + a.to_bytes(4, "big") + b.to_bytes(4, "big"), digest_size=size).digest()
