"""What an operator paused: classes, clients and tags. It stays accepted and waits; every process knows within a second.

In: orders. Out: who may not send now. Carriers are paused in carriers.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway import metrics
from gateway.streams.link import Link, Redis, RedisAwayError

KINDS: Final = ("class", "client", "tag")
_KEY: Final = "{g}:pauses"
_EVERY_S: Final = 0.25


class Pause(msgspec.Struct, frozen=True):
    """One order that holds. `kind` is one of KINDS."""

    kind: str
    name: str
    at_ms: int
    by: str
    note: str = ""


async def pauses(redis: Redis) -> list[Pause]:
    """All that hold, the oldest first."""
    flat = await redis.link(None).call(b"HGETALL", _KEY)
    return sorted((msgspec.json.decode(value, type=Pause) for value in flat[1::2]), key=lambda p: (p.at_ms, p.name))


async def pause(redis: Redis, order: Pause) -> bool:
    """False: it was paused already, and the first order stays."""
    field = f"{order.kind}:{order.name}"
    return bool(await redis.link(None).call(b"HSETNX", _KEY, field, msgspec.json.encode(order)))


async def resume(redis: Redis, kind: str, name: str) -> bool:
    """False: it was not paused."""
    return bool(await redis.link(None).call(b"HDEL", _KEY, f"{kind}:{name}"))


def remember(link: Link, tagged: Sequence[tuple[str, bytes]]) -> None:
    """Note messages (tag, id) that are about to be parked because of their tag, so that its end finds them.

    Queued before the move: what is noted and not parked costs nothing, what is parked and not noted would wait.
    """
    by_tag: dict[str, list[bytes]] = {}
    for tag, message_id in tagged:
        by_tag.setdefault(tag, []).append(message_id)
    for tag, ids in by_tag.items():
        link.send(b"SADD", link.prefix + "paused", tag)
        link.send(b"SADD", f"{link.prefix}paused:{tag}", *ids)


class Pauses:
    """As this process knows them, at most a quarter of a second old. Life: `run()` until cancelled."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._known: list[Pause] | None = None
        self._hear: list[Callable[[], None]] = []
        self.classes: frozenset[str] = frozenset()
        self.clients: frozenset[str] = frozenset()
        self.tags: frozenset[str] = frozenset()

    def on_change(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Call after each change; call the result to hear no more."""
        self._hear.append(hear)
        return lambda: self._hear.remove(hear)

    def holds(self, klass: str, client: str) -> bool:
        """Whether the lane of a client in a class may not send."""
        return klass in self.classes or client in self.clients

    async def look(self) -> None:
        """Look once."""
        known = await pauses(self._redis)
        if known == self._known:
            return
        self._known = known
        self.classes, self.clients, self.tags = (frozenset(p.name for p in known if p.kind == kind) for kind in KINDS)
        metrics.paused.clear()
        for order in known:
            metrics.paused.labels(order.kind, order.name).set(1)
        for hear in list(self._hear):
            hear()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                await self.look()
            except RedisAwayError:
                await self._redis.link(None).up()
            await asyncio.sleep(_EVERY_S)
