"""Whether a message may go to its recipient at all: stop lists and sending windows, asked when it is accepted.

In: a message whose fields are right. Out: a fault, or nothing. Never: I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway import metrics
from gateway.api.problems import Code, Fault
from gateway.message import Message

Which = Callable[[str, str, str], str]
"""(number, client, class) → `global`, `client`, or "" where no list stops it."""

_WHOSE: Final = {"global": "a stop list that holds for everybody", "client": "your stop list"}


class Recipients:
    """Asked for every message. `which`: the stop lists of this process."""

    def __init__(self, which: Which) -> None:
        self._which = which

    def fault(self, message: Message, now_ms: int) -> Fault | None:
        """Why the message cannot be taken; None: it can."""
        if stopped := self._which(message.to, message.client, message.klass):
            metrics.stopped.labels(stopped, message.klass).inc()
            return Fault(
                Code.RECIPIENT_STOPPED,
                f"The recipient is on {_WHOSE[stopped]} for the class {message.klass}: leave him out.",
                "/to",
            )
        return None
