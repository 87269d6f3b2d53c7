"""How sure one can be: shares with their intervals, and how unlikely a count is. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

from gateway.plan.strategy import wilson

Z: Final = 1.96
"""Intervals of 95 percent."""


def interval(good: float, all_: float) -> tuple[float, float]:
    """Between which values a share lies; 0 to 1 of nothing."""
    if all_ <= 0:
        return 0.0, 1.0
    return wilson(good / all_, all_, -Z), wilson(good / all_, all_, Z)


def share_score(good: float, all_: float, usual: Sequence[tuple[float, float]]) -> float:
    """By how many deviations a share lies above (or, negative, below) what it was at other times: (good, all) of each.

    The spread from time to time counts beside chance, so that a share that always swings is nothing unusual.
    """
    counted = [(g, n) for g, n in usual if n > 0]
    total = sum(n for _, n in counted)
    if all_ <= 0 or total <= 0:
        return 0.0
    expected = (sum(g for g, _ in counted) + 0.5) / (total + 1)
    shares = [g / n for g, n in counted if n >= 10]
    chance = expected * (1 - expected) * (1 / all_ + 1 / total)
    swings = _spread(shares, expected) ** 2
    return (good / all_ - expected) / math.sqrt(chance + swings + 1e-9)


def level_score(value: float, usual: Sequence[float], least_spread: float) -> float:
    """By how many deviations a level (a logarithm, say) lies from what it was at other times; 0 without any."""
    if not usual:
        return 0.0
    middle = median(usual)
    return (value - middle) / max(_spread(usual, middle), least_spread)


def _spread(values: Sequence[float], middle: float) -> float:
    """A deviation that one odd day does not move."""
    if len(values) < 3:
        return 0.0
    return 1.4826 * median(abs(value - middle) for value in values)
