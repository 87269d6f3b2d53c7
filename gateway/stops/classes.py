"""Classes that an entry of a stop list stops, as names and as bits. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.message import CLASSES

BITS: Final = {name: 1 << place for place, name in enumerate(CLASSES)}
"""Bit of each class; they are stored, so a class keeps its bit for ever."""

UNLESS_SAID: Final = tuple(name for name in CLASSES if name != "otp")
"""What an entry stops that names no class: a code that someone waits for at this moment was asked for by himself."""


def mask_of(classes: Iterable[str]) -> int:
    """The bits of some classes. Raises KeyError for what is none."""
    mask = 0
    for name in classes:
        mask |= BITS[name]
    return mask


def classes_of(mask: int) -> tuple[str, ...]:
    """The classes of some bits, the most urgent first."""
    return tuple(name for name, bit in BITS.items() if mask & bit)
