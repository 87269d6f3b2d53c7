"""Whether a message may go to its recipient at all: stop lists and sending hours, asked when it is accepted.

In: a message whose fields are right. Out: a fault, or nothing. A message that will only have to wait is no fault.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from gateway import metrics
from gateway.api.problems import Code, Fault
from gateway.message import Message
from gateway.plan.admission import Admission, Which, nobody
from gateway.plan.choice import Compiled
from gateway.plan.windows import NEVER
from gateway.provider import Reason

_WHOSE: Final = {"global": "a stop list that holds for everybody", "client": "your stop list"}
_MARGIN_S: Final = 60


class Recipients:
    """Asked for every message. `which`: the stop lists of this process; `plan`: the one in use; `stops_any`: whether
    anything is on the lists."""

    def __init__(
        self,
        which: Which = nobody,
        plan: Callable[[], Compiled | None] = lambda: None,
        stops_any: Callable[[], bool] = lambda: True,
    ) -> None:
        self._admission, self._plan = Admission(which, stops_any), plan
        self.barred: Final = Admission(which).barred
        """(plan, message, time) → why it may not go, for whoever explains: under any plan."""

    @property
    def asks(self) -> bool:
        """Whether anybody may be barred now."""
        return self._admission.question(self._plan()) is not None

    def fault(self, m: Message, now_ms: int) -> Fault | None:
        """Why the message cannot be taken; None: it can."""
        plan = self._plan()
        if self._admission.question(plan) is None:
            return None
        begins_ms = max(now_ms, m.send_at_ms)
        barred = self._admission.barred(plan, m, begins_ms)
        if barred is None:
            return None
        if barred.reason == Reason.STOPPED:
            metrics.stopped.labels(barred.by, m.klass).inc()
            return Fault(
                Code.RECIPIENT_STOPPED,
                f"The recipient is on {_WHOSE[barred.by]} for the class {m.klass}: leave him out.",
                "/to",
            )
        if barred.opens_ms < begins_ms + m.validity_s * 1000:
            return None  # it waits
        zones = self._admission.zones(plan, m) if plan is not None else ()
        return Fault(Code.WINDOW_CLOSED, _closed(m.klass, zones, begins_ms, barred.opens_ms), "/validity_s")

    def waits_ms(self, m: Message, now_ms: int) -> int:
        """Until when a message that is taken waits for its hours; 0: it need not."""
        barred = self._admission.barred(self._plan(), m, max(now_ms, m.send_at_ms))
        return barred.opens_ms if barred is not None and barred.reason == Reason.WINDOW_HOURS else 0


def _closed(klass: str, zones: tuple[str, ...], begins_ms: int, opens_ms: int) -> str:
    if opens_ms == NEVER:
        return (
            f"Messages of the class {klass} never go to this recipient: he may be in any of {len(zones)} time zones,"
            " and the plan's hours suit all of them at no moment. An operator can widen the hours."
        )
    at = datetime.fromtimestamp(opens_ms / 1000, ZoneInfo(zones[0]) if zones else UTC).isoformat(timespec="minutes")
    least = -(-(opens_ms - begins_ms) // 1000) + _MARGIN_S
    return (
        f"Messages of the class {klass} go to this recipient from {at} on, and the validity ends before: give at least"
        f" {least} as `validity_s`, or a `send_at` in those hours."
    )
