"""When a failed callback is tried again: pauses that grow over three days, and what Retry-After asks for. Pure."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime
from typing import Final

PAUSES_S: Final = (5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600)
"""After the first, second … try; the last one again and again."""

GIVE_UP_MS: Final = 72 * 3_600_000
"""An event that nobody took for so long is given up."""

JITTER: Final = 0.2
MAX_RETRY_AFTER_S: Final = 86_400
_LAST_TRY_MS: Final = 60_000


def next_try_ms(
    tries: int, now_ms: int, give_up_ms: int, retry_after_s: float = 0.0, spread: float = -1.0
) -> int | None:
    """When to try again after `tries` failures; None: give up. The last try is at the very end of the three days.

    `spread` is 0 to 1 where a test wants no chance.
    """
    if now_ms >= give_up_ms:
        return None
    spread = random.random() if spread < 0 else spread  # noqa: S311 - spreads load, hides nothing
    pause_s = PAUSES_S[min(tries, len(PAUSES_S)) - 1] * (1 - JITTER + 2 * JITTER * spread)
    at_ms = now_ms + int(max(pause_s, min(retry_after_s, MAX_RETRY_AFTER_S)) * 1000)
    if at_ms < give_up_ms:
        return at_ms
    return give_up_ms if give_up_ms - now_ms > _LAST_TRY_MS else None


def retry_after_s(value: str, now_s: float) -> float:
    """What a Retry-After header asks for, in seconds from now; 0 for none and for what cannot be read."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), MAX_RETRY_AFTER_S)
    try:
        wanted = parsedate_to_datetime(value).timestamp() - now_s
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return max(0.0, min(wanted, MAX_RETRY_AFTER_S))
