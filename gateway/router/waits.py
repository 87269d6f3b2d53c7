"""Which messages have to wait whatever carriers say: their tag is paused, or the budget that they count in is spent.

In: what operators paused, what budgets that hold have left. Out: why and until when; nobody is asked while neither
holds anything. A message is booked when it comes for the first time.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.message import Message
from gateway.plan.surroundings import Wait
from gateway.provider import Reason
from gateway.streams.pauses import Pauses
from gateway.streams.purses import Purses


class Waits:
    """One for all shards of a process."""

    def __init__(self, pauses: Pauses, purses: Purses) -> None:
        self.pauses, self._purses = pauses, purses

    def now(self) -> Callable[[Message, bool], Wait | None] | None:
        """The question as it stands now."""
        return self.of if self.pauses.tags or self._purses.is_open else None

    def of(self, message: Message, is_new: bool) -> Wait | None:
        """Why a message has to wait; None: it has not."""
        if message.tag in self.pauses.tags:
            return Wait(Reason.PAUSED, 0)
        spent = self._purses.take(message) if is_new else None
        return Wait(Reason.BUDGET, spent.until_ms) if spent is not None else None
