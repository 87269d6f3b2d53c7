"""What a connector shows in /metrics beside its counters: links by state, what is in flight, time to the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from gateway import metrics
from gateway.connector.flight import Flight
from gateway.message import RESEND_CLASSES, id_time_ms
from gateway.provider import Link, Submission

STATES: Final = ("connecting", "binding", "bound", "unbinding", "closed", "refused")


def show_links(carrier: str, links: Sequence[Link]) -> None:
    """The carrier's links as they are now; without links all states are 0."""
    found = Counter(link.state for link in links)
    for state in STATES:
        metrics.binds.labels(carrier, state).set(found[state])
    metrics.in_flight.labels(carrier).set(sum(link.in_flight for link in links))


def observe_to_wire(batch: Sequence[Submission], now_ms: int) -> None:
    """How long messages took to the wire at their first attempt: each urgent one, of a bulk class the first in line."""
    seen: set[str] = set()
    for submission in batch:
        if submission.attempt > 1 or submission.part > 1 or submission.klass in seen:
            continue
        if submission.klass not in RESEND_CLASSES:
            seen.add(submission.klass)
        flight: Flight = submission.origin
        asked_ms = max(id_time_ms(submission.message_id), flight.message.send_at_ms)
        metrics.to_wire.labels(submission.klass).observe(max(0, now_ms - asked_ms) / 1000)
