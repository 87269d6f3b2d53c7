"""Nothing rots in an outbox: what a carrier cannot send goes back to intake, when another carrier could take it.

In: outboxes of carriers without a live bind (otp after 5 s, others 60 s), paused, drained or gone from the plan. Out:
intake entries with their history, and ends of what has expired meanwhile. Marked entries are never touched.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from itertools import groupby

import msgspec

from gateway import metrics
from gateway.events import AnyFact, Ended, pack_facts
from gateway.message import State, Try, UnknownVersionError, pack_journey, unpack_journey, unpack_message
from gateway.plan.choice import Choice, Compiled
from gateway.plan.surroundings import Surroundings
from gateway.provider import Reason
from gateway.router.decide import choose
from gateway.router.liveness import Liveness
from gateway.streams.keys import lane_parts
from gateway.streams.link import Arg, Link
from gateway.streams.reader import START, Queued, read

log = logging.getLogger("router")

PATIENCE_MS = {"otp": 5_000}
DEFAULT_PATIENCE_MS = 60_000
_PAGE = 500
_PAGES = 40  # of one stream in one look
_REST_S = 10.0  # after a whole stream had nothing that another carrier could take


class Recall:
    """Looks once a second; runs until cancelled or fenced."""

    def __init__(self, link: Link, token: int, plan: Callable[[], Compiled | None], liveness: Liveness) -> None:
        self.link, self.token, self._plan, self._liveness = link, token, plan, liveness
        self._cursors: dict[str, bytes] = {}
        self._resting: dict[str, float] = {}
        self._live: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            plan = self._plan()
            if plan is not None:
                for raw in await self.link.call(b"SMEMBERS", self.link.prefix + "carriers"):
                    await self.look(raw.decode(), plan)
            await asyncio.sleep(1.0)

    async def look(self, carrier: str, plan: Compiled) -> int:
        """Recall what can be recalled from one carrier; how many entries moved."""
        if self._live != self._liveness.all_live:
            self._live = self._liveness.all_live
            self._resting.clear()
        gone = carrier not in plan.carriers
        down_ms = 1 << 40 if gone else self._liveness.down_ms(carrier)
        if not down_ms:
            return 0
        moved = 0
        for raw in await self.link.call(b"SMEMBERS", self.link.prefix + "lanes:" + carrier):
            name = raw.decode()
            if down_ms >= PATIENCE_MS.get(lane_parts(name)[0], DEFAULT_PATIENCE_MS):
                for kind in ("again", "outbox"):
                    moved += await self._stream(carrier, name, f"{kind}:{carrier}:{name}", plan)
        if moved:
            metrics.recalled.labels(carrier, "gone" if gone else self._liveness.why(carrier)).inc(moved)
            log.warning("recalled", extra={"carrier": carrier, "messages": moved})
        return moved

    async def _stream(self, carrier: str, name: str, stream: str, plan: Compiled) -> int:
        if self._resting.get(stream, 0.0) > time.monotonic():
            return 0
        moved, cursor = 0, await self._start(carrier, stream)
        for _ in range(_PAGES):
            entries = await read(self.link, stream, cursor, _PAGE)
            if not entries:
                self._cursors.pop(stream, None)
                if not moved:
                    self._resting[stream] = time.monotonic() + _REST_S
                return moved
            cursor = self._cursors[stream] = entries[-1].entry_id
            judged = [(entry, self._judge(entry, carrier, plan)) for entry in entries]
            for movable, run in groupby(judged, key=lambda pair: pair[1] is not None):
                if movable:
                    moved += await self._move(carrier, name, stream, list(run))
        return moved

    async def _start(self, carrier: str, stream: str) -> bytes:
        """After what is marked; where the last look ended when that is further."""
        after = self._cursors.get(stream, START)
        for field in await self.link.call(b"HKEYS", self.link.prefix + "marks:" + carrier):
            name, _, last = field.split(b"|")
            if name.decode() == stream and _key(last) > _key(after):
                after = last
        return after

    def _judge(self, entry: Queued, carrier: str, plan: Compiled) -> tuple[bytes, AnyFact | None] | None:
        """(journey, None): to intake; (b"", fact): ended; None: it stays."""
        try:
            message, journey = unpack_message(entry.value[16:]), unpack_journey(entry.journey)
        except (UnknownVersionError, msgspec.DecodeError):
            return b"", Ended(entry.message_id, State.FAILED, Reason.DAMAGED)
        if message.deadline_ms(entry.message_id) <= self.link.clock_ms():
            return b"", Ended(entry.message_id, State.EXPIRED, Reason.VALIDITY, journey.attempt)
        if journey.pinned:
            return None
        tried = (*journey.tried, Try(carrier, Reason.NOT_BOUND))
        around = Surroundings(now_ms=self.link.clock_ms(), live=self._live.__contains__)
        other = choose(plan, message, entry.message_id, tried, around)
        gone = carrier not in plan.carriers
        if not gone and not (isinstance(other, Choice) and other.carrier in self._live):
            return None
        return pack_journey(msgspec.structs.replace(journey, tried=tried)), None

    async def _move(
        self, carrier: str, name: str, stream: str, run: list[tuple[Queued, tuple[bytes, AnyFact | None] | None]]
    ) -> int:
        facts, args = list[AnyFact](), list[Arg]()
        for entry, verdict in run:
            assert verdict is not None
            journey, fact = verdict
            if fact is not None:
                facts.append(fact)
            args += (entry.entry_id, b"" if fact is not None else entry.value, journey)
        blob = pack_facts(facts) if facts else b""
        head: list[Arg] = [self.link.run_id, self.token, carrier, name, stream, blob]
        reply = await self.link.script("recall", (), [*head, *args])
        return reply if isinstance(reply, int) else 0


def _key(entry_id: bytes) -> tuple[int, int]:
    ms, _, number = entry_id.partition(b"-")
    return int(ms), int(number)
