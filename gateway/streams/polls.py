"""Which messages a carrier is going to be asked about, kept for the process that has the carrier next.

In: polls of the provider that has the carrier's lease. Out: the same, to its successor. A book that nobody has written
in for days is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.provider import Poll
from gateway.streams.link import Redis, RedisAwayError, ScriptError

KEPT_S: Final = 5 * 86_400
_AT_ONCE: Final = 500

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Poll).decode


class Polls:
    """One carrier's book (`gateway.provider.PollBook`)."""

    def __init__(self, redis: Redis, carrier: str) -> None:
        self._redis, self._key = redis, "{g}:polls:" + carrier

    async def read(self) -> list[Poll]:
        """All of them, in no order."""
        found: dict[bytes, Poll] = {}
        cursor = b"0"
        while True:
            cursor, flat = await self._call(b"HSCAN", self._key, cursor, b"COUNT", b"%d" % _AT_ONCE)
            found |= {name: _decode(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
            if cursor == b"0":
                return list(found.values())

    async def write(self, polls: Sequence[Poll], over: Sequence[str]) -> None:
        """Some hundreds in a command, so that none holds up others."""
        for at in range(0, len(polls), _AT_ONCE):
            pairs = [(p.sent.carrier_message_id, _encode(p)) for p in polls[at : at + _AT_ONCE]]
            await self._call(b"HSET", self._key, *(item for pair in pairs for item in pair))
        for at in range(0, len(over), _AT_ONCE):
            await self._call(b"HDEL", self._key, *over[at : at + _AT_ONCE])
        await self._call(b"EXPIRE", self._key, b"%d" % KEPT_S)

    async def _call(self, *command: bytes | str) -> Any:
        try:
            return await self._redis.link(None).call(*command)
        except (RedisAwayError, ScriptError) as problem:
            raise ConnectionError(str(problem) or type(problem).__name__) from problem
