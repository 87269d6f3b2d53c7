"""Tables of every command: coloured and as wide as the terminal on one, aligned plain text elsewhere.

In: columns and rows of text. Out: lines. Never: a number's or a date's form; that is the command's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

STATES: Final = {
    "delivered": "green",
    "undeliverable": "red",
    "rejected": "red",
    "failed": "red",
    "expired": "red",
    "cancelled": "dim",
    "unknown": "magenta",
}
"""How states look; those that are not here are still open."""


class Column(NamedTuple):
    """A column. `right`: numbers; `whole`: never broken, such as an id; `spare`: left out where there is no room."""

    name: str
    right: bool = False
    whole: bool = False
    spare: bool = False


def screen() -> Console:
    """Standard output for people: NO_COLOR and the terminal's width hold."""
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=False)


def show(columns: Sequence[Column], rows: Iterable[Sequence[str]], out: Console | None = None) -> None:
    """Print a table."""
    out, cells = out or screen(), [[str(cell) for cell in row] for row in rows]
    if out.is_terminal:
        out.print(rich_table(*_fitting(columns, cells, out.width)))
    else:
        for line in plain_lines(columns, cells):
            print(line, file=out.file)


def rich_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Table:
    """For a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for c in columns:
        table.add_column(c.name, justify="right" if c.right else "left", no_wrap=c.whole or c.right, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, STATES.get(cell, "")) for cell in row))
    return table


def _fitting(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple[list[Column], list[Sequence[str]]]:
    """Without the last spare columns, as long as the table is too wide for the terminal."""
    kept, left = list(columns), list(rows)
    while max(map(cell_len, plain_lines(kept, left))) > width and any(c.spare for c in kept):
        last = max(n for n, c in enumerate(kept) if c.spare)
        kept = kept[:last] + kept[last + 1 :]
        left = [(*row[:last], *row[last + 1 :]) for row in left]
    return kept, left


def plain_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """For pipes and files: nothing is cut or wrapped."""
    lines = [[c.name for c in columns], *rows]
    widths = [max(cell_len(line[n]) for line in lines) for n in range(len(columns))]
    return [_line(columns, line, widths) for line in lines]


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = []
    for column, cell, width in zip(columns, cells, widths, strict=True):
        blank = " " * (width - cell_len(cell))
        padded.append(blank + cell if column.right else cell + blank)
    return "  ".join(padded).rstrip()
