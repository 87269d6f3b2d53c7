"""What is paused keeps its place: lanes of a class or client are passed by, and a tag's messages wait in later.

In: what operators paused. Out: a resumed tag's messages made due at once; ends of those in paused lanes whose validity
is over, because it goes on counting. Never: a message moved because its lane is paused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from gateway import metrics
from gateway.events import Ended, pack_facts
from gateway.message import State, UnknownVersionError
from gateway.provider import Reason
from gateway.streams import packs
from gateway.streams.keys import lane_parts
from gateway.streams.link import Arg, Link
from gateway.streams.pauses import Pauses
from gateway.streams.reader import START, Queued, read

log = logging.getLogger("router")

_DRAIN: Final = 500
_EVERY_S: Final = 0.25
_SWEEP_S: Final = 5.0
_PAGE, _GROUP = 1_000, 100


class PauseWatch:
    """Of one shard, under the router's token. Life: `run()` until cancelled."""

    def __init__(self, link: Link, token: int, pauses: Pauses) -> None:
        self.link, self.token, self._pauses = link, token, pauses

    async def run(self) -> None:
        """Look again and again."""
        loop = asyncio.get_running_loop()
        sweep_at = loop.time() + _SWEEP_S
        while True:
            await self.release()
            if loop.time() >= sweep_at:
                began = loop.time()
                await self.sweep()  # of a million messages it takes seconds, which others shall not miss
                sweep_at = loop.time() + max(_SWEEP_S, 50 * (loop.time() - began))
            await asyncio.sleep(_EVERY_S)

    async def release(self) -> int:
        """Make due what waits for tags that are not paused any more; how many."""
        released = 0
        for raw in await self.link.call(b"SMEMBERS", self.link.prefix + "paused"):
            tag = raw.decode()
            while tag not in self._pauses.tags:
                reply = await self.link.script("unpause", (), (self.link.run_id, self.token, tag, _DRAIN))
                if not isinstance(reply, int):
                    return released
                released += reply
                if reply < _DRAIN:
                    break
        return released

    async def sweep(self) -> int:
        """End what waits in paused lanes and is worth nothing any more; how many."""
        if not (self._pauses.classes or self._pauses.clients):
            return 0
        ended = 0
        for raw in await self.link.call(b"SMEMBERS", self.link.prefix + "lanes"):
            if self._pauses.holds(*lane_parts(raw.decode())):
                async for page in packs.pages(self.link, raw.decode()):
                    for entry in page:
                        where = f"intake:{raw.decode()}", entry.entry_id
                        ended += await self._end([(*where, q.message_id) for q in self._over(entry.messages)])
        for raw in await self.link.call(b"SMEMBERS", self.link.prefix + "carriers"):
            carrier = raw.decode()
            for name in await self.link.call(b"SMEMBERS", f"{self.link.prefix}lanes:{carrier}"):
                if self._pauses.holds(*lane_parts(name.decode())):
                    for kind in ("again", "outbox"):
                        ended += await self._stream(f"{kind}:{carrier}:{name.decode()}")
        return ended

    async def _stream(self, stream: str) -> int:
        ended, cursor = 0, START
        while entries := await read(self.link, stream, cursor, _PAGE):
            cursor = entries[-1].entry_id
            ended += await self._end([(stream, q.entry_id, q.message_id) for q in self._over(entries)])
        return ended

    def _over(self, entries: Iterable[Queued]) -> list[Queued]:
        now = self.link.clock_ms()
        return [queued for queued in entries if _deadline_ms(queued) <= now]

    async def _end(self, places: Sequence[tuple[str, bytes, bytes]]) -> int:
        ended = 0
        for at in range(0, len(places), _GROUP):
            args: list[Arg] = [self.link.run_id]
            for stream, entry_id, message_id in places[at : at + _GROUP]:
                fact = Ended(message_id, State.EXPIRED, Reason.VALIDITY)
                args += (stream, entry_id, message_id, pack_facts([fact]))
            reply = await self.link.script("cancel", (), args)
            ended += reply.count(b"cancelled") if isinstance(reply, list) else 0
        if ended:
            metrics.ended.labels(State.EXPIRED, Reason.VALIDITY).inc(ended)
        return ended


def _deadline_ms(entry: Queued) -> int:
    """Of one that cannot be read: never, so that whoever sends it tells what is wrong."""
    try:
        return entry.message.deadline_ms(entry.message_id)
    except (UnknownVersionError, msgspec.DecodeError):
        return 1 << 60
