"""Rows and carriers' ids that this recorder wrote a moment ago, so that most facts need no look into PostgreSQL.

A fold works right on them and is kept here before its transaction is committed: the next fold builds on it meanwhile.
What an uncommitted fold has touched is never let go, so what is missing here is in PostgreSQL as this recorder left it.
After any failure all of it is forgotten and read anew. Every update names the row's rev: a row that another writer
changed meanwhile is found out. Bounded.
"""

from __future__ import annotations

from collections import deque

from gateway.callbacks.audience import NOBODY, Audience
from gateway.ledger.fold import CarrierId, Fold
from gateway.ledger.rows import Matched, Row
from gateway.message import State

CAPACITY = 150_000
"""Messages; about 0.6 KB each."""

STALE_MS = 30_000
"""A receipt that takes longer is worth a look into PostgreSQL."""

SWEEP_MS = 5_000

_WITH_CARRIER = frozenset({State.SUBMITTED, State.UNKNOWN})

_Leaving = tuple[list[bytes], list[CarrierId]]
"""What a fold has brought to its end: it is let go once that is committed."""


class Recent:
    """Open rows by id, and submissions by the carrier's id."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.rows: dict[bytes, Row] = {}
        self.submissions: dict[CarrierId, Matched] = {}
        self._kept = self._committed = 0  # folds
        self._leaving: deque[_Leaving] = deque()
        self._swept_ms = 0

    def fold(self, audience: Audience = NOBODY) -> Fold:
        """One that works upon what is remembered: it is to be kept, or all is to be forgotten."""
        return Fold(self.rows, self.submissions, audience, self._kept + 1)

    def keep(self, fold: Fold) -> None:
        """This fold is encoded; its transaction is still to come, and may fail: then `forget`."""
        self._kept += 1
        for row in fold.changes.fresh:
            row.message = None
        for row in fold.changes.changed:
            row.rev += 1
        self._leaving.append((fold.ended, fold.spent))

    def commit(self, now_ms: int) -> None:
        """The oldest fold that was kept is committed."""
        self._committed += 1
        rows, submissions, committed = self.rows, self.submissions, self._committed
        ended, spent = self._leaving.popleft()
        for one in ended:
            row = rows.pop(one, None)
            if row is not None and row.fold > committed:
                rows[one] = row  # a later fold has changed it, and lets it go
        for key in spent:
            known = submissions.pop(key, None)
            if known is not None and known[0] in rows:
                submissions[key] = known
        if len(rows) > self.capacity or len(submissions) > self.capacity:
            self._shrink(now_ms)

    def forget(self) -> None:
        """After a rollback, or when another writer was at the rows."""
        self.rows.clear()
        self.submissions.clear()
        self._leaving.clear()
        self._committed = self._kept

    @property
    def uncommitted(self) -> int:
        """Folds that were kept and not committed."""
        return self._kept - self._committed

    def _shrink(self, now_ms: int) -> None:
        """First what waits long for a receipt, then the newest: of a backlog the oldest are needed next."""
        if now_ms >= self._swept_ms + SWEEP_MS:
            self._swept_ms, stale = now_ms, now_ms - STALE_MS
            self._let_go(
                [row for row in self._committed_rows() if row.state in _WITH_CARRIER and row.changed_ms < stale]
            )
        if (excess := len(self.rows) - self.capacity) > 0:
            self._let_go(self._committed_rows()[-excess:])

    def _committed_rows(self) -> list[Row]:
        return [row for row in self.rows.values() if row.fold <= self._committed]

    def _let_go(self, gone: list[Row]) -> None:
        for row in gone:
            del self.rows[row.id]
        for key in [key for key, found in self.submissions.items() if found[0] not in self.rows]:
            del self.submissions[key]
