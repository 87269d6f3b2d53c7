"""Whoever waits is visible: lanes whose messages wait over five seconds are told to the recorder, with the reason.

One fact a lane and look, naming the range of ids, however many messages wait.
"""

from __future__ import annotations

import asyncio

from gateway.events import AnyFact, Waiting, pack_facts
from gateway.router.liveness import Liveness
from gateway.streams import facts, packs
from gateway.streams.keys import lane_parts
from gateway.streams.link import Link
from gateway.streams.pauses import Pauses

AGE_MS = 5_000


class WaitingWatch:
    """Looks every five seconds; runs until cancelled."""

    def __init__(self, link: Link, shard: int, liveness: Liveness, pauses: Pauses | None = None) -> None:
        self.link, self.shard, self._liveness, self._pauses = link, shard, liveness, pauses
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
        if not oldest or _at_ms(oldest[0][0]) > limit:
            self._told.pop(stream, None)
            return []
        newest = (await self.link.call(b"XREVRANGE", key, limit, b"-", b"COUNT", 1) or oldest)[0]
        why = self._liveness.why(carrier) if carrier else "no_plan"
        if self._pauses is not None and self._pauses.holds(*lane_parts(name)):
            why = "paused"
        told = self._told.get(stream)
        if told == (newest[0], why):
            return []
        self._told[stream] = (newest[0], why)
        klass, client = lane_parts(name)
        # Of messages accepted in one millisecond any may have the smallest id, so whole milliseconds are named.
        first, last = sorted((packs.accepted_at(oldest[0]), packs.accepted_at(newest)))
        count = int(await self.link.call(b"XLEN", key))
        if not carrier:  # packs are counted as what they hold
            count = max(count, int(await self.link.call(b"HGET", self.link.prefix + "depths", name) or 0))
        return [Waiting(where, klass, client, carrier, why, first + bytes(10), last + b"\xff" * 10, count)]


def _at_ms(entry_id: bytes) -> int:
    """When an entry came into its stream."""
    return int(entry_id.partition(b"-")[0])
