"""The breakers of one carrier, its own and one for each operator behind it. A breaker opens after many failures, lets a
few messages try after a pause, closes on success.

In: outcomes and times. Out: how many messages may be on their way, and which operators are set aside. They live in the
carrier's only connector, whose status report tells all routers. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from gateway.provider import Outcome, Reason, Submission

FAILURES: Final = frozenset(
    {
        Reason.TEMPORARY,
        Reason.NO_ANSWER,
        Reason.DISCONNECTED,
        Reason.UNCERTAIN,
        Reason.UNAUTHORIZED,
        Reason.NO_CREDIT,
        Reason.CARRIER_ERROR,
    }
)
"""What speaks against the carrier and not against the message. Who asks us to slow down is well, and who has no bind is
known to have none."""

_SILENT: Final = frozenset({Reason.THROTTLED, Reason.QUEUE_FULL, Reason.NOT_BOUND})

RUN, MANY, SPAN_MS = 10, 200, 1_000
"""It opens after so many failures without a success between them, when they last so long, or at once after many."""

PAUSE_MS, LONGEST_MS = 2_000, 60_000
"""The first pause; each failed trial doubles it."""

TRIALS, ENOUGH = 5, 3
"""Messages that may be on their way while it is half open, and successes that close it."""

FEW, SHARE, HALF_MS = 20, 0.8, 10_000
"""An operator is set aside when at least so many failed of what went there lately, and such a share of it; what was so
long ago counts half."""

_UNBOUNDED: Final = 1 << 30

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Life: `heard` with what comes back, `state` and `room` at any time. Times are ms."""

    def __init__(self) -> None:
        self._state: State = "closed"
        self._run = self._succeeded = 0
        self._first_ms = self._until_ms = 0
        self._pause_ms = PAUSE_MS
        self.since_ms = 0
        """When it came into its state; 0: it was never open."""
        self.failing_since_ms = 0
        """When it opened after it had been closed; 0 while it is closed."""
        self.why = ""
        """The last reason to open it."""
        self.opened = 0
        """How often it opened."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing is wrong."""
        return self._state == "closed"

    def state(self, now_ms: int) -> State:
        """As it is now."""
        if self._state == "open" and now_ms >= self._until_ms:
            self._turn("half_open", now_ms)
            self._succeeded = 0
        return self._state

    def room(self, now_ms: int, under_way: int) -> int:
        """How many more may be sent, while so many are on their way."""
        state = self.state(now_ms)
        if state == "closed":
            return _UNBOUNDED
        return max(TRIALS - under_way, 0) if state == "half_open" else 0

    def heard(self, batch: Sequence[tuple[Submission, Outcome]], now_ms: int, all_well: bool = False) -> None:
        """Outcomes in their order. What was sent before a trial began says nothing about it. `all_well`: all of them
        are known to be accepted."""
        state = self.state(now_ms)
        if state == "open":
            return
        if state == "closed" and all_well:
            self._run = self._first_ms = 0
            return
        for submission, outcome in batch:
            if outcome.reason in _SILENT or (state == "half_open" and submission.sent_ms < self.since_ms):
                continue
            if outcome.reason in FAILURES:
                self._fail(outcome.reason or Reason.TEMPORARY, now_ms)
            else:
                self._succeed(now_ms)
            if self._state == "open":
                return

    def _fail(self, why: Reason, now_ms: int) -> None:
        if self._state == "half_open":
            self._pause_ms = min(self._pause_ms * 2, LONGEST_MS)
            self._open(why, now_ms)
            return
        self._run += 1
        self._first_ms = self._first_ms or now_ms
        if self._run >= RUN and (now_ms - self._first_ms >= SPAN_MS or self._run >= MANY):
            self._pause_ms = PAUSE_MS
            self._open(why, now_ms)

    def _succeed(self, now_ms: int) -> None:
        self._run = self._first_ms = 0
        if self._state == "half_open":
            self._succeeded += 1
            if self._succeeded >= ENOUGH:
                self.failing_since_ms = 0
                self._turn("closed", now_ms)

    def _open(self, why: Reason, now_ms: int) -> None:
        self.why, self._until_ms = why.value, now_ms + self._pause_ms
        self._run = self._first_ms = 0
        self.opened += 1
        self.failing_since_ms = self.failing_since_ms or now_ms
        self._turn("open", now_ms)

    def _turn(self, state: State, now_ms: int) -> None:
        self._state, self.since_ms = state, now_ms

    def status(self, now_ms: int) -> dict[str, Any]:
        """For the carrier's status report."""
        state = self.state(now_ms)
        until_ms = self._until_ms if state == "open" else 0
        return {
            "state": state,
            "since_ms": self.since_ms,
            "failing_since_ms": self.failing_since_ms,
            "until_ms": until_ms,
            "why": self.why,
            "opened": self.opened,
        }


class OperatorBreaker(Breaker):
    """The same for one operator behind a carrier that works for others: there are successes between the failures, so
    what counts is their share."""

    def __init__(self) -> None:
        super().__init__()
        self._failed = self._all = 0.0
        self._counted_ms = 0

    def _fade(self, now_ms: int) -> None:
        factor = 0.5 ** (max(now_ms - self._counted_ms, 0) / HALF_MS)
        self._failed, self._all, self._counted_ms = self._failed * factor, self._all * factor, now_ms

    def _fail(self, why: Reason, now_ms: int) -> None:
        if self._state == "half_open":
            super()._fail(why, now_ms)
            return
        self._fade(now_ms)
        if self._failed < 1:
            self._first_ms = now_ms
        self._failed, self._all = self._failed + 1, self._all + 1
        enough = self._failed >= FEW and self._failed >= SHARE * self._all
        if enough and (now_ms - self._first_ms >= SPAN_MS or self._failed >= MANY):
            self._pause_ms = PAUSE_MS
            self._failed = self._all = 0.0
            self._open(why, now_ms)

    def _succeed(self, now_ms: int) -> None:
        if self._state == "half_open":
            super()._succeed(now_ms)
            return
        self._fade(now_ms)
        self._all += 1

    def is_idle(self, now_ms: int) -> bool:
        """Whether there is nothing to remember of it."""
        self._fade(now_ms)
        return self.is_closed and self._failed < 1


class Operators:
    """A carrier's breakers by operator; where nothing fails there is none."""

    def __init__(self) -> None:
        self._known: dict[str, OperatorBreaker] = {}

    def heard(self, batch: Sequence[tuple[Submission, Outcome]], now_ms: int, all_well: bool = False) -> None:
        """Outcomes in their order. `all_well`: all of them are known to be accepted."""
        if all_well and not self._known:
            return
        found: dict[str, list[tuple[Submission, Outcome]]] = {}
        for one in batch:
            if operator := one[0].origin.journey.operator:
                found.setdefault(operator, []).append(one)
        for operator, some in found.items():
            breaker = self._known.get(operator)
            if breaker is None:
                if not any(outcome.reason in FAILURES for _, outcome in some):
                    continue
                breaker = self._known[operator] = OperatorBreaker()
            breaker.heard(some, now_ms)

    def forget(self) -> None:
        """The carrier itself fails: its operators are not to blame."""
        self._known.clear()

    def status(self, now_ms: int) -> dict[str, dict[str, Any]]:
        """For the carrier's status report: those that are set aside, or tried again."""
        self._known = {name: breaker for name, breaker in self._known.items() if not breaker.is_idle(now_ms)}
        return {name: breaker.status(now_ms) for name, breaker in self._known.items() if not breaker.is_closed}
