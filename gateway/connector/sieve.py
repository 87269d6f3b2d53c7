"""Which entries of a lane may go now: the plan's limits and paused tags, at one carrier.

In: entries in the order of their stream. Out: which go, which are held back for a moment, and which are parked until
their place in a limit comes. Nobody waits behind one that has to. Never: a call per entry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

import msgspec

from gateway.events import Parked
from gateway.message import Journey, Message, UnknownVersionError, pack_journey, unpack_journey
from gateway.plan.choice import Compiled
from gateway.plan.limits import CAPS, EACH, Crowd, Limits
from gateway.provider import Reason, Submission
from gateway.streams.allowances import Allowance, Allowances
from gateway.streams.pauses import Pauses
from gateway.streams.reader import Queued
from gateway.streams.seats import Seat, Seats, SharedSeat

HOLD_MS: Final = 4_000
"""Whose place comes sooner is held here; others are parked."""

LEAD_MS: Final = 2_500
"""So much before its place a parked one is due: it has to come back through the router."""

_BOUNCE_MS: Final = 1_000  # and so soon, where another carrier may have room for it
_SOON_MS: Final = 200
_FEW_HELD, _LEAST_HELD = 20, 200
_KEPT: Final = 10_000
_ENDLESS: Final = 1 << 60
_LOOK, _LOOK_MS = 500, 5  # entries looked ahead at, and how often
_SECOND_MS: Final = 1_000


Blocker = Allowance | Seat
"""What a message counts in."""


class Parking(msgspec.Struct, gc=False):
    """An entry that leaves for later. `journey` empty: it is routed as if it came for the first time."""

    entry: Queued
    due_ms: int
    journey: bytes
    fact: Parked
    words: str
    tag: str = ""
    """That is paused."""


class _Launched(msgspec.Struct, gc=False):
    """A message that counts in limits a second, its parts that are not written yet, and when the second ends that they
    were taken in."""

    brief: tuple[Allowance, ...]
    waiting: int
    ends_ms: int


class _Known(msgspec.Struct, gc=False):
    """What a journey's bytes say."""

    journey: Journey
    operator: str
    place: int
    sender: str


_STALL: Final = Parking(Queued(b"", b"", b""), 0, b"", Parked(b"", 0, "", 0), "")
"""Nothing can be said before Redis answers: the lane waits a moment."""

Held = dict[Blocker, deque[Queued]]

Brief = tuple[Allowance, ...]
"""Limits a second."""

Writing = dict[Brief, list[int]]
"""Parts by the limits that they count in: all, and those that were launched."""


class Sieve:
    """One carrier's. `begins` before each look at lanes; then `judge` an entry: None, and it goes and is counted."""

    def __init__(
        self,
        carrier: str,
        allowances: Allowances,
        seats: Seats,
        plan: Callable[[], Compiled | None],
        pauses: Pauses,
        clock_ms: Callable[[], int],
    ) -> None:
        self.carrier, self._allowances, self._seats = carrier, allowances, seats
        self._plan, self._pauses, self._clock_ms = plan, pauses, clock_ms
        self._seen: Compiled | None = None
        self._limits: Limits | None = None
        self._known: dict[tuple[str, str, str, str, str, bool], tuple[tuple[Blocker, ...], Brief]] = {}
        self._journeys: dict[bytes, _Known] = {}
        self._seated: dict[bytes, tuple[Seat, ...]] = {}
        self._launched: dict[bytes, _Launched] = {}
        self._ends_ms = 0  # when this second does
        self._bounce_ms = 0.0
        self._looked_ms = 0
        self._like: tuple[bytes, str, str, bool] | None = None  # what the entry before was like
        self._alike: tuple[Blocker, ...] = ()  # what such an entry counts in
        self._brief: Brief = ()
        self._credit = self._owed = 0  # parts that there is room for in all of them; parts taken and not counted yet
        self.now_ms = 0

    def begins(self) -> bool:
        """Whether anything has to be sifted now."""
        plan = self._plan()
        if plan is not self._seen:
            limits = Limits(plan.plan) if plan is not None else None
            self._limits = limits if limits is not None and limits.concern(self.carrier) else None
            self._seen = plan
            self._known.clear()
        self.now_ms = self._clock_ms()
        self._ends_ms = self.now_ms - self.now_ms % _SECOND_MS + _SECOND_MS
        return self._limits is not None or bool(self._pauses.tags)

    @property
    def pauses_any(self) -> bool:
        """Whether any class or client is paused."""
        return bool(self._pauses.classes or self._pauses.clients)

    def is_paused(self, klass: str, client: str) -> bool:
        """Whether nothing of a lane is sent now."""
        return klass in self._pauses.classes or client in self._pauses.clients

    def begin_lane(self) -> None:
        """Entries of one lane and stream follow. Those that count in the same are counted together at the end."""
        self._alike, self._brief, self._credit, self._owed = (), (), 0, 0
        self._like = None

    def end_lane(self) -> None:
        """Count them."""
        if self._owed:
            for blocker in self._alike:
                blocker.spend(self._owed, self.now_ms)
            for allowance in self._brief:
                allowance.launch(self._owed)
            self._owed = 0

    def judge(self, entry: Queued, held: Held) -> Parking | Blocker | None:
        """None: it goes, and is counted. A blocker: hold it until that has room. A Parking: put it off."""
        try:
            message = entry.message
            like = entry.journey, message.sender, message.tag, message.test
            if like == self._like and message.parts <= self._credit:
                self._credit -= message.parts
                self._owed += message.parts
                if self._brief:
                    self._launched[entry.message_id] = _Launched(self._brief, message.parts, self._ends_ms)
                return None
            known = self._journey(entry.journey)
        except (UnknownVersionError, msgspec.DecodeError):
            return None  # whoever sends it tells what is wrong
        self.end_lane()
        if message.tag in self._pauses.tags:
            return self._until_resumed(entry, message, known.journey)
        blockers, brief = self._blockers(message, known)
        parts, now = len(known.journey.owed) or message.parts, self.now_ms
        for blocker in blockers:
            has_turn = known.place == blocker.mark or not blocker.is_behind(now)
            if blocker in held or not has_turn or not blocker.fits(parts, now):
                self._like = None
                return self._blocked(entry, message, known, blocker, parts, held)
        for blocker in blockers:
            blocker.spend(parts, now)
        self._launch(entry.message_id, brief, parts)
        if self._limits is None or not self._limits.crowds:
            self._brief = brief
            self._alike, self._like = blockers, None if known.journey.owed else like
            self._credit = min([blocker.room(now) for blocker in blockers], default=_ENDLESS)
        elif blockers:
            self._sit(entry.message_id, blockers)
        return None

    def again(self, entry: Queued) -> Blocker | None:
        """The same for one that was held: who still has no room for it."""
        message, known = entry.message, self._journey(entry.journey)
        blockers, brief = self._blockers(message, known)
        parts, now = len(known.journey.owed) or message.parts, self.now_ms
        for blocker in blockers:
            if not blocker.fits(parts, now):
                blocker.need(parts)
                return blocker
        for blocker in blockers:
            blocker.spend(parts, now)
        self._launch(entry.message_id, brief, parts)
        self._sit(entry.message_id, blockers)
        return None

    def is_hopeless(self, blocker: Blocker) -> bool:
        """Whether who is held back for it would wait long: its period has nothing left."""
        return not blocker.is_brief and blocker.is_dry(self.now_ms)

    def dismiss(self, entry: Queued, blocker: Blocker) -> Parking:
        """Park one that was held back, and has to wait longer than that."""
        message, known = entry.message, self._journey(entry.journey)
        parts = len(known.journey.owed) or message.parts
        return self._to_its_place(entry, message, known, blocker, parts)

    def refund(self, entry: Queued, parts: int = 0) -> None:
        """It was counted and is not sent, or only `parts` of it were not."""
        try:
            message, known = entry.message, self._journey(entry.journey)
        except (UnknownVersionError, msgspec.DecodeError):
            return
        parts = parts or len(known.journey.owed) or message.parts
        for blocker in self._blockers(message, known)[0]:
            if isinstance(blocker, Allowance):
                blocker.refund(parts, self.now_ms)
        self.left(entry.message_id)

    @property
    def is_watching(self) -> bool:
        """Whether it wants to hear of `left`, of any message."""
        return bool(self._seated or self._launched)

    def late(self, batch: Sequence[Submission]) -> list[Submission]:
        """Which must not go now: they were taken in a second that is over, and this one has no room for them."""
        if not self._launched:
            return []
        now, found = self._clock_ms(), list[Submission]()
        for submission in batch:
            known = self._launched.get(submission.message_id)
            if known is None or known.ends_ms > now:
                continue
            if any(allowance.is_owing(now) for allowance in known.brief):
                found.append(submission)
        return found

    def writing(self, batch: Sequence[Submission]) -> Writing:
        """These are about to be written; tell when they are, because that may take its time."""
        written: Writing = {}
        if not self._launched:
            return written
        for submission in batch:
            known = self._launched.get(submission.message_id)
            if known is None:
                continue
            parts = submission.parts if submission.part == 0 else 1
            covered = min(parts, known.waiting)
            count = written.setdefault(known.brief, [0, 0])
            count[0] += parts
            count[1] += covered
            known.waiting -= covered
        return written

    def wrote(self, written: Writing) -> None:
        """They are."""
        for brief, (parts, launched) in written.items():
            for allowance in brief:
                self._allowances.wrote(allowance, parts, launched)

    def left(self, message_id: bytes) -> None:
        """A message is not on its way any more."""
        if self._seated:
            for seat in self._seated.pop(message_id, ()):
                seat.refund(1, 0)
        if self._launched and (known := self._launched.pop(message_id, None)) is not None and known.waiting:
            for allowance in known.brief:
                allowance.recall(known.waiting)

    def on_more(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Call when there may be more room; call the result to hear no more."""
        ends = self._allowances.on_more(hear), self._seats.on_more(hear), self._pauses.on_change(hear)

        def end() -> None:
            for one in ends:
                one()

        return end

    def close(self) -> None:
        """Nothing is on its way any more."""
        for message_id in [*self._seated, *self._launched]:
            self.left(message_id)

    def _launch(self, message_id: bytes, brief: Brief, parts: int) -> None:
        if brief:
            self.left(message_id)
            self._launched[message_id] = _Launched(brief, parts, self._ends_ms)
            for allowance in brief:
                allowance.launch(parts)

    def _sit(self, message_id: bytes, blockers: tuple[Blocker, ...]) -> None:
        if self._limits is not None and self._limits.crowds:
            seats = tuple(blocker for blocker in blockers if isinstance(blocker, Seat))
            if seats:
                self._seated[message_id] = seats

    def _journey(self, data: bytes) -> _Known:
        """Many entries have the same bytes."""
        found = self._journeys.get(data)
        if found is None:
            if len(self._journeys) >= _KEPT:
                self._journeys.clear()
            journey = unpack_journey(data)
            found = self._journeys[data] = _Known(journey, journey.operator, journey.place, journey.sender)
        return found

    def _blockers(self, m: Message, journey: _Known) -> tuple[tuple[Blocker, ...], Brief]:
        """What a message counts in, and which of it are limits a second."""
        limits = self._limits
        if limits is None:
            return (), ()
        operator, sender = journey.operator, journey.sender or m.sender
        key = (operator, sender, m.client, m.tag, m.klass, m.test)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            counts = limits.counts(self.carrier, operator, sender, m.client, m.tag, m.klass)
            # What test keys send counts only where a limit is the carrier's own.
            wanted = (count for count in counts if not m.test or count.rule.carrier is not None)
            all_of_them = tuple(self._allowances.of(count) for count in wanted)
            found = self._known[key] = all_of_them, tuple(one for one in all_of_them if one.is_brief)
        if limits.crowds:
            crowds = limits.crowds_of(self.carrier, operator, sender, m.client, m.tag, m.klass)
            return found[0] + tuple([self._seat(crowd, m, sender) for crowd in crowds]), found[1]
        return found

    def _seat(self, crowd: Crowd, m: Message, sender: str) -> Seat:
        stars = ((crowd.sender, sender), (crowd.client, m.client), (crowd.tag, m.tag))
        return self._seats.of(crowd, m.to, [value for asked, value in stars if asked == EACH])

    def look_ahead(self, entries: Iterable[Queued]) -> None:
        """While the lane waits for Redis: what those behind will need there too."""
        limits = self._limits
        if limits is None or not limits.crowds or self.now_ms < self._looked_ms + _LOOK_MS:
            return
        self._looked_ms = self.now_ms
        for entry in islice(entries, _LOOK):
            try:
                message = entry.message
                blockers, _ = self._blockers(message, self._journey(entry.journey))
            except (UnknownVersionError, msgspec.DecodeError):
                continue
            for blocker in blockers:
                if isinstance(blocker, SharedSeat) and not blocker.is_answered(self.now_ms):
                    blocker.need(1)

    def _blocked(
        self, entry: Queued, message: Message, known: _Known, blocker: Blocker, parts: int, held: Held
    ) -> Parking | Blocker:
        now, queue = self.now_ms, held.get(blocker, ())
        least = _FEW_HELD if blocker.is_brief else _LEAST_HELD
        most = max(least, int(2 * blocker.per_s * HOLD_MS / 1000))
        has_place = known.place == blocker.mark
        dry = blocker.is_dry(now)
        if has_place and (blocker.is_brief or not dry):
            if len(queue) < most:
                blocker.need(parts)
                return blocker  # it has waited: its place has come, or nearly
            return self._put_off(entry, message, known.journey, now + LEAD_MS, blocker)
        asked = blocker.is_brief and blocker.is_answered(now)
        if isinstance(blocker, SharedSeat) and not blocker.is_answered(now):
            blocker.need(parts)
            return _STALL
        if not dry and not asked and not blocker.is_behind(now):
            blocker.need(parts)
            return blocker if len(queue) < least else _STALL
        if blocker.is_brief:
            slot = blocker.place(parts, now)
            if slot - now <= HOLD_MS and len(queue) < most:
                blocker.need(parts)
                return blocker
            return self._put_off(entry, message, known.journey, max(slot - LEAD_MS, now + _SOON_MS), blocker)
        return self._to_its_place(entry, message, known, blocker, parts)

    def _to_its_place(self, entry: Queued, message: Message, known: _Known, blocker: Blocker, parts: int) -> Parking:
        """To another period; but first to the router, where another carrier may help."""
        now = self.now_ms
        if self._may_bounce(blocker, known):
            self._bounce_ms = max(self._bounce_ms, now + _BOUNCE_MS) + 0.2
            return self._put_off(entry, message, known.journey, int(self._bounce_ms), blocker)
        return self._put_off(entry, message, known.journey, blocker.place(parts, now), blocker)

    def _may_bounce(self, blocker: Blocker, known: _Known) -> bool:
        """Whether the router should see it at once: another carrier may have room for it. Once only."""
        if not isinstance(blocker, Allowance) or known.journey.pinned or known.place == blocker.mark:
            return False
        rule = blocker.count.rule
        return rule.per in CAPS and rule.carrier is not None

    def _put_off(self, entry: Queued, m: Message, journey: Journey, due_ms: int, blocker: Blocker) -> Parking:
        due_ms = min(due_ms, m.deadline_ms(entry.message_id))
        fact = Parked(entry.message_id, journey.attempt, Reason.LIMIT, due_ms)
        return Parking(entry, due_ms, _returned(journey, blocker.mark), fact, blocker.words)

    def _until_resumed(self, entry: Queued, message: Message, journey: Journey) -> Parking:
        due_ms = message.deadline_ms(entry.message_id)
        fact = Parked(entry.message_id, journey.attempt, Reason.PAUSED, due_ms)
        return Parking(entry, due_ms, _returned(journey, 0), fact, "", message.tag)


def is_stall(verdict: Parking | Blocker | None) -> bool:
    """Whether the lane has to wait for Redis."""
    return verdict is _STALL


def _returned(journey: Journey, mark: int) -> bytes:
    """The journey of one that goes back to the router: this attempt was none, unless the carrier has a part of it."""
    attempt = journey.attempt if journey.pinned else max(journey.attempt - 1, 0)
    return pack_journey(msgspec.structs.replace(journey, attempt=attempt, place=mark))
