"""How long something takes in the sandbox: always the same, or drawn from a distribution.

In: a number, or a table of a profile. Out: one draw. Pure; randomness is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Annotated, Final

import msgspec
from msgspec import Meta

_NORMAL: Final = NormalDist()
_P99: Final = _NORMAL.inv_cdf(0.99)
_NEVER_ALL: Final = 1 - 2**-40

Least = Annotated[float, Meta(ge=0)]


class Spread(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A distribution: `least` and `most` (uniform), `mean` (exponential), or `median` and `p99` (log-normal). `most`
    also bounds the other two."""

    least: Least | None = None
    most: Least | None = None
    mean: Least | None = None
    median: Annotated[float, Meta(gt=0)] | None = None
    p99: Annotated[float, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        kinds = [self.least is not None, self.mean is not None, self.median is not None or self.p99 is not None]
        if sum(kinds) != 1:
            raise ValueError("give { least, most }, { mean } or { median, p99 }, one of these")
        if self.least is not None and (self.most is None or self.most < self.least):
            raise ValueError("`most` must be given, and not below `least`")
        if kinds[2] and (self.median is None or self.p99 is None or self.p99 < self.median):
            raise ValueError("`median` and `p99` must be given, and `p99` not below `median`")

    def draw(self, random: float) -> float:
        """The value for a number in [0, 1)."""
        random = min(max(random, 1 - _NEVER_ALL), _NEVER_ALL)
        if self.least is not None and self.most is not None:
            return self.least + (self.most - self.least) * random
        if self.mean is not None:
            found = -self.mean * math.log(1 - random)
        else:
            assert self.median is not None and self.p99 is not None
            found = self.median * (self.p99 / self.median) ** (_NORMAL.inv_cdf(random) / _P99)
        return found if self.most is None else min(found, self.most)


Delay = Least | Spread


def draw(delay: float | Spread, random: Callable[[], float]) -> float:
    """A number as it is, or a draw."""
    return delay.draw(random()) if isinstance(delay, Spread) else delay
