"""query_sm and cancel_sm: what became of the messages that were taken lately, and what of them can be taken back.

In: messages as they are taken, and bodies of requests. Out: bodies of answers. Memory is bounded: of the oldest nobody
can ask any more.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec

from gateway.embedded.sandbox.forms import STATES

QUERY_FAILED, CANCEL_FAILED = 0x67, 0x11  # SMPP 3.4, 5.1.3
LIMIT: Final = 100_000


class Known(msgspec.Struct):
    """A message that was taken. Times are seconds since the epoch; `pending` are lists of receipts that wait."""

    stat: str
    err: str
    done_at: float
    pending: list[list[bytes]] = []


class Taken:
    """Messages by the id that their answer had."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}

    def note(self, message_id: bytes, known: Known) -> None:
        """A message was taken."""
        self._known[message_id] = known
        if len(self._known) > LIMIT:
            del self._known[next(iter(self._known))]

    def query(self, body: bytes, now: float) -> tuple[int, bytes]:
        """Status and body of query_sm_resp (4.8.2): | message_id Z | final_date Z | message_state | error_code |."""
        name = body.partition(b"\0")[0]
        known = self._known.get(name)
        if known is None:
            return QUERY_FAILED, b""
        if now < known.done_at:
            return 0, name + b"\0\0" + bytes((STATES["ENROUTE"], 0))
        date = time.strftime("%y%m%d%H%M%S000+", time.gmtime(known.done_at)).encode() + b"\0"
        code = int(known.err) & 0xFF if known.err.isdigit() else 0
        return 0, name + b"\0" + date + bytes((STATES.get(known.stat, STATES["UNKNOWN"]), code))

    def cancel(self, body: bytes, now: float) -> int:
        """Status of cancel_sm_resp (4.9.2). What is not delivered yet never will be: its receipts are thrown away."""
        name = body.partition(b"\0")[2].partition(b"\0")[0]  # after service_type
        known = self._known.get(name)
        if known is None or now >= known.done_at:
            return CANCEL_FAILED
        for bodies in known.pending:
            bodies.clear()
        known.stat, known.done_at = "DELETED", now
        return 0
