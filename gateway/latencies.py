"""How long things took, as a histogram that is one number: histograms are merged by adding them. Pure.

Bucket k ends at 2^((k + 1) / 4) ms, so an estimate lies within ERROR of the truth. The number has 12 decimal digits a
bucket: k's count times 10^(12 k). PostgreSQL adds such numbers as `numeric`, exactly, and takes away as well.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

PER_DOUBLING: Final = 4
BUCKETS: Final = 28 * PER_DOUBLING
"""The last one has all from three days on."""

DIGITS: Final = 12
ERROR: Final = 2 ** (1 / (2 * PER_DOUBLING)) - 1
"""A quantile is at most this share larger or smaller than the exact one, from 4 ms to three days."""

_STARTS: Final = tuple(math.ceil(2 ** (k / PER_DOUBLING)) for k in range(1, BUCKETS))
"""The first whole millisecond of each bucket but the first one, in which 0 counts as well."""

_REMEMBERED: Final = 20_000
_UNIT: Final = 10**DIGITS
UNITS: Final = tuple(_UNIT**k for k in range(BUCKETS))
"""What one message in bucket k adds."""


def slot(ms: int) -> int:
    """The bucket of a time."""
    return bisect_right(_STARTS, ms)


class Slots(dict[int, int]):
    """`slots[ms]`: the same, remembered; for many times that are mostly alike. Bounded."""

    def __missing__(self, ms: int) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        found = self[ms] = slot(ms)
        return found


def counts(histogram: int) -> list[int]:
    """How many are in each bucket; shorter where the last ones have none."""
    if not histogram:
        return []
    digits = str(histogram)  # ten times as fast as to divide
    digits = digits.zfill(-(-len(digits) // DIGITS) * DIGITS)
    return [int(digits[end - DIGITS : end]) for end in range(len(digits), 0, -DIGITS)]


def histogram_of(times_ms: Iterable[int]) -> int:
    """The histogram of some times."""
    return sum(UNITS[slot(ms)] for ms in times_ms)


def total(histogram: int) -> int:
    """How many times are in it."""
    return sum(counts(histogram))


def quantile_ms(histogram: int, share: float) -> float | None:
    """The time that this share did not exceed, within ERROR; None of nothing."""
    return quantiles_ms(counts(histogram), (share,))[0]


def quantiles_ms(found: Sequence[int], shares: Sequence[float]) -> list[float | None]:
    """The same of the counts of buckets, for several shares."""
    if not found:
        return [None] * len(shares)
    below = list(accumulate(found))
    last = below[-1]
    return [middle_ms(min(bisect_left(below, share * last), len(found) - 1)) for share in shares]


def middle_ms(k: int) -> float:
    """What a bucket stands for: as far from its beginning as from its end, in proportion."""
    return 2 ** ((k + 0.5) / PER_DOUBLING)


def within(histogram: int, limit_ms: int) -> int:
    """How many took at most about so long."""
    return sum(counts(histogram)[: slot(limit_ms) + 1])


def spread(found: Sequence[int]) -> int:
    """Over how many neighbouring buckets nine of ten lie: 1 or 2 is a machine, not the world."""
    all_, best = sum(found), len(found)
    for first in range(len(found)):
        seen = 0
        for last in range(first, min(len(found), first + best)):
            seen += found[last]
            if seen >= 0.9 * all_:
                best = min(best, last - first + 1)
                break
    return best
