"""Names that facts carry get their keys in the dimension tables of schema `bi`, before the facts are committed.

In: what a fold found. Out: rows in PostgreSQL, in transactions of their own, as with partitions: no lock is held while
the ledger is written. Never: a statement for a name that is known to be there.
"""

from __future__ import annotations

from typing import Final

from gateway.ledger.rows import Changes
from gateway.store.pool import Pool

DIMENSIONS: Final = ("carrier", "operator", "client", "sender", "tag")
"""Each is a column of the facts and of its table."""

_REMEMBERED: Final = 100_000


class Dimensions:
    """The names that are known to have keys. Bounded: when it is full it begins anew."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known: dict[str, set[str]] = {name: {""} for name in DIMENSIONS}

    async def ensure(self, changes: Changes) -> None:
        """Return when every name in these changes has its key."""
        for name, values in _names_of(changes).items():
            if missing := values - self._known[name]:
                await self._pool.execute(
                    f"insert into bi.{name}s ({name}) select * from unnest($1::text[]) on conflict do nothing",
                    sorted(missing),
                )
                if len(self._known[name]) > _REMEMBERED:
                    self._known[name] = {""}
                self._known[name] |= missing


def _names_of(changes: Changes) -> dict[str, set[str]]:
    fresh, changed = changes.fresh, changes.changed
    routed = {(row.carrier, row.operator) for row in fresh} | {(row.carrier, row.operator) for row in changed}
    tried = {(f.carrier, f.operator, f.sender) for _, f in changes.submissions}
    tried |= {(f.carrier, f.operator, f.sender) for _, f in changes.repeated}
    asked = {(row.client, row.sender, row.tag) for row in fresh}
    return {
        "carrier": {one[0] for one in routed} | {one[0] for one in tried},
        "operator": {one[1] for one in routed} | {one[1] for one in tried},
        "client": {one[0] for one in asked},
        "sender": {one[1] for one in asked} | {one[2] for one in tried},
        "tag": {one[2] for one in asked},
    }
