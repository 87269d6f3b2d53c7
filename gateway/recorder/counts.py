"""What the metrics hear of a fold: made while it is prepared, told once it is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from gateway import metrics
from gateway.ledger.fold import Fold

Counted = list[Callable[[], None]]
"""What the metrics hear once it is committed."""


def counted_of(fold: Fold) -> Counted:
    """What this fold is to be counted as."""
    changes = fold.changes
    counted: Counted = []
    for table, number in (
        ("messages", len(changes.fresh)),
        ("messages_updated", len(changes.changed)),
        ("submissions", len(changes.submissions) + len(changes.repeated)),
        ("receipts", len(changes.receipts)),
        ("receipts_waiting", len(changes.unmatched)),
        ("callbacks", len(changes.callbacks)),
    ):
        if number:
            counted.append(partial(metrics.recorder_rows.labels(table).inc, number))
    if changes.receipts:
        counted.append(partial(metrics.receipts_matched.labels("id").inc, len(changes.receipts)))
        counted += _receipt_delays(fold)
    for state, number in Counter(changes.finals).items():
        counted.append(partial(metrics.finals.labels(state).inc, number))
    return counted


def _receipt_delays(fold: Fold) -> Iterator[Callable[[], None]]:
    """How long receipts took: about a hundred of a transaction stand for all of it."""
    receipts = fold.changes.receipts
    step = len(receipts) // 100 + 1
    for fact, found in receipts[::step]:
        row = fold.rows.get(found[0]) if found else None
        if row is not None and row.submitted_ms:
            delay_s = max(0, fact.at_ms - row.submitted_ms) / 1000
            yield partial(metrics.receipt_delay.labels(fact.carrier).observe, delay_s, step)


def count(counted: Counted) -> None:
    """It is committed."""
    for tell in counted:
        tell()
