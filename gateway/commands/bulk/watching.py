"""How a run of `sluice send --file` looks: a progress bar on a terminal, now and then a line elsewhere.

In: `Progress` and waits. Out: standard error, so that `--json` keeps standard output. Never: a number or a text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, Task
from rich.progress import Progress as Bar
from rich.text import Text

from gateway.commands.bulk.journal import Progress
from gateway.commands.times import span

EVERY_S: Final = 5.0


class RateAndLeft(ProgressColumn):
    """Rows a second, and how long the rest takes."""

    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        left = task.time_remaining
        return Text(f"{task.speed:,.0f}/s" + (f", {span(left)} left" if left is not None else ""), "cyan")


class Lines:
    """For logs and pipes: a line every few seconds, and one when it has to wait."""

    def __init__(self, console: Console, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._total, self._clock = console, total, clock
        self._said = self._began = clock()
        self._first: int | None = None

    def begin(self, progress: Progress) -> None:
        """From here it goes on."""
        self._first = progress.rows

    def moved(self, progress: Progress) -> None:
        now = self._clock()
        if now - self._said < EVERY_S:
            return
        self._said = now
        speed = (progress.rows - (self._first or 0)) / max(now - self._began, 0.001)
        left = f", {span((self._total - progress.rows) / speed)} left" if speed else ""
        done = f"{progress.rows:,} of {self._total:,} rows, {speed:,.0f}/s{left}"
        self._out.print(f"{done}: {counts(progress)}", soft_wrap=True)

    def waits(self, why: str, seconds: float) -> None:
        if seconds >= 1:
            self._out.print(f"waiting {span(seconds)}: {why}", soft_wrap=True)


class OnTerminal:
    """A bar with the counts below it, and below them why it waits."""

    def __init__(self, console: Console, total: int) -> None:
        columns = (SpinnerColumn(), BarColumn(bar_width=24), MofNCompleteColumn(), RateAndLeft())
        self._bar = Bar(*columns, console=console, auto_refresh=False)
        self._task = self._bar.add_task("", total=total)
        self._counts = self._note = ""

    def begin(self, progress: Progress) -> None:
        """From here it goes on: what was done before does not count for the rate."""
        self._bar.reset(self._task, completed=progress.rows)
        self._counts = counts(progress)

    def moved(self, progress: Progress) -> None:
        self._bar.update(self._task, completed=progress.rows)
        self._counts, self._note = counts(progress), ""

    def waits(self, why: str, seconds: float) -> None:
        self._note = f"waiting {span(seconds)}: {why}" if seconds >= 1 else ""

    def __rich__(self) -> Group:
        lines: list[RenderableType] = [self._bar, Text(f"  {self._counts}")]
        return Group(*lines, *([Text(f"  {self._note}", "yellow")] if self._note else []))


@contextmanager
def watching(console: Console, total: int) -> Iterator[Lines | OnTerminal]:
    """What suits the console."""
    if not console.is_terminal:
        yield Lines(console, total)
        return
    shown = OnTerminal(console, total)
    with Live(shown, console=console, transient=True, refresh_per_second=8):
        yield shown


def counts(progress: Progress) -> str:
    """Three numbers that add up to the rows."""
    return f"{progress.accepted:,} accepted, {progress.duplicates:,} duplicates, {progress.refused:,} refused"
