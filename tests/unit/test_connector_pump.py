"""What is marked ahead waits beside the carrier: for the window, for Redis, and for the certainty that it is ours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.connector.lanes import Lane, Lanes, Taken
from gateway.connector.pump import Pump, _Round
from gateway.connector.shares import Bucket, Shares
from gateway.message import Journey, Message, pack_journey, pack_message
from gateway.provider import Link, Submission
from gateway.streams.reader import Queued


class Carrier:
    """A provider that takes everything."""

    whole = False

    def __init__(self, in_flight: int, room: int) -> None:
        self.in_flight, self.room = in_flight, room
        self.taken: list[Submission] = []

    def links(self) -> list[Link]:
        return [Link("b1", "bound", 0, "", self.in_flight, 40)]

    def submit(self, batch: list[Submission]) -> None:
        self.taken += batch
        self.room -= len(batch)
        self.in_flight += len(batch)


class Owner:
    """A connector as its pump sees it."""

    def __init__(self) -> None:
        self.ours, self.unsettled, self.lease_s = True, 0, 10.0
        self.journalled = False
        self.allowance = 1 << 30
        self.given_back: list[Submission] = []

    def may_send(self) -> bool:
        return self.ours

    def give_back(self, batch: list[Submission]) -> None:
        self.given_back += batch


class Clock:
    """A link of which only the clock is asked."""

    def clock_ms(self) -> int:
        return 2_000


def submission(n: int) -> Submission:
    made = Submission(bytes(15) + bytes((n,)), 1, 1, 1, "+79160000000", "Shop", "x", "gsm7", 0, 9_000, "otp", 0)
    made.origin = SimpleNamespace(message=SimpleNamespace(send_at_ms=0))
    return made


def queued(n: int) -> Queued:
    """An entry as the router left it."""
    m = Message("key", "otp", "+79160000000", "Shop", "x", "gsm7", 1, 3_600)
    j = Journey(1, "north", "any", 1_250_000, "RUB", 1, "all", 2_000)
    return Queued(b"%d-0" % (n + 1), bytes(15) + bytes((n,)) + pack_message(m), pack_journey(j))


@pytest.fixture
async def pump() -> Any:
    links: Any = [Clock()]
    owner: Any = Owner()
    carrier: Any = Carrier(in_flight=40, room=0)
    made = Pump(1, carrier, Lanes("north", links, lambda: None), links, Bucket(0, 1, 0.0), {}, owner)
    made._ready.append([submission(n) for n in range(10)])
    made._ready_count = 10
    return made


async def test_what_is_marked_ahead_goes_as_the_window_opens(pump: Any) -> None:
    pump.wake()
    assert not pump.provider.taken
    pump.provider.room = 4
    pump.wake()
    assert len(pump.provider.taken) == 4 and pump._ready_count == 6


async def test_nothing_is_sent_while_another_connector_may_own_the_carrier(pump: Any) -> None:
    """As after a pause longer than the lease: a successor has dealt with these marks, and now would be twice."""
    pump.provider.in_flight, pump.provider.room = 0, 40
    pump._owner.ours = False
    pump.wake()
    assert not pump.provider.taken
    pump._owner.ours = True
    pump.wake()
    assert len(pump.provider.taken) == 10


async def test_a_redis_that_stalls_never_puts_more_on_the_wire(pump: Any) -> None:
    pump.provider.in_flight, pump.provider.room, pump._owner.unsettled = 0, 40, 40
    pump.wake()
    assert not pump.provider.taken, "a window of answers is not written down yet"
    pump._owner.unsettled = 0
    pump.wake()
    assert len(pump.provider.taken) == 10


async def test_without_a_journal_a_slow_carrier_has_a_window_in_flight_and_unsettled_together(pump: Any) -> None:
    pump.answer_s, pump.provider.in_flight, pump.provider.room, pump._owner.unsettled = 0.02, 30, 10, 7
    pump.wake()
    assert len(pump.provider.taken) == 3


async def test_with_a_journal_the_window_on_the_wire_is_full_while_up_to_another_one_is_written_down(pump: Any) -> None:
    pump.provider.in_flight, pump.provider.room = 30, 10
    pump._owner.journalled, pump._owner.unsettled = True, 40 + 7
    pump.wake()
    assert len(pump.provider.taken) == 3
    pump._owner.unsettled = 40
    pump.wake()
    assert len(pump.provider.taken) == 10


async def test_a_carrier_that_went_away_gives_back_what_was_marked_ahead(pump: Any) -> None:
    pump.provider.in_flight = 0
    pump.wake()
    assert len(pump.provider.taken) == 10, "a provider without a bind returns it as not sent"


async def test_a_slow_carriers_answers_may_wait_in_the_journal_for_two_windows(pump: Any) -> None:
    """A stall of Redis' sync does not stop the wire."""
    pump.answer_s, pump.provider.in_flight, pump.provider.room = 0.02, 30, 10
    pump._owner.journalled, pump._owner.unsettled = True, 2 * 40 + 7
    pump.wake()
    assert len(pump.provider.taken) == 3
    pump._owner.unsettled = 2 * 40
    pump.wake()
    assert len(pump.provider.taken) == 10


@pytest.mark.parametrize(
    ("answer_s", "ahead"),
    [
        (0.004, 0),  # quick: there is no time in which the window stands empty
        (0.010, 60),
        (0.020, 60),
        (0.040, 40),
        (0.060, 20),
        (1.000, 0),  # a round trip to Redis is nothing beside that, and an otp would wait behind it for seconds
    ],
)
async def test_marked_ahead_is_what_a_stall_of_redis_needs_and_no_more(
    pump: Any, monkeypatch: pytest.MonkeyPatch, answer_s: float, ahead: int
) -> None:
    pump._ready.clear()
    pump._ready_count, pump.provider.room, pump.provider.in_flight = 0, 1, 39
    pump.answer_s = answer_s
    asked: list[int] = []

    def take(klass: str, parts: int) -> list[Any]:
        asked.append(parts)
        return []

    monkeypatch.setattr(pump.lanes, "backlog", lambda: {"otp": 1_000})
    monkeypatch.setattr(pump.lanes, "take", take)
    pump.shares, pump._owner.may_mark = Shares({"otp": 1}), lambda: True
    pump._turn_over()
    assert asked == [1 + ahead]


class Preparing(Carrier):
    """A provider that can do some of the work before there is room."""

    def __init__(self, in_flight: int, room: int) -> None:
        super().__init__(in_flight, room)
        self.prepared: list[Submission] = []

    def prepare(self, batch: list[Submission]) -> None:
        self.prepared += batch


@pytest.mark.parametrize("room", [0, 40])
async def test_only_what_must_wait_is_prepared(room: int) -> None:
    links: Any = [Clock()]
    carrier: Any = Preparing(in_flight=40 - room, room=room)
    owner: Any = Owner()
    pump = Pump(1, carrier, Lanes("north", links, lambda: None), links, Bucket(0, 1, 0.0), {}, owner)
    lane = Lane(0, links[0], "north", "otp.key")
    entries = [queued(n) for n in range(3)]
    pump._submit(_Round(0, 0, [Taken(lane, lane.outbox, b"0-0", entries, 3)], 3, 0.0))
    assert len(carrier.taken) == (3 if room else 0)
    assert carrier.prepared == ([] if room else list(pump._ready[0]))
