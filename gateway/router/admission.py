"""What the router does with a message that may not go to its recipient now. Pure.

In: a message, and why it is barred. Out: the fact that ends it or puts it off until the hours begin, or None: it goes
on, because a carrier has a part of it already.
"""

from __future__ import annotations

from gateway.events import Ended, Parked
from gateway.message import Journey, Message, State
from gateway.plan.admission import LISTS, Barred
from gateway.plan.windows import due_ms
from gateway.provider import Reason


def held_back(message_id: bytes, message: Message, journey: Journey | None, barred: Barred) -> Ended | Parked | None:
    """What could only be sent after its validity ends at once: whoever waits for it hears so in time."""
    attempt = journey.attempt if journey else 0
    if barred.reason == Reason.STOPPED:
        return Ended(message_id, State.FAILED, Reason.STOPPED, attempt, LISTS[barred.by])
    if journey is not None and journey.pinned:
        return None
    deadline_ms = message.deadline_ms(message_id)
    if barred.opens_ms >= deadline_ms:
        return Ended(message_id, State.EXPIRED, Reason.WINDOW_HOURS, attempt)
    due = due_ms(barred.opens_ms, message_id, min(barred.closes_ms, deadline_ms))
    return Parked(message_id, attempt, Reason.WINDOW_HOURS, due)
