"""Which messages have to wait whatever carriers say: their tag is paused, or the budget that they count in is spent.

In: what operators paused, what budgets say. Out: why and until when; nobody is asked while neither holds anything.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.message import Message
from gateway.plan.surroundings import Wait
from gateway.provider import Reason
from gateway.streams.pauses import Pauses


class Waits:
    """One for all shards of a process."""

    def __init__(self, pauses: Pauses) -> None:
        self.pauses = pauses
        self.spent: Callable[[Message], int] | None = None
        """Until when (ms) a message's budget is spent; 0: it is not. None: no budget holds anything back."""

    def now(self) -> Callable[[Message], Wait | None] | None:
        """The question as it stands now."""
        return self.of if self.pauses.tags or self.spent is not None else None

    def of(self, message: Message) -> Wait | None:
        """Why a message has to wait; None: it has not."""
        if message.tag in self.pauses.tags:
            return Wait(Reason.PAUSED, 0)
        until_ms = self.spent(message) if self.spent is not None and not message.test else 0
        return Wait(Reason.BUDGET, until_ms) if until_ms else None
