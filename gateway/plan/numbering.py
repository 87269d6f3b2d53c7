"""Whose number it is: the longest of the operators' prefixes that a number begins with.

In: the plan's operators. Out: an operator for an E.164 number, or None. Never knows about ported numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.plan.document import Operator, Plan
from gateway.plan.surroundings import Whose

MAX_RANGE: Final = 10_000
"""Prefixes that one range may stand for; a wider one has a shorter prefix."""


class PrefixError(ValueError):
    """A prefix or range cannot be used. The text says what would be right."""


def expand(text: str) -> Iterator[str]:
    """The prefixes, without a plus, that one entry of `prefixes` stands for: itself, or each of a range such as
    `7980-7989`, both ends included. Raises PrefixError."""
    first, dash, last = text.replace("+", "").partition("-")
    if not dash:
        yield first
        return
    if len(first) != len(last) or first > last:
        raise PrefixError(f"`{text}` is not a range: write two prefixes of one length, the smaller first.")
    if int(last) - int(first) >= MAX_RANGE:
        raise PrefixError(f"`{text}` stands for more than {MAX_RANGE} prefixes: write shorter ones.")
    for number in range(int(first), int(last) + 1):
        yield str(number).zfill(len(first))


class Numbering:
    """A compiled table of prefixes. Made once for a plan; a lookup touches one table for each length of prefix."""

    def __init__(self, operators: Iterable[Operator]) -> None:
        prefixes = {prefix: o for o in operators for text in o.prefixes for prefix in expand(text)}
        lengths = sorted({len(prefix) for prefix in prefixes}, reverse=True)
        self.tables = tuple(
            (1 + length, {"+" + p: o for p, o in prefixes.items() if len(p) == length}) for length in lengths
        )

    def operator(self, to: str) -> Operator | None:
        """The operator of an E.164 number with its plus; None when no prefix covers it."""
        for end, table in self.tables:
            if (found := table.get(to[:end])) is not None:
                return found
        return None


class PlanDirectory:
    """Whose number it is by nothing but the prefixes of the plan's operators."""

    def __init__(self, plan: Plan) -> None:
        whose = {o.name: Whose(o.name, o.country or "", source="plan") for o in plan.operators}
        self._tables = [
            (end, {prefix: whose[o.name] for prefix, o in table.items()})
            for end, table in Numbering(plan.operators).tables
        ]

    def find(self, to: str) -> Whose | None:
        """The operator with the longest prefix."""
        for end, table in self._tables:
            if (found := table.get(to[:end])) is not None:
                return found
        return None
