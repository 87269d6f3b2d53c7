"""The moves of a router and a connector, made by hand: what a test puts between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.events import AnyFact, unpack_facts
from gateway.message import pack_journey
from gateway.streams import facts, packs
from gateway.streams.facts import next_id, order
from gateway.streams.lease import Lease, fence
from gateway.streams.link import Redis
from gateway.streams.reader import Queued, epoch, read
from tests.core_builders import journey


class Moves:
    """A router and a connector of carrier `north` on shard 0 that do what the test says, and nothing else."""

    def __init__(self, redis: Redis, lane: str = "marketing:shop") -> None:
        self.redis, self.link, self.lane = redis, redis.link(0), lane
        self.router = Lease(self.link, "lease:router", "by hand", 60)
        self.token = 1
        self._number = 0

    async def begin(self) -> None:
        await self.router.acquire()
        assert await fence(self.link, "north", self.token)

    async def intake(self) -> list[Queued]:
        """Every message, packed or single."""
        return [queued async for page in packs.pages(self.link, self.lane) for e in page for queued in e.messages]

    async def outbox(self, kind: str = "outbox") -> list[Queued]:
        return await read(self.link, f"{kind}:north:{self.lane}", b"0-0", 10_000)

    async def route(self, entries: Sequence[Queued], at: bytes | None = None) -> bytes:
        """To north's outbox: messages of whole entries."""
        args: list[Any] = [self.link.run_id, self.router.token, await epoch(self.link) if at is None else at, self.lane]
        struck, last = await packs.struck_out(self.link, self.lane), entries[-1].entry_id
        gone = [
            queued.message_id
            for entry in await packs.read(self.link, self.lane, b"0-0", 10_000)
            for queued in entry.messages
            if order(entry.entry_id) <= order(last) and queued.message_id in struck
        ]
        args += [entries[0].entry_id, next_id(last), b"", -len(entries), b"".join(gone)]
        args += [1, "o", f"north:{self.lane}", pack_journey(journey()), b"\1\0" * len(entries)]
        args += [entry.value for entry in entries]
        reply = await self.link.script("route", (), args)
        assert isinstance(reply, bytes)
        return reply

    async def mark(self, entries: Sequence[Queued], kind: str = "outbox", at: bytes | None = None) -> bytes:
        args: list[Any] = [self.link.run_id, "north", self.token, await epoch(self.link) if at is None else at]
        args += [f"{kind}:north:{self.lane}", entries[0].entry_id, entries[-1].entry_id]
        reply = await self.link.script("mark", (), args)
        assert isinstance(reply, bytes)
        return reply

    async def settle(self, entries: Sequence[Queued], op: str = "", kind: str = "outbox", due_ms: int = 0) -> bytes:
        """Take marked entries off; with an op, move them on."""
        stream = f"{kind}:north:{self.lane}"
        self._number += 1
        args: list[Any] = [self.link.run_id, "north", self.token, "by hand", self._number, b""]
        for entry in entries if op else ():
            where = f"{due_ms}|{self.lane}" if op == "l" else self.lane
            args += [op, where, entry.value, entry.journey]
        args += ["u", f"{stream}|{entries[0].entry_id.decode()}|{entries[-1].entry_id.decode()}"]
        args += ["d", stream, len(entries), *(entry.entry_id for entry in entries)]
        reply = await self.link.script("settle", (), args)
        assert isinstance(reply, bytes)
        return reply


async def told(redis: Redis, shard: int = 0) -> list[AnyFact]:
    """Every fact of a shard's events stream but the accepted messages, in order."""
    found: list[AnyFact] = []
    after = b"0-0"
    while entries := await facts.read(redis.link(shard), shard, after, 500):
        for entry in entries:
            found += unpack_facts(entry.facts) if entry.facts else []
        after = entries[-1].id
    return found
