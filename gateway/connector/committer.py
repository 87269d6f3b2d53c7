"""The connector's only writer of a shard: outcomes, what they move, and receipts, in order, each exactly once.

In: facts and operations. Out: `settle` scripts, one in flight, the rest gathering behind it. A lost reply is made up
for by sending the same numbered script again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Sequence

from gateway.connector.flight import Flight, Verdict
from gateway.events import AnyFact, pack_facts
from gateway.streams.link import Arg, Link, RedisAwayError

log = logging.getLogger("connector")

_BATCH = 500


class Committer:
    """Life: `put` and `report` any number of times, then `close()`, which waits for what is gathered."""

    def __init__(
        self, link: Link, carrier: str, on_fenced: Callable[[], None], on_again: Callable[[str], None]
    ) -> None:
        self.link, self.carrier, self.token = link, carrier, 0
        self._on_fenced, self._on_again = on_fenced, on_again
        self._writer = "w" + os.urandom(6).hex()
        self._number = 0
        self._verdicts: list[tuple[Flight, Verdict]] = []
        self._facts: list[AnyFact] = []
        self._durable: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name=f"settle {carrier} {link.prefix}")

    def put(self, flight: Flight, verdict: Verdict) -> None:
        """Settle one entry."""
        self._verdicts.append((flight, verdict))
        self._wake.set()

    def note(self, facts: Sequence[AnyFact]) -> None:
        """Write facts that move nothing."""
        self._facts.extend(facts)
        self._wake.set()

    async def report(self, facts: Sequence[AnyFact]) -> None:
        """Write facts down and return when they are durable."""
        durable = asyncio.get_running_loop().create_future()
        self._durable.append(durable)
        self.note(facts)
        await durable

    @property
    def waiting(self) -> int:
        """Entries whose outcome is known but not yet written down."""
        return len(self._verdicts)

    async def close(self, timeout_s: float) -> None:
        """Write what is gathered, for at most `timeout_s`."""
        self._closing = True
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._task), timeout_s)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        for durable in self._durable:
            durable.cancel()
        await self.link.close()

    async def _run(self) -> None:
        while True:
            if not (self._verdicts or self._facts or self._durable):
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            verdicts, self._verdicts = self._verdicts[:_BATCH], self._verdicts[_BATCH:]
            facts: list[AnyFact] = [fact for _, verdict in verdicts for fact in verdict.facts]
            free = max(_BATCH * 2 - len(facts), 1) if not self._verdicts else 0
            # Settle goes before receipts: a receipt never overtakes the answer that tells its carrier message id.
            facts += self._facts[:free]
            self._facts = self._facts[free:]
            durable: list[asyncio.Future[None]] = []
            if not self._facts and not self._verdicts:
                durable, self._durable = self._durable, []
            self._number += 1
            reply = await self._settle(pack_facts(facts) if facts else b"", operations(verdicts))
            for future in durable:
                if not future.done():
                    future.set_result(None)
            if reply == b"late":
                self._on_fenced()
            for where in {verdict.where for _, verdict in verdicts if verdict.op == "a"}:
                self._on_again(where)

    async def _settle(self, blob: bytes, ops: list[Arg]) -> bytes:
        while True:
            try:
                head: tuple[Arg, ...] = (self.link.run_id, self.carrier, self.token, self._writer, self._number, blob)
                reply = await self.link.script("settle", (), (*head, *ops))
            except RedisAwayError:
                await self.link.up()
                continue
            assert isinstance(reply, bytes)
            return reply


def operations(verdicts: Sequence[tuple[Flight, Verdict]]) -> list[Arg]:
    """The arguments of `settle` after its head, as described above the script. Closes marks as they empty."""
    ops: list[Arg] = []
    gone: dict[str, list[bytes]] = defaultdict(list)
    for flight, verdict in verdicts:
        gone[flight.mark.stream].append(flight.entry.entry_id)
        if verdict.op:
            ops += (verdict.op, verdict.where, flight.entry.value, verdict.journey)
        flight.mark.open -= 1
        if flight.mark.open == 0 and flight.mark.first:
            ops += ("u", flight.mark.field)
    for stream, ids in gone.items():
        ops += ("d", stream, len(ids), *ids)
    return ops
