"""What lookups said, as this process remembers it, and the directory that listens to it first. Pure.

In: answers and failures. Out: `Whose`: with source `lookup` for an answer, and, where one was wanted and did not come,
what the tables say with `(lookup: why)` behind their source. Bounded: of each kind the latest are remembered.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec

from gateway.numbering.directory import Directory
from gateway.plan.memory import Memory
from gateway.plan.surroundings import Whose

REMEMBERED: Final = 100_000
FAILED_S: Final = 60.0
"""How long a number is not asked for again after a lookup of it failed."""


class Answers:
    """By number. One a process."""

    def __init__(self) -> None:
        self._names = Memory[str, tuple[str, float]](REMEMBERED)
        self._failures = Memory[str, tuple[str, float]](REMEMBERED)

    def put(self, to: str, name: str, until_s: float) -> None:
        """A name or MCC-MNC, good until then (monotonic clock)."""
        self._names.put(to, (name, until_s))

    def fail(self, to: str, why: str) -> None:
        """There was no answer; `why` in a word."""
        self._failures.put(to, (why, time.monotonic() + FAILED_S))

    def name(self, to: str) -> str:
        """Who has the number; empty: not known."""
        found = self._names.get(to)
        return found[0] if found is not None and found[1] > time.monotonic() else ""

    def failure(self, to: str) -> str:
        """Why there is no answer; empty: nobody asked, or that was long ago."""
        found = self._failures.get(to)
        return found[0] if found is not None and found[1] > time.monotonic() else ""

    def knows(self, to: str) -> bool:
        """Whether there is nothing to ask for."""
        return bool(self.name(to) or self.failure(to))


class Listening:
    """A directory that believes lookups more than its tables."""

    def __init__(self, directory: Directory, answers: Answers) -> None:
        self.directory, self._answers = directory, answers
        self._marked: dict[tuple[int, str], Whose] = {}

    def find(self, to: str) -> Whose | None:
        """The network of an E.164 number with its plus."""
        if name := self._answers.name(to):
            return self.directory.told(to, name)
        whose, why = self.directory.find(to), self._answers.failure(to)
        return self._mark(whose, why) if why and whose is not None else whose

    def _mark(self, whose: Whose, why: str) -> Whose:
        key = id(whose), why  # the directory keeps its values, all but a bounded number for good
        marked = self._marked.get(key)
        source = f"{whose.source} (lookup: {why})"
        if marked is None or marked.operator != whose.operator or marked.source != source:
            if len(self._marked) >= REMEMBERED:
                self._marked.clear()
            marked = self._marked[key] = msgspec.structs.replace(whose, source=source)
        return marked
