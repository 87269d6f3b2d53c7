"""What the reader of a dataset found in a file: how many rows, and what is wrong with which line. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

SHOWN: Final = 100
"""Faults that a report names; all are counted."""


class Fault(msgspec.Struct, frozen=True):
    """Something wrong in a source; lines begin with 1."""

    line: int
    sentence: str
    file: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was read. Nothing may be kept when `errors` is above `tolerated`."""

    rows: int
    """Rows that are kept."""
    errors: int = 0
    """Rows that are left out because they are wrong."""
    tolerated: int = 0
    faults: tuple[Fault, ...] = ()
    """The first of them."""
    remarks: tuple[str, ...] = ()
    """What else to know, in sentences."""

    @property
    def is_good(self) -> bool:
        """Whether it may be kept."""
        return self.errors <= self.tolerated and self.rows > 0
