"""Reports of the web carrier, on their way to the callback URLs that its messages named.

In: a report and when it is due. Out: POST requests, up to `TOGETHER` reports of one URL in one of JSON, one in one of a
form. What is not answered with 2xx goes again later, each time after a longer pause. Never more waiting than
`waiting_limit`: newer ones are dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
import msgspec

from gateway.embedded.sandbox.tally import Tally

TOGETHER = 100
WORKERS = 16
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
TRIES = 20


class Report(NamedTuple):
    """What one report says, and how often it was sent in vain. `inbound`: a subscriber's message."""

    values: dict[str, Any]
    tries: int = 0
    inbound: bool = False


Goal = tuple[str, bool]
"""A URL, and whether it wants forms."""


class Webhooks:
    """Life: `open`, `send` any number of times, `close`."""

    def __init__(self, tally: Tally, waiting_limit: int = 1_000_000) -> None:
        self._tally, self._limit = tally, waiting_limit
        self._reports: dict[Goal, deque[Report]] = {}
        self._goals: asyncio.Queue[Goal] = asyncio.Queue()
        self._timers: set[asyncio.TimerHandle] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self.waiting = 0
        self.together = TOGETHER
        """Reports in one request of JSON."""

    def open(self) -> None:
        """Begin to send."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        self._workers = [asyncio.create_task(self._work(), name=f"webhooks {n}") for n in range(WORKERS)]

    async def close(self) -> None:
        """Stop; what waits is forgotten, as a carrier's memory is."""
        for timer in self._timers:
            timer.cancel()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def send(self, goal: Goal, reports: Sequence[Report], delay_s: float = 0.0) -> None:
        """Send reports, not before `delay_s` is over."""
        room = max(0, self._limit - self.waiting)
        self._tally.counts.receipts_dropped += max(0, len(reports) - room)
        self.waiting += len(reports[:room])
        if delay_s <= 0:
            self._put(goal, reports[:room])
            return

        def due() -> None:
            self._timers.discard(timer)
            self._put(goal, reports[:room])

        timer = asyncio.get_running_loop().call_later(delay_s, due)
        self._timers.add(timer)

    def _put(self, goal: Goal, reports: Sequence[Report]) -> None:
        queue = self._reports.get(goal)
        if queue is None:
            queue = self._reports[goal] = deque()
            self._goals.put_nowait(goal)
        queue.extend(reports)

    async def _work(self) -> None:
        while True:
            goal = await self._goals.get()
            queue = self._reports[goal]
            batch = [queue.popleft() for _ in range(min(len(queue), 1 if goal[1] else self.together))]
            if queue:
                self._goals.put_nowait(goal)
            else:
                del self._reports[goal]
            self.waiting -= len(batch)
            self._count_sent(batch)
            taken = await self._post(goal, [report.values for report in batch])
            self._count_answer(goal, batch, taken)

    def _count_sent(self, batch: Sequence[Report]) -> None:
        counts = self._tally.counts
        counts.inbound_sent += sum(report.inbound for report in batch)
        counts.receipts_sent += sum(not report.tries and not report.inbound for report in batch)
        counts.receipts_resent += sum(report.tries > 0 and not report.inbound for report in batch)

    def _count_answer(self, goal: Goal, batch: Sequence[Report], taken: bool) -> None:
        counts = self._tally.counts
        receipts = sum(not report.inbound for report in batch)
        if taken:
            counts.receipts_acked += receipts
            counts.inbound_acked += len(batch) - receipts
            return
        counts.receipts_refused += receipts
        again = [report._replace(tries=report.tries + 1) for report in batch if report.tries + 1 < TRIES]
        counts.receipts_dropped += len(batch) - len(again)
        if again:
            self.send(goal, again, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** batch[0].tries))

    async def _post(self, goal: Goal, values: list[dict[str, Any]]) -> bool:
        """Whether it was answered with 2xx."""
        url, as_form = goal
        body = urlencode(values[0]).encode() if as_form else msgspec.json.encode({"reports": values})
        kind = "application/x-www-form-urlencoded" if as_form else "application/json"
        assert self._session is not None
        try:
            async with self._session.post(
                url, data=body, headers={"Content-Type": kind}, allow_redirects=False
            ) as answer:
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
