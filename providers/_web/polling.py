"""What became of messages, asked of the carrier: a few in one request, never more than one request at a time.

In: messages that the carrier took. Out: receipts. Where the settings say when, every message is asked about until its
state is final; a carrier that says nothing readable is asked ever more seldom. Never: a guess.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from gateway.provider import Receipt, Sent
from providers._web.callbacks import ReceiptMap
from providers._web.errands import ErrandMaker
from providers._web.settings import Question
from providers._web.spots import Answer

log = logging.getLogger("web")

MOST_WATCHED: Final = 100_000
"""Messages that one carrier's poller remembers; of more than that the gateway asks when their receipt is overdue."""
_OPEN: Final = ("accepted", "enroute", "unknown")
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 300.0
Translate = Callable[[Any], Any]


class Poller:
    """Life: `run` in a task of its own. `visit` sends a request and gives its answer, or raises OSError."""

    def __init__(
        self,
        carrier: str,
        question: Question,
        maker: ErrandMaker,
        receipts: ReceiptMap,
        translate: Translate | None,
        visit: Callable[[bytes], Awaitable[Answer]],
        report: Callable[[Sequence[Receipt]], Awaitable[None]],
        clock_ms: Callable[[], int],
    ) -> None:
        self._carrier, self._question, self._maker = carrier, question, maker
        self._receipts, self._translate = receipts, translate
        self._visit, self._report, self._clock_ms = visit, report, clock_ms
        self._asked: deque[tuple[Sent, asyncio.Future[Receipt | None]]] = deque()
        self._watched: list[tuple[float, int, int, Sent]] = []  # when, a number, how often before, what
        self._numbers = itertools.count()
        self._wake = asyncio.Event()
        self._pause_s = 0.0

    def watch(self, taken: Sequence[Sent]) -> None:
        """The carrier took these just now."""
        after_s = self._question.after_s
        if after_s and len(self._watched) + len(taken) <= MOST_WATCHED:
            due = asyncio.get_running_loop().time() + after_s[0]
            for sent in taken:
                heapq.heappush(self._watched, (due, next(self._numbers), 0, sent))
            self._wake.set()

    async def ask(self, sent: Sent) -> Receipt | None:
        """What became of it; None: the carrier did not say."""
        future: asyncio.Future[Receipt | None] = asyncio.get_running_loop().create_future()
        self._asked.append((sent, future))
        self._wake.set()
        return await future

    def close(self) -> None:
        """Nobody will be answered any more."""
        while self._asked:
            _, future = self._asked.popleft()
            if not future.done():
                future.set_result(None)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now = loop.time()
            if not self._asked and not (self._watched and self._watched[0][0] <= now):
                left = self._watched[0][0] - now if self._watched else None
                try:
                    async with asyncio.timeout(left):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            await self._round(now)
            await asyncio.sleep(max(self._question.every_s, self._pause_s))

    async def _round(self, now: float) -> None:
        """One request: first those that somebody waits for, then those that are due."""
        waiting = [self._asked.popleft() for _ in range(min(self._question.size, len(self._asked)))]
        due: list[tuple[int, Sent]] = []
        while len(waiting) + len(due) < self._question.size and self._watched and self._watched[0][0] <= now:
            _, _, before, sent = heapq.heappop(self._watched)
            due.append((before, sent))
        found: dict[str, Receipt] = {}
        try:
            found = await self._question_of([*(s for s, _ in waiting), *(s for _, s in due)])
            final = [found[s.carrier_message_id] for _, s in due if _is_final(found, s)]
            if not final or await self._kept(final):
                due = [(before, s) for before, s in due if not _is_final(found, s)]
        except (OSError, TimeoutError, ValueError) as problem:
            log.warning("no answer to a question", extra={"carrier": self._carrier, "why": type(problem).__name__})
        finally:
            self._later(due)
            for sent, future in waiting:
                if not future.done():
                    future.set_result(found.get(sent.carrier_message_id))
        self._pause_s = 0.0 if found else min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, self._pause_s * 2))

    async def _kept(self, receipts: Sequence[Receipt]) -> bool:
        try:
            await self._report(receipts)
        except Exception:
            # Whoever keeps receipts may break in ways of its own; they are asked for again.
            log.exception("receipts not kept", extra={"carrier": self._carrier})
            return False
        return True

    def _later(self, due: Sequence[tuple[int, Sent]]) -> None:
        """Once more after the next of the times; after the last the gateway asks when a receipt is overdue."""
        after_s, now = self._question.after_s, asyncio.get_running_loop().time()
        for before, sent in due:
            if before + 1 < len(after_s):
                pause_s = after_s[before + 1] - after_s[before]
                heapq.heappush(self._watched, (now + pause_s, next(self._numbers), before + 1, sent))

    async def _question_of(self, sents: Sequence[Sent]) -> dict[str, Receipt]:
        """What the carrier said, by its ids. Raises OSError, TimeoutError."""
        answer = await self._visit(self._maker.make(self._clock_ms(), sents))
        if not 200 <= answer.status < 300:
            return {}
        document = answer.document
        if self._translate is not None:
            document = self._translate(document)
        alone = sents[0] if len(sents) == 1 else None
        found: dict[str, Receipt] = {}
        for receipt in self._receipts.read(document, (), alone).receipts:
            found[receipt.carrier_message_id] = receipt
        return found


def _is_final(found: Mapping[str, Receipt], sent: Sent) -> bool:
    receipt = found.get(sent.carrier_message_id)
    return receipt is not None and receipt.state not in _OPEN
