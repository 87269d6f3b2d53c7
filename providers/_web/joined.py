"""Carriers that take a text whole and cut it themselves, but have an id and a receipt for every part.

In: submissions, part by part. Out: one request for all parts of a message, and an outcome for each of them. Never: a
part alone while the others may still come; what was accepted in part is not sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from gateway.provider import (
    Balance,
    Callback,
    CallbackRequest,
    Kind,
    Link,
    Outcome,
    Reason,
    Receipt,
    Reports,
    Sent,
    Submission,
    deferred,
    refused,
)
from providers._web.carrier import WebCarrier
from providers._web.opening import CallingCarrier

Key = tuple[bytes, int]


class Parted(Outcome, frozen=True):
    """What a carrier said to each part of a message."""

    parts: tuple[Outcome, ...] = ()


def parted(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome for a message out of those of its parts. A message that was taken in part is not to be sent again:
    what was not taken of it is refused, even if the carrier would take it later."""
    if len(outcomes) == 1:
        return outcomes[0]
    first = next((o for o in outcomes if o.kind is Kind.ACCEPTED), None)
    if first is None:
        return max(outcomes, key=lambda o: o.kind)
    final = [refused(Reason.CARRIER_ERROR, o.code) if o.kind is Kind.DEFERRED else o for o in outcomes]
    return Parted(first.kind, first.carrier_message_id, parts=tuple(final))


class JoinedCarrier:
    """A provider around a web carrier that takes texts whole. `build` makes that one, with the reports that it gets.
    `gather_s`: how long a part waits for the others; a part alone is what is left of a message that went in part."""

    whole = False

    def __init__(self, reports: Reports, gather_s: float, build: Callable[[Reports], WebCarrier]) -> None:
        self._reports, self._gather_s = reports, gather_s
        self._inner = build(replace(reports, on_outcomes=self._settled))
        self._waiting: dict[Key, dict[int, Submission]] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self.can_query, self.can_cancel = self._inner.can_query, self._inner.can_cancel

    def __repr__(self) -> str:
        return repr(self._inner)

    def split(self, text: str, encoding: str) -> Sequence[str]:
        """The parts' texts, as a phone counts them."""
        return self._inner.split(text, encoding)

    async def start(self) -> None:
        """Begin to connect."""
        await self._inner.start()

    @property
    def room(self) -> int:
        """Parts that wait for others take up none, so that the others can come."""
        return self._inner.room

    @property
    def live(self) -> bool:
        """Whether the carrier is there."""
        return self._inner.live

    @property
    def balance(self) -> Balance | None:
        """What the account has left, as last read."""
        return self._inner.balance

    def links(self) -> Sequence[Link]:
        """One link, however many connections."""
        return self._inner.links()

    def on_room(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever room grew."""
        self._inner.on_room(wake)

    async def query(self, sent: Sent) -> Receipt | None:
        """What became of it; None: the carrier did not say."""
        return await self._inner.query(sent)

    async def cancel(self, sent: Sent) -> Outcome:
        """As the carrier inside."""
        return await self._inner.cancel(sent)

    def submit(self, batch: Sequence[Submission]) -> None:
        """Send each message once all of its parts are here."""
        ready = []
        for s in batch:
            if s.parts < 2 or not s.part:
                ready.append(_joined([s]))
                continue
            key = (s.message_id, s.attempt)
            parts = self._waiting.setdefault(key, {})
            parts[s.part] = s
            if timer := self._timers.pop(key, None):
                timer.cancel()
            if len(parts) == s.parts:
                ready.append(_joined(self._take(key)))
            else:
                self._timers[key] = asyncio.get_running_loop().call_later(self._gather_s, self._give_up, key)
        if ready:
            self._inner.submit(ready)

    async def close(self, timeout_s: float) -> None:
        """What still waits for its other parts comes back; then as the carrier inside."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        waiting = [s for key in list(self._waiting) for s in self._take(key)]
        if waiting:
            self._reports.on_outcomes([(s, deferred(Reason.NOT_BOUND)) for s in waiting])
        await self._inner.close(timeout_s)

    def _take(self, key: Key) -> list[Submission]:
        parts = self._waiting.pop(key)
        return [parts[number] for number in sorted(parts)]

    def _give_up(self, key: Key) -> None:
        """The other parts do not come: they went before."""
        del self._timers[key]
        self._inner.submit([_joined(self._take(key))])

    def _settled(self, batch: Sequence[tuple[Submission, Outcome]]) -> None:
        said = []
        for s, outcome in batch:
            for index, part in enumerate(s.origin):
                part.sent_ms, part.bind = s.sent_ms, s.bind
                said.append((part, _of_part(outcome, index)))
        self._reports.on_outcomes(said)


class JoinedCallingCarrier(JoinedCarrier):
    """One that reports by webhook."""

    def parse_callback(self, request: CallbackRequest) -> Callback:
        """What a webhook request of this carrier means."""
        assert isinstance(self._inner, CallingCarrier)
        return self._inner.parse_callback(request)


def _joined(parts: list[Submission]) -> Submission:
    text = "".join([s.text for s in parts])
    return msgspec.structs.replace(parts[0], part=0, text=text, origin=parts)


def _of_part(outcome: Outcome, index: int) -> Outcome:
    """A carrier may cut in another way than we do: parts beyond its last have none of its ids."""
    if not isinstance(outcome, Parted):
        return outcome if index == 0 or outcome.kind is not Kind.ACCEPTED else Outcome(Kind.ACCEPTED)
    return outcome.parts[index] if index < len(outcome.parts) else Outcome(Kind.ACCEPTED)
