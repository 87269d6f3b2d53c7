"""The figures of a run: one JSON line, and a table to read.

In: `Figures`. Out: text.
"""

from __future__ import annotations

from typing import TextIO

import msgspec
from rich.console import Console
from rich.table import Table


class Figures(msgspec.Struct, kw_only=True):
    """`lost`: accepted and not in the ledger. `uncertain`: messages that may have been on the wire when something died;
    `doubled`: parts that came again, of which `doubled_held` in classes where none may. `callbacks` are events."""

    seed: int
    messages: int
    accepted: int
    delivered: int
    undelivered: int
    expired: int
    waiting: int
    lost: int
    uncertain: int
    doubled: int
    doubled_held: int
    doubled_allowed: int
    on_phones: int
    callbacks: int
    callbacks_again: int
    requests_repeated: int
    kills: dict[str, int]
    starting_s: float
    sending_s: float
    resting_s: float
    judging_s: float
    duration_s: float
    findings: list[str]


def show(figures: Figures, to: TextIO) -> None:
    """The table, what is wrong, and the JSON line last."""
    console = Console(file=to)
    table = Table(title=f"chaos, seed {figures.seed}", show_header=False)
    for name in figures.__struct_fields__:
        value = getattr(figures, name)
        if name in ("seed", "findings"):
            continue
        shown = (
            ", ".join(f"{who} {number}" for who, number in value.items()) if isinstance(value, dict) else f"{value:,}"
        )
        table.add_row(name, shown)
    console.print(table)
    for said in figures.findings or ["nothing lost, nothing doubled without need, every figure equals the other"]:
        console.print(f"[{'red' if figures.findings else 'green'}]{said}", soft_wrap=True, highlight=False)
    print(msgspec.json.encode(figures).decode(), file=to)
