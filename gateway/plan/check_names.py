"""Checks that several tables share: names that are there, and there once.

In: entries and names with their paths. Out: problems.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from gateway.plan.lines import Path
from gateway.plan.problems import Problems, close_to


class Named(Protocol):
    """An entry with a name of its own."""

    @property
    def name(self) -> str:
        """What others call it by."""


def check_unique(entries: Iterable[Named], table: str, problems: Problems) -> None:
    """No two entries have one name."""
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name in seen:
            sentence = f"Another {table} is called `{entry.name}` too: rename one."
            problems.add((table, index, "name"), "duplicate_name", sentence)
        seen.add(entry.name)


def check_names(
    names: Iterable[str], known: Collection[str], table: str, path: Path, problems: Problems, is_list: bool = True
) -> None:
    """Every name exists, and once."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        here = (*path, index) if is_list else path
        if name not in known:
            problems.add(here, "unknown_name", f"No {table} is called `{name}`.{close_to(name, known)}")
        elif name in seen:
            problems.add(here, "duplicate_name", f"`{name}` is in this list twice.")
        seen.add(name)


def check_name(name: str | None, known: Collection[str], table: str, path: Path, problems: Problems) -> None:
    """The name, if there is one, exists."""
    if name is not None:
        check_names([name], known, table, path, problems, is_list=False)
