"""The sandbox SMSC without sockets: accounts, the profile in force, and what is to happen later.

In: sessions' submits and the time. Out: answers and receipts on sessions, counts, the handset's view. Never: I/O;
clocks are handed in (`monotonic` for delays, `wall` for dates).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from random import random
from typing import Any

from gateway.embedded.sandbox import reports, wire
from gateway.embedded.sandbox.account import Account
from gateway.embedded.sandbox.agenda import Agenda
from gateway.embedded.sandbox.handset import Handset, Kept
from gateway.embedded.sandbox.magic_tries import Tries
from gateway.embedded.sandbox.peer import Peer
from gateway.embedded.sandbox.profile import Choice, Profile, make_profile
from gateway.embedded.sandbox.taken import Taken
from gateway.embedded.sandbox.tally import Tally

ANSWER_TICK_S = 0.00025
RECEIPT_TICK_S = 0.010
REMEMBERED = 250_000
"""Distinct messages among which doubled ones are found; more when nothing else is kept."""
WATCHED = 20_000
"""Submits kept of those that the profile watches, when nothing else is kept."""
EARLY_S, EARLIEST_S = 0.0005, 0.002
"""An answer may leave this early, at first and at the most: timers of the loop count whole milliseconds, and a process
that has just been woken is late. What was late is made up for, so that the mean delay is the one that was asked for."""
_CORRECTED = 0.05


class Smsc:
    """Everything that sessions share."""

    def __init__(
        self,
        passwords: Mapping[str, str],
        profile: Profile | None = None,
        *,
        keep: int = 20_000,
        note: Callable[[Kept], None] | None = None,
        waiting_limit: int = 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        random: Callable[[], float] = random,
    ) -> None:
        """`note` is told of every part that is taken, whatever is kept, before its answer leaves."""
        self.tally = Tally(REMEMBERED if keep else 8 * REMEMBERED)
        self.handset = Handset(keep or WATCHED, note)
        self.keeps = keep > 0 or note is not None
        self.monotonic = monotonic
        self.wall = wall
        self.random = random
        self.accounts = {i: Account(i, p, self.tally, waiting_limit) for i, p in passwords.items()}
        self.tries = Tries()
        self.taken = Taken()
        self.sessions: set[Peer] = set()
        self.dirty: dict[Peer, None] = {}
        self.answers: Agenda[tuple[Peer, bytes, int, float, float]] = Agenda(ANSWER_TICK_S)  # …, arrived, due
        self._early_s, self._usual = EARLY_S, 1.0
        self.receipts: Agenda[tuple[Account, Peer | None, list[bytes]]] = Agenda(RECEIPT_TICK_S)  # None: again
        self.events: Agenda[tuple[Profile, Callable[[], None]]] = Agenda(RECEIPT_TICK_S)
        self.away_until = 0.0
        """Nobody can connect before this time, by `monotonic`."""
        self._templates: dict[tuple[str, str, int, int], tuple[bytes, int]] = {}
        self._next_id = int(wall() * 1000) << 20  # 19 digits until the year 2248; never one of an earlier run
        self.profile = profile or Profile()
        self.choice = Choice(self.profile)
        self.handset.alphabet = self.profile.submits.alphabet

    def change(self, values: Mapping[str, Any], anew: bool) -> Profile:
        """Put another profile in force: these fields on top of the present one, or of the defaults when `anew`.
        Raises ProfileError and changes nothing."""
        profile = make_profile(values, None if anew else self.profile)
        self.use(profile)
        return profile

    def use(self, profile: Profile) -> None:
        """Put this profile in force. What the one before had in mind for connections is forgotten."""
        self.choice, self.profile = Choice(profile), profile
        self.handset.alphabet = profile.submits.alphabet
        self.away_until = 0.0
        for peer in self.sessions:
            if peer.account is not None:
                peer.begin()

    def later(self, delay_s: float, do: Callable[[], None]) -> None:
        """Do something after a while, unless another profile is in force by then."""
        self.events.put(self.monotonic() + delay_s, (self.profile, do))

    @property
    def is_away(self) -> bool:
        """Whether nobody can connect now."""
        return self.monotonic() < self.away_until

    def take_ids(self, count: int) -> int:
        """The first of `count` message ids in a row that were never given."""
        first = self._next_id
        self._next_id += count
        return first

    def template(self, stat: str, err: str, wall: float, done: float) -> tuple[bytes, int]:
        """For receipts of messages that came at `wall` and ended at `done` in the same way."""
        key = (stat, err, int(wall / 60), int(done / 60))
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) > 100:
                self._templates.clear()
            template = self._templates[key] = wire.receipt_template(stat, err, wall, done)
        return template

    def receipt(self, submit: wire.Submit, number: int, stat: str, err: str, wall: float, done: float) -> bytes:
        """The body of a receipt as the profile has it, for a submit that got id `number` at `wall`."""
        choice = self.choice
        if choice.is_plain:
            return wire.receipt(self.template(stat, err, wall, done), submit, b"%d" % number)
        return reports.body(choice.receipt, self.profile.ids, submit, number, stat, err, wall, done)

    def answer_later(self, arrived: float, delay_s: float, peer: Peer, answers: bytes, count: int) -> None:
        """Send the answers of `count` submits that arrived then, `delay_s` later."""
        due = arrived + delay_s
        self.answers.put(due, (peer, answers, count, arrived, due))

    def send_later(self, due: float, account: Account, session: Peer | None, bodies: list[bytes]) -> None:
        """Deliver receipts at `due`, never earlier; on `session` if it lives. None: they were sent before."""
        self.receipts.put(due + RECEIPT_TICK_S, (account, session, bodies))

    def next_due(self) -> float | None:
        """When `tick` has something to do, by `monotonic`."""
        known = (self.answers.next_due(), self.receipts.next_due(), self.events.next_due())
        return min((due for due in known if due is not None), default=None)

    def tick(self) -> None:
        """Do what is due."""
        now = self.monotonic()
        for session, answers, count, arrived, due in self.answers.take(now + self._early_s):
            self.tally.counts.delayed_answers += count
            self.tally.counts.delayed_s += count * (now - arrived)
            late_s = min(now - due, EARLIEST_S)
            self._usual += (count - self._usual) * _CORRECTED
            weight = min(count / self._usual, 4.0)  # the mean is one of answers, not of writes
            self._early_s = min(max(0.0, self._early_s + late_s * weight * _CORRECTED), EARLIEST_S)
            session.answer(answers, count)
        for account, preferred, bodies in self.receipts.take(now):
            if preferred is not None:
                account.deliver(bodies, preferred)
            else:
                account.give_back(bodies)
                account.pump()
        for profile, do in self.events.take(now):
            if profile is self.profile:
                do()

    def flush(self) -> None:
        """Write what sessions have to send, one write each."""
        dirty, self.dirty = self.dirty, {}
        for session in dirty:
            session.flush()

    def report(self) -> dict[str, Any]:
        """Counts, and what is open now."""
        return self.tally.report() | {
            "connections_now": len(self.sessions),
            "binds_now": sum(s.account is not None for s in self.sessions),
            "receipts_scheduled": sum(len(bodies) for _, _, bodies in self.receipts),
            "receipts_waiting": sum(a.waiting for a in self.accounts.values()),
            "receipts_unacked": sum(s.unacknowledged for s in self.sessions),
            "at": self.wall(),
        }
