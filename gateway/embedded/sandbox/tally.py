"""Counts of what the sandbox took and gave, and which messages came twice. Memory is bounded; no text is kept.

In: each submit that was accepted. Out: numbers. Two notions of twice: `doubled` is the same text to the same number
once more (what a person with a phone would notice), `repeated` is the same submission once more (equal echo as well).
"""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct):
    """Since start or the last reset. Times are seconds since the epoch, 0 when it has not happened."""

    submits: int = 0
    answers: int = 0  # accepted ones
    refused: int = 0
    throttled: int = 0  # of the refused
    unanswered: int = 0  # silence on purpose
    delayed_answers: int = 0
    delayed_s: float = 0.0  # the sum of their real delays, from the read to the write
    malformed: int = 0
    receipts_made: int = 0
    receipts_sent: int = 0  # first sendings
    receipts_resent: int = 0
    receipts_acked: int = 0
    receipts_refused: int = 0  # answered with an error; sent again later
    receipts_dropped: int = 0  # the oldest, when too many waited
    inbound_sent: int = 0
    inbound_acked: int = 0
    connections: int = 0
    binds: int = 0
    binds_refused: int = 0
    unbinds: int = 0
    enquire_links: int = 0
    links_ended: int = 0  # by the profile
    garbage_sent: int = 0
    nacks: int = 0  # generic_nack of the peer
    first_submit: float = 0.0
    last_submit: float = 0.0
    last_receipt_acked: float = 0.0


class Seen:
    """Which keys came before. Remembers at least the last `limit` distinct keys and at most twice as many."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: set[int] = set()
        self._old: set[int] = set()
        self.distinct = 0
        self.again = 0

    def add(self, keys: list[int]) -> None:
        """Count keys (hashes) of one read."""
        young, old = self._young, self._old
        before = len(young)
        if old:
            fresh = [key for key in keys if key not in old]
            young.update(fresh)
        else:
            young.update(keys)
        new = len(young) - before
        self.distinct += new
        self.again += len(keys) - new
        if len(young) >= self._limit:
            self._old, self._young = young, set()


class Tally:
    """The counts and the two memories of what came before."""

    def __init__(self, remember: int) -> None:
        self._remember = remember
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.counts = Counts()
        self.messages = Seen(self._remember)
        self.submissions = Seen(self._remember)

    def report(self) -> dict[str, float]:
        """All counts by name, with `distinct`, `doubled` and `repeated`."""
        values: dict[str, float] = msgspec.to_builtins(self.counts)
        return values | {
            "distinct": self.messages.distinct,
            "doubled": self.messages.again,
            "repeated": self.submissions.again,
        }
