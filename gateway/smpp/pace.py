"""How much a bind may have in flight: its window, smaller after a carrier's "slow down", larger after its yeses.

In: answers and the time. Out: the window allowed now, and until when nothing may be sent. Additive increase,
multiplicative decrease, once per flight, and a pause that doubles while nothing is accepted. Never: a clock, a timer.
"""

from __future__ import annotations

from typing import Final

_HALF_OF_ALL: Final = 0x40000000
_QUEUE_FULL_IN_A_ROW: Final = 3


class Pace:
    """The pace of one session. Times are seconds of any one monotonic clock."""

    def __init__(self, window: int, pause_s: float = 0.1, longest_pause_s: float = 5.0) -> None:
        self.window = window
        self.paused_until = 0.0
        self._allowed = float(window)
        self._shortest_s = pause_s
        self._longest_s = longest_pause_s
        self._pause_s = pause_s
        self._from = 0  # a "slow down" for a sequence before this one was answered by an earlier decrease
        self._full = 0

    @property
    def allowed(self) -> int:
        """The window as it is now, at least 1."""
        return int(self._allowed)

    def accepted(self, count: int) -> None:
        """The carrier took `count`: one more in flight for every full flight that it takes."""
        self._full = 0
        self._pause_s = self._shortest_s
        if self._allowed < self.window:
            self._allowed = min(float(self.window), self._allowed + count / self._allowed)

    def throttled(self, sequence: int, next_sequence: int, now: float) -> None:
        """The carrier said "slow down" to `sequence`. Half the window and a pause, once for all that is in flight."""
        if 0 < (self._from - sequence) & 0x7FFFFFFF < _HALF_OF_ALL:
            return
        self._from = next_sequence
        self._allowed = max(1.0, self._allowed / 2)
        self.paused_until = now + self._pause_s
        self._pause_s = min(self._longest_s, self._pause_s * 2)

    def queue_full(self, sequence: int, next_sequence: int, now: float) -> None:
        """A queue is full: often one recipient's. Only several in a row, with none accepted between, slow the bind."""
        self._full += 1
        if self._full >= _QUEUE_FULL_IN_A_ROW:
            self.throttled(sequence, next_sequence, now)
