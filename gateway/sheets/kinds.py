"""Checks of rate sheets and registries that come in as datasets: what people have is read, and kept in one spelling.

In: a file. Out: the file that is kept, and a report. A single wrong row keeps the whole from being kept: half a price
list is worse than yesterday's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.datasets.report import SHOWN, Fault, Report
from gateway.sheets import rates, senders, table


def check_rates(source: Path, target: Path) -> Report:
    """Kind `rates`."""
    sheet = rates.read(source.read_bytes())
    target.write_bytes(rates.write(sheet.rates))
    return report(len(sheet.rates), sheet.faults, sheet.remarks)


def check_senders(source: Path, target: Path) -> Report:
    """Kind `senders`."""
    registry = senders.read(source.read_bytes())
    target.write_bytes(senders.write(registry.senders))
    return report(len(registry.senders), registry.faults, registry.remarks)


def report(rows: int, faults: Sequence[table.Fault], remarks: Sequence[str]) -> Report:
    """In the form that all datasets have."""
    shown = tuple(Fault(line, sentence) for line, sentence in faults[:SHOWN])
    return Report(rows=rows, errors=len(faults), faults=shown, remarks=tuple(remarks))
