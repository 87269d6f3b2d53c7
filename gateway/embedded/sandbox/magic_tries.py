"""How the sandbox answers each try of a message to a magic number.

In: a number's row and what tells its messages apart. Out: a `Fate`, the same object for the same answer. Memory is
bounded: beyond `LIMIT` messages the oldest begins anew.
"""

from __future__ import annotations

from typing import Final

from gateway.embedded.sandbox.magic import Magic
from gateway.embedded.sandbox.profile import Fate

LIMIT: Final = 10_000


class Tries:
    """Remembers how often each message was refused so far."""

    def __init__(self) -> None:
        self._refused: dict[int, int] = {}
        self._fates: dict[tuple[str, int, float], Fate] = {}

    def fate(self, magic: Magic, message: int, speed: float) -> Fate:
        """What becomes of this try; receipts are not in it. `message`: a hash of sender, recipient and text."""
        status = magic.status or self._next(magic, message)
        key = (magic.number, status, speed)
        fate = self._fates.get(key)
        if fate is None:
            if len(self._fates) > LIMIT:
                self._fates.clear()
            delay_ms = magic.answer_s * 1000 / speed
            fate = Fate(status=status, answered=magic.answered, answer_delay_ms=delay_ms, receipts=0)
            self._fates[key] = fate
        return fate

    def _next(self, magic: Magic, message: int) -> int:
        """What this try is refused with; 0: it is taken, and the same message may come again."""
        if not magic.refusals:
            return 0
        before = self._refused.pop(message, 0)
        if before >= len(magic.refusals):
            return 0
        self._refused[message] = before + 1
        if len(self._refused) > LIMIT:
            del self._refused[next(iter(self._refused))]
        return magic.refusals[before]
