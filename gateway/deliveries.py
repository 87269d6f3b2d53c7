"""How deliveries are counted: by class, carrier, operator and time of sending, and by how long they took. Pure.

In: a message that a carrier took, or what became of it. Out: its place in a row of counts. The estimate that is made of
them is plan/chances.py, the table store/deliveries.py.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

DEADLINE_S: Final = {"otp": 60, "alert": 300, "transactional": 3_600, "marketing": 14_400}
"""A delivery within this time is a success: later it is worth little to whoever waits for it."""

ENDS_S: Final = (10, 30, 60, 300, 900, 3_600, 14_400)
"""Deliveries are counted by the time they took: up to each of these. The deadlines are among them."""

_ENDS_MS: Final = tuple(end * 1000 for end in ENDS_S)

BUCKET_S: Final = {"otp": 60, "alert": 60, "transactional": 300, "marketing": 300}
"""Messages of this span of sending are counted together."""

SENT, DELIVERED, LATER, FAILED, WIDTH = 0, 1, 1 + len(ENDS_S), 2 + len(ENDS_S), 3 + len(ENDS_S)
"""Places in a row of counts: sent; delivered by each of ENDS_S; delivered after them; not delivered, as it says."""

Counted = tuple[int, int, str, str, str]
"""What a row is for: time (ms), shard, class, carrier, operator."""

Delta = dict[Counted, list[int]]
"""By row, what is to be added to its counts."""


def slot(delay_ms: int) -> int:
    """The place of a delivery that took so long."""
    return DELIVERED + bisect_left(_ENDS_MS, delay_ms)


def bucket_ms(klass: str, sent_ms: int) -> int:
    """Where a message that was sent then is counted."""
    width = BUCKET_S.get(klass, 300) * 1000
    return sent_ms - sent_ms % width
