"""Whether a client's or tag's budget has money for a message, asked when it is accepted.

In: a message that could be taken. Out: a 429 with the second at which the next period begins, or nothing, and the
message is booked. No call per message: money is leased in the background, and waited for only where it ran short.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from gateway.api.problems import Code, Problem, problem
from gateway.message import Message
from gateway.plan.budgets import Purse
from gateway.streams.link import Redis
from gateway.streams.purses import Purses

_WAIT_S: Final = 1.0
_NEXT: Final = {"day": "the next day", "month": "the next month"}


class Budgets:
    """One a process."""

    def __init__(self, redis: Redis, purses: Purses) -> None:
        self._redis, self._purses = redis, purses

    @property
    def is_open(self) -> bool:
        """Whether the plan has budgets that refuse."""
        return self._purses.is_open

    def take(self, m: Message) -> bool:
        """Book a message without waiting for anything. False: ask `refuse`; nothing is booked."""
        return not self._purses.is_open or self._purses.take(m) is None

    async def refuse(self, m: Message, pointer: str | None = None, line: int | None = None) -> Problem | None:
        """Why the message is not taken; None: it is, and its cost is booked."""
        if not self._purses.is_open:
            return None
        short = self._purses.take(m)
        if short is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                while short is not None and not short.is_spent:
                    await self._purses.more()
                    short = self._purses.take(m)
        if short is None or not short.is_spent:
            return None  # Redis does not answer: it will not take the message either
        until_ms = self._purses.ends_ms(short.purse)
        after_s = max(1, -(-(until_ms - self._redis.clock_ms()) // 1000))
        words = _words(short.purse, until_ms)
        return problem(Code.BUDGET_EXCEEDED, words, pointer=pointer, line=line, retry_after_s=after_s)


def _words(purse: Purse, until_ms: int) -> str:
    rule = purse.count.rule
    whose = " and ".join(f"the {kind} {name}" for kind, name in (("client", purse.client), ("tag", purse.tag)) if name)
    at = datetime.fromtimestamp(until_ms / 1000, ZoneInfo(purse.count.zone)).isoformat(timespec="minutes")
    return (
        f"The budget of {whose}, {purse.amount} a {rule.per}, has no money left for this message: {_NEXT[rule.per]}"
        f" begins at {at}. Repeat it then, or ask those who run the gateway for a larger budget."
    )
