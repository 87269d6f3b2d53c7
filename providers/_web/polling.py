"""What became of messages, asked of the carrier: a few in one request, never more than one request at a time.

In: messages that the carrier took. Out: receipts. Where the settings say when, every message is asked about until its
state is final, also by the process that has the carrier next; a carrier that says nothing readable is asked ever more
seldom. Never: a guess.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from gateway.provider import Poll, PollBook, Receipt, Sent
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
_AGAIN_S: Final = 1.0
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
        book: PollBook | None = None,
    ) -> None:
        """`book`: what is watched is kept there, and read from there at the start."""
        self._carrier, self._question, self._maker = carrier, question, maker
        self._receipts, self._translate = receipts, translate
        self._visit, self._report, self._clock_ms, self._book = visit, report, clock_ms, book
        self._asked: deque[tuple[Sent, asyncio.Future[Receipt | None]]] = deque()
        self._watched: list[tuple[float, int, int, Sent]] = []  # when, a number, how often before, what
        self._ids: set[str] = set()  # of what is watched
        self._unsaved: dict[str, Poll | None] = {}  # None: over
        self._numbers = itertools.count()
        self._wake, self._changed = asyncio.Event(), asyncio.Event()
        self._pause_s = 0.0

    def watch(self, taken: Sequence[Sent]) -> None:
        """The carrier took these just now."""
        after_s = self._question.after_s
        if after_s and len(self._ids) + len(taken) <= MOST_WATCHED:
            for sent in taken:
                self._later_by(after_s[0], 0, sent)
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
        async with asyncio.TaskGroup() as tasks:
            if self._book is not None:
                tasks.create_task(self._keep(self._book), name=f"polls of {self._carrier}")
            await self._rounds()

    async def _keep(self, book: PollBook) -> None:
        """Take over what the last process watched; from then on keep what changes. What the book lacks because it could
        not be reached in time, the gateway asks about when the receipt is overdue."""
        await self._recall(book)
        told = False
        while True:
            await self._changed.wait()
            self._changed.clear()
            unsaved, self._unsaved = self._unsaved, {}
            polls = [poll for poll in unsaved.values() if poll is not None]
            try:
                await book.write(polls, [name for name, poll in unsaved.items() if poll is None])
                told = False
            except OSError as problem:
                if not told:
                    log.warning("polls not kept", extra={"carrier": self._carrier, "why": str(problem)})
                told = True
                self._unsaved = unsaved | self._unsaved
                self._changed.set()
                await asyncio.sleep(_AGAIN_S)

    async def _recall(self, book: PollBook) -> None:
        while True:
            try:
                kept = await book.read()
            except OSError:
                await asyncio.sleep(_AGAIN_S)
            else:
                break
        now, now_ms = asyncio.get_running_loop().time(), self._clock_ms()
        for poll in sorted(kept, key=lambda poll: poll.due_ms):
            name = poll.sent.carrier_message_id
            if name not in self._ids and self._unsaved.get(name, poll) is not None:
                due = now + max(0.0, (poll.due_ms - now_ms) / 1000)
                heapq.heappush(self._watched, (due, next(self._numbers), poll.before, poll.sent))
                self._ids.add(name)
        self._wake.set()
        if kept:
            log.info("polls taken over", extra={"carrier": self._carrier, "messages": len(kept)})

    async def _rounds(self) -> None:
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
                self._over([s for _, s in due if _is_final(found, s)])
                due = [(before, s) for before, s in due if not _is_final(found, s)]
        except (OSError, TimeoutError, ValueError) as problem:
            log.warning("no answer to a question", extra={"carrier": self._carrier, "why": type(problem).__name__})
            if type(problem) is ConnectionError:  # `Line.visit`: nobody was asked, so this time does not count
                for before, sent in due:
                    heapq.heappush(self._watched, (now, next(self._numbers), before, sent))
                due = []
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
        after_s = self._question.after_s
        for before, sent in due:
            if before + 1 < len(after_s):
                self._later_by(after_s[before + 1] - after_s[before], before + 1, sent)
            else:
                self._over([sent])

    def _later_by(self, pause_s: float, before: int, sent: Sent) -> None:
        heapq.heappush(self._watched, (asyncio.get_running_loop().time() + pause_s, next(self._numbers), before, sent))
        self._ids.add(sent.carrier_message_id)
        if self._book is not None:
            due_ms = self._clock_ms() + int(pause_s * 1000)
            self._unsaved[sent.carrier_message_id] = Poll(due_ms, before, sent)
            self._changed.set()

    def _over(self, sents: Sequence[Sent]) -> None:
        for sent in sents:
            self._ids.discard(sent.carrier_message_id)
            if self._book is not None:
                self._unsaved[sent.carrier_message_id] = None
                self._changed.set()

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
