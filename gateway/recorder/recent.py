"""Rows and carriers' ids that this recorder wrote a moment ago, so that most receipts need no look into PostgreSQL.

Every update names the row's rev, so a row that another writer changed meanwhile is found out: then all of this is
forgotten and read anew. Bounded; only what is committed stands here.
"""

from __future__ import annotations

from gateway.ledger.fold import CarrierId, Fold
from gateway.ledger.rows import Matched, Row
from gateway.message import FINAL

CAPACITY = 60_000
"""Messages; about 1 KB each."""


class Recent:
    """The newest open rows by id, and submissions by the carrier's id."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.rows: dict[bytes, Row] = {}
        self.submissions: dict[CarrierId, Matched] = {}

    def keep(self, fold: Fold) -> None:
        """What this fold wrote is committed."""
        rows = self.rows
        for row in fold.changes.rows:
            row.rev += 1
            row.message = None
            row.touched = row.moved = False
            if row.state in FINAL:
                rows.pop(row.id, None)
            else:
                rows[row.id] = row
        for key, found in fold.fresh.items():
            if found[0] in rows:
                self.submissions[key] = found
        self._shrink()

    def forget(self) -> None:
        """After a rollback, or when another writer was at the rows."""
        self.rows.clear()
        self.submissions.clear()

    def _shrink(self) -> None:
        for message_id in list(self.rows)[: max(0, len(self.rows) - self.capacity)]:
            del self.rows[message_id]
        for key in list(self.submissions)[: max(0, len(self.submissions) - self.capacity)]:
            del self.submissions[key]
