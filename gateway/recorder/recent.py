"""Rows and carriers' ids that this recorder wrote a moment ago, so that most facts need no look into PostgreSQL.

A fold works right on them, so after any failure all of it is forgotten and read anew. Every update names the row's rev:
a row that another writer changed meanwhile is found out. Bounded.
"""

from __future__ import annotations

from gateway.ledger.fold import CarrierId, Fold
from gateway.ledger.rows import Matched, Row
from gateway.message import FINAL, State

CAPACITY = 150_000
"""Messages; about 0.6 KB each."""

STALE_MS = 30_000
"""A receipt that takes longer is worth a look into PostgreSQL."""

SWEEP_MS = 5_000


class Recent:
    """Open rows by id, and submissions by the carrier's id."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.rows: dict[bytes, Row] = {}
        self.submissions: dict[CarrierId, Matched] = {}
        self._swept_ms = 0

    def keep(self, fold: Fold, now_ms: int) -> None:
        """This fold is written, though its transaction may still fail: then `forget`."""
        rows, submissions = self.rows, self.submissions
        for row in fold.changes.rows:
            row.rev += 1
            row.message = None
            row.touched = row.moved = False
            if row.state in FINAL:
                rows.pop(row.id, None)
        for key, found in fold.fresh.items():
            if found[0] in rows:
                submissions[key] = found
        for fact, _ in fold.changes.receipts:
            key = (fact.carrier, fact.receipt.carrier_message_id)
            if (known := submissions.get(key)) is not None and known[0] not in rows:
                del submissions[key]
        if len(rows) > self.capacity or len(submissions) > self.capacity:
            self._shrink(now_ms)

    def forget(self) -> None:
        """After a rollback, or when another writer was at the rows."""
        self.rows.clear()
        self.submissions.clear()

    def _shrink(self, now_ms: int) -> None:
        """First what waits long for a receipt, then the newest: of a backlog the oldest are needed next."""
        if now_ms >= self._swept_ms + SWEEP_MS:
            self._swept_ms, stale = now_ms, now_ms - STALE_MS
            for row in [row for row in self.rows.values() if row.state in _WITH_CARRIER and row.changed_ms < stale]:
                del self.rows[row.id]
            for key in [key for key, found in self.submissions.items() if found[0] not in self.rows]:
                del self.submissions[key]
        while len(self.rows) > self.capacity:
            self.rows.popitem()


_WITH_CARRIER = frozenset({State.SUBMITTED, State.UNKNOWN})
