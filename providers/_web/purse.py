"""What the account has left, asked now and then while the carrier is there.

In: the settings' question. Out: a `Balance`. Never: a guess; an answer without an amount leaves what was known.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.provider import Balance
from providers._web.errands import ErrandMaker
from providers._web.settings import BalanceQuestion
from providers._web.spots import Answer, compile_spot

log = logging.getLogger("web")

_MOST: Final = 1e15
_AGAIN_S: Final = 2.0


class Purse:
    """Life: `run` in a task of its own. `visit` sends a request and gives its answer, or raises OSError."""

    def __init__(
        self,
        carrier: str,
        question: BalanceQuestion,
        maker: ErrandMaker,
        visit: Callable[[bytes], Awaitable[Answer]],
        clock_ms: Callable[[], int],
    ) -> None:
        self._carrier, self._question, self._maker = carrier, question, maker
        self._visit, self._clock_ms = visit, clock_ms
        self._amount = compile_spot(question.amount, "balance.amount")
        self.balance: Balance | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            pause_s = self._question.every_s
            try:
                self.read(await self._visit(self._maker.make(self._clock_ms())))
            except (OSError, TimeoutError) as problem:  # at the start the carrier is not connected yet
                pause_s = min(pause_s, _AGAIN_S)
                log.debug("balance not read", extra={"carrier": self._carrier, "why": type(problem).__name__})
            await asyncio.sleep(pause_s)

    def read(self, answer: Answer) -> None:
        """Learn from an answer."""
        if not 200 <= answer.status < 300 or self._amount is None:
            return
        try:
            amount = float(self._amount(answer, None).replace(",", "."))
        except ValueError:
            return
        if math.isfinite(amount) and abs(amount) < _MOST:
            q = self._question
            self.balance = Balance(amount, q.currency, self._clock_ms(), q.low)
