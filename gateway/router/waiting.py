"""Whoever waits is visible: lanes whose messages wait over five seconds are told to the recorder, with the reason.

One fact a lane and look, naming the range of ids, however many messages wait.
"""

from __future__ import annotations

import asyncio

from gateway.events import AnyFact, Waiting, pack_facts
from gateway.router.liveness import Liveness
from gateway.streams import facts
from gateway.streams.keys import lane_parts
from gateway.streams.link import Link
from gateway.streams.reader import queued

AGE_MS = 5_000


class WaitingWatch:
    """Looks every five seconds; runs until cancelled."""

    def __init__(self, link: Link, shard: int, liveness: Liveness) -> None:
        self.link, self.shard, self._liveness = link, shard, liveness
        self._told: dict[str, tuple[bytes, str]] = {}  # stream → newest entry told of, and why

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(AGE_MS / 1000)
            await self.look()

    async def look(self) -> list[AnyFact]:
        """Tell of what waits; what was told."""
        found: list[AnyFact] = []
        for raw in await self.link.call(b"SMEMBERS", self.link.prefix + "lanes"):
            found += await self._stream("intake", "", raw.decode(), f"intake:{raw.decode()}")
        for raw in await self.link.call(b"SMEMBERS", self.link.prefix + "carriers"):
            carrier = raw.decode()
            for lane in await self.link.call(b"SMEMBERS", self.link.prefix + "lanes:" + carrier):
                name = lane.decode()
                for kind in ("outbox", "again"):
                    found += await self._stream("outbox", carrier, name, f"{kind}:{carrier}:{name}")
        for at in range(0, len(found), 500):
            await facts.append(self.link, self.shard, pack_facts(found[at : at + 500]))
        return found

    async def _stream(self, where: str, carrier: str, name: str, stream: str) -> list[AnyFact]:
        key = self.link.prefix + stream
        oldest = await self.link.call(b"XRANGE", key, b"-", b"+", b"COUNT", 1)
        limit = self.link.clock_ms() - AGE_MS
        if not oldest or queued(oldest[0]).at_ms > limit:
            self._told.pop(stream, None)
            return []
        newest = queued((await self.link.call(b"XREVRANGE", key, limit, b"-", b"COUNT", 1) or oldest)[0])
        why = self._liveness.why(carrier) if carrier else "no_plan"
        told = self._told.get(stream)
        if told == (newest.entry_id, why):
            return []
        self._told[stream] = (newest.entry_id, why)
        klass, client = lane_parts(name)
        # Of messages accepted in one millisecond any may have the smallest id, so whole milliseconds are named.
        first, last = sorted((queued(oldest[0]).message_id[:6], newest.message_id[:6]))
        count = int(await self.link.call(b"XLEN", key))
        return [Waiting(where, klass, client, carrier, why, first + bytes(10), last + b"\xff" * 10, count)]
