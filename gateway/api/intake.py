"""From checked messages to durable ids: refs and bodies hashed, spread over shards, accepted in chunks.

In: messages. Out: verdicts in their order, or why not. A repeat with the same seed gives the same ids. Never: more than
500 messages in one script, more than a few scripts at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from gateway.api.deadline import Deadline
from gateway.api.problems import Code, Problem, problem
from gateway.message import Message, id_tail, pack_message
from gateway.streams.accept import BATCH, Acceptor, Ask, BoundReachedError, ShardClosedError, Verdict
from gateway.streams.link import OutOfMemoryError, Redis, RedisAwayError, ScriptError

DEADLINE_S: Final = 2.0
"""A request that Redis does not answer in this time gets a 503; a longer silence is not waited out."""

_AT_ONCE: Final = 4  # chunks in each shard's queue: more would only make single messages wait
_CROWD: Final = 200  # chunks that wait for their turn; at this many nothing more is begun
_PASSING: Final = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "BUSY", "NOSCRIPT")
_encode = msgspec.msgpack.Encoder().encode

Failure = RedisAwayError | ShardClosedError | BoundReachedError | TimeoutError | ScriptError
FAILURES: Final = (RedisAwayError, ShardClosedError, BoundReachedError, TimeoutError, ScriptError)


class Wish(msgspec.Struct, gc=False):
    """One message to accept. `asked`: what two requests with one ref must have in common; nothing without a ref."""

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
    return blake2b(f"{client}\0{key}\0".encode() + body_hash, digest_size=32).digest()


class Intake:
    """Hands messages to the Acceptor."""

    def __init__(self, redis: Redis, acceptor: Acceptor) -> None:
        self._redis, self._acceptor = redis, acceptor
        self._deadline = Deadline(DEADLINE_S)
        self._turns = Turns(_AT_ONCE * redis.shards)

    @property
    def crowded(self) -> bool:
        """Whether so much waits for its turn that another batch should come later."""
        return self._turns.waiting >= _CROWD

    def close(self) -> None:
        """Ends its timer."""
        self._deadline.close()

    def put(self, wish: Wish) -> asyncio.Future[list[Verdict]]:
        """One message; the future gives its verdict or one of FAILURES. Raises BoundReachedError."""
        shard = self._redis.shard_of(wish.message.to)
        return self._acceptor.put(shard, (_ask(shard, wish.message, wish.asked, os.urandom(9)),))

    async def take(self, wish: Wish, task: asyncio.Task[Any], seed: bytes = b"") -> Verdict:
        """One message, for the current `task`. Raises one of FAILURES, after twice DEADLINE_S at the latest."""
        message = wish.message
        shard = self._redis.shard_of(message.to)
        ask = _ask(shard, message, wish.asked, _derive(seed, 0, 0, 9) if seed else os.urandom(9))
        commit = _derive(seed, shard, 1, 16) if seed else None
        self._deadline.begin(task)
        try:
            return (await self._acceptor.accept(shard, (ask,), commit))[0]
        except asyncio.CancelledError as e:
            if self._deadline.end(task):
                raise TimeoutError from e
            raise
        finally:
            self._deadline.end(task)

    async def known(self, wishes: Sequence[Wish]) -> list[Verdict | None]:
        """What became of messages with these refs before; None: nothing did, or there is no ref. Accepts nothing.
        Raises one of FAILURES."""
        found: list[Verdict | None] = [None] * len(wishes)
        by_shard: dict[int, list[int]] = {}
        for n, wish in enumerate(wishes):
            if wish.message.ref:
                by_shard.setdefault(self._redis.shard_of(wish.message.to), []).append(n)
        async with asyncio.timeout(DEADLINE_S):
            for shard, places in by_shard.items():
                for at in range(0, len(places), BATCH):
                    some = places[at : at + BATCH]
                    asks = [_ask(shard, wishes[n].message, wishes[n].asked, bytes(9)) for n in some]
                    for n, verdict in zip(some, await self._acceptor.known(shard, asks), strict=True):
                        found[n] = verdict
        return found

    def many(self, seed: bytes = b"") -> Many:
        """Messages of one request, one after the other."""
        return Many(self._redis, self._acceptor, self._turns, seed)


class Turns:
    """Chunks of all batches take turns. Who waits has sent nothing yet."""

    def __init__(self, at_once: int) -> None:
        self._room = asyncio.Semaphore(at_once)
        self.waiting = 0

    async def __aenter__(self) -> None:
        self.waiting += 1
        try:
            await self._room.acquire()
        finally:
            self.waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._room.release()


class Many:
    """The messages of one request on their way: `put` each, then `finish`. Chunks leave as soon as they are full."""

    def __init__(self, redis: Redis, acceptor: Acceptor, turns: Turns, seed: bytes) -> None:
        self._redis, self._acceptor, self._turns, self._seed = redis, acceptor, turns, seed
        self._open: dict[int, _Chunk] = {}
        self._pool = b""
        self._tasks: list[asyncio.Task[None]] = []
        self._chunks: dict[int, int] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.failures: dict[int, Failure] = {}

    def put(self, index: int, message: Message, asked: tuple[object, ...]) -> None:
        """`index` is the message's place in the request, and the key of its verdict or failure; `asked` as in Wish."""
        shard = self._redis.shard_of(message.to)
        chunk = self._open.get(shard)
        if chunk is None:
            chunk = self._open[shard] = _Chunk([], [])
        chunk.indexes.append(index)
        chunk.asks.append(_ask(shard, message, asked, self._random(index)))
        if len(chunk.asks) == BATCH:
            self._send(shard)

    def _random(self, index: int) -> bytes:
        if self._seed:
            return _derive(self._seed, index, 0, 9)
        at = index % BATCH * 9
        if at == 0 or not self._pool:
            self._pool = os.urandom(9 * BATCH)
        return self._pool[at : at + 9]

    async def finish(self) -> None:
        """Returns when every message has its verdict or failure. Raises only for bugs."""
        for shard in list(self._open):
            self._send(shard)
        await asyncio.gather(*self._tasks)

    def _send(self, shard: int) -> None:
        chunk = self._open.pop(shard)
        number = self._chunks[shard] = self._chunks.get(shard, 0) + 1
        self._tasks.append(asyncio.create_task(self._accept(shard, number, chunk), name=f"accept chunk {number}"))

    async def _accept(self, shard: int, number: int, chunk: _Chunk) -> None:
        commit = _derive(self._seed, shard, number, 16) if self._seed else None
        async with self._turns:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    verdicts = await self._acceptor.accept(shard, chunk.asks, commit)
            except FAILURES as e:
                why(e)
                self.failures.update(dict.fromkeys(chunk.indexes, e))
            else:
                self.verdicts.update(zip(chunk.indexes, verdicts, strict=True))


class _Chunk(msgspec.Struct):
    """Messages of one script, and where they stand in the request."""

    indexes: list[int]
    asks: list[Ask]


def _ask(shard: int, message: Message, asked: tuple[object, ...], random: bytes) -> Ask:
    ref_key = body_hash = b""
    if message.ref:
        name = f"{message.client}\0{message.to}\0{message.ref}".encode()
        ref_key, body_hash = _digest(_REF, name), _digest(_BODY, _encode(asked))
    tail = id_tail(shard, random)
    return Ask(tail, pack_message(message), message.klass, message.client, message.send_at_ms, ref_key, body_hash)


_REF, _BODY = blake2b(digest_size=16), blake2b(digest_size=8)


def _digest(empty: Any, data: bytes) -> bytes:
    """A copy of an empty hash is made faster than a new one."""
    h = empty.copy()
    h.update(data)
    found: bytes = h.digest()
    return found


def _derive(seed: bytes, a: int, b: int, size: int) -> bytes:
    return blake2b(seed + a.to_bytes(4, "big") + b.to_bytes(4, "big"), digest_size=size).digest()
