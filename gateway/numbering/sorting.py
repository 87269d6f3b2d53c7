"""Lines in the order of their texts, however many there are: runs of a million in memory, merged from files.

In: lines with their ends. Out: the same lines in order. What comes in order already takes no detour over files.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Final

RUN_LINES: Final = 1_000_000


def in_order(lines: Iterator[str], beside: Path, run_lines: int = RUN_LINES) -> Iterator[str]:
    """The lines in order; files for it are made beside a path and removed."""
    runs: list[_Run] = []
    with ExitStack() as stack:
        run = sorted(islice(lines, run_lines))
        while more := list(islice(lines, run_lines)):
            more.sort()
            if not runs or run[0] < runs[-1].last:
                runs.append(_Run(stack, beside.with_name(f"{beside.name}.run{len(runs)}")))
            runs[-1].add(run)
            run = more
        if len(runs) == 1 and run[0] >= runs[0].last:
            yield from runs[0].lines()
            runs.clear()
        yield from heapq.merge(*(r.lines() for r in runs), run) if runs else run


class _Run:
    """Lines in order, in a file that lives as long as the stack."""

    def __init__(self, stack: ExitStack, path: Path) -> None:
        self._file: IO[str] = stack.enter_context(path.open("w+", encoding="utf-8", newline=""))
        path.unlink()  # it goes when it is closed, whatever happens
        self.last = ""

    def add(self, lines: list[str]) -> None:
        """Append what is not less than what is there."""
        self._file.writelines(lines)
        self.last = lines[-1]

    def lines(self) -> Iterator[str]:
        """All of them."""
        self._file.seek(0)
        yield from self._file
