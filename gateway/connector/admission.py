"""What the connector does with a message that may not go to its recipient any more, right before it would be sent.

In: an entry that was marked, and why it is barred. Out: the verdict that ends it, or takes it back to the router, which
puts it off; None: it goes, because the carrier has a part of it already.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway import metrics
from gateway.connector.flight import Flight, Verdict
from gateway.events import Ended
from gateway.message import Message, State, pack_journey
from gateway.plan.admission import LISTS, Barred
from gateway.provider import Reason
from gateway.streams.keys import lane

Barring = Callable[[Message, int], Barred | None]
"""(message, time) → why it may not go to its recipient now; None: it may."""


def admits(message: Message, now_ms: int) -> Barred | None:
    """Everybody may be sent to."""
    return None


def turned_away(flight: Flight, barred: Barred) -> Verdict | None:
    """It waited in the outbox while a list or the hour changed. Nothing of this attempt was sent: it counts as none."""
    m, j = flight.message, flight.journey
    if barred.reason == Reason.STOPPED:
        metrics.stopped.labels(barred.by, m.klass).inc()
        fact = Ended(flight.entry.message_id, State.FAILED, Reason.STOPPED, j.attempt, LISTS[barred.by])
        return Verdict([fact])
    if j.pinned:
        return None
    verdict = Verdict([])
    journey = msgspec.structs.replace(j, attempt=max(j.attempt - 1, 0), throttled=0)
    verdict.op, verdict.where, verdict.journey = "i", lane(m.klass, m.client), pack_journey(journey)
    return verdict
