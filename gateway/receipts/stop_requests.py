"""STOP and START: a subscriber's own wish to be sent nothing more, or to be sent to again.

In: a whole message of a subscriber and whose it is, in the transaction that settles it, so that each counts once. Out:
an entry of a stop list, or less of one. Never: an entry that somebody else put there taken away.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import asyncpg

from gateway import metrics
from gateway.plan.document import StopWords
from gateway.plan.stop_words import plain, wish_of
from gateway.stops.classes import mask_of
from gateway.store import stops
from gateway.store.stops import Listed

_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")


class StopRequests:
    """The requests of one transaction: `heed` each message, then `committed`, which tells that the lists changed."""

    def __init__(self, words: StopWords, changed: Callable[[], None] = lambda: None) -> None:
        self._words, self._changed = words, changed
        self._wishes: list[str] = []
        self._any = False

    def stops(self, text: str) -> bool:
        """Whether a text asks for nothing more."""
        return wish_of(text, self._words) == "stop"

    async def heed(
        self, connection: asyncpg.Connection, key: bytes, number: str, client: str, carrier: str, text: str
    ) -> None:
        """A message of `number` to `client`; empty: it is not known to whom, so a STOP holds for everybody."""
        wish = wish_of(text, self._words)
        if not wish or not _NUMBER.fullmatch(number):
            return
        self._wishes.append(wish)
        who = f"carrier {carrier}"
        if wish == "stop":
            listed = Listed(client, mask_of(self._words.classes), "inbound", who, plain(text))
            made = await stops.add_within(connection, key, (number,), listed)
            self._any |= bool(made.fresh or made.changed)
            return
        for whose in {client, ""}:
            gone = await stops.remove_within(connection, key, (number,), whose, who=who, sources=("inbound",))
            self._any |= bool(gone)

    def committed(self) -> None:
        """The transaction stands."""
        for wish in self._wishes:
            metrics.stop_requests.labels(wish).inc()
        if self._any:
            self._changed()
