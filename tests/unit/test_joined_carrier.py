"""Parts of a text that a carrier takes whole: gathered, sent once, and settled part by part."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.provider import Kind, Outcome, Reason, Reports, Submission, accepted, deferred, refused, uncertain
from providers._web.joined import JoinedCarrier, parted
from tests.carrier_exchanges import submission


async def _never(_: object) -> None:
    raise AssertionError("nothing was started")


class Inside:
    """A web carrier that answers when it is told to."""

    can_query = can_cancel = False

    def __init__(self, reports: Reports) -> None:
        self.reports, self.sent = reports, list[Submission]()

    def submit(self, batch: Sequence[Submission]) -> None:
        for s in batch:
            s.sent_ms, s.bind = 5, "http"
        self.sent += batch

    def answer(self, outcome: Outcome, number: int = -1) -> None:
        self.reports.on_outcomes([(self.sent[number], outcome)])

    async def close(self, timeout_s: float) -> None:
        pass


class World:
    def __init__(self, gather_s: float = 60) -> None:
        self.outcomes: dict[Submission, list[Outcome]] = {}
        reports = Reports(self._take, _never, _never, print)
        self.carrier = JoinedCarrier(reports, gather_s, self._build)

    def _build(self, reports: Reports) -> Any:
        self.inside = Inside(reports)
        return self.inside

    def _take(self, batch: Sequence[tuple[Submission, Outcome]]) -> None:
        for s, outcome in batch:
            self.outcomes.setdefault(s, []).append(outcome)

    def of(self, batch: Sequence[Submission]) -> list[Outcome]:
        return [outcome for s in batch for outcome in self.outcomes.get(s, [])]


def parts(*texts: str, number: int = 0) -> list[Submission]:
    return [submission(number, text=text, part=n, parts=len(texts)) for n, text in enumerate(texts, 1)]


async def test_parts_that_come_in_several_batches_go_as_one_text() -> None:
    world = World()
    a, b = parts("one ", "two ", "three"), parts("x", "y", number=1)
    world.carrier.submit([a[0], b[1]])
    world.carrier.submit([a[2]])
    assert world.inside.sent == []
    world.carrier.submit([b[0], a[1]])
    assert sorted((s.text, s.part, s.parts) for s in world.inside.sent) == [("one two three", 0, 3), ("xy", 0, 2)]


async def test_each_part_has_its_own_id_and_moment() -> None:
    world, batch = World(), parts("one ", "two ")
    world.carrier.submit(batch)
    world.inside.answer(parted([accepted("a"), accepted("b")]))
    assert world.of(batch) == [accepted("a"), accepted("b")]
    assert [(s.sent_ms, s.bind) for s in batch] == [(5, "http")] * 2


async def test_a_carrier_that_cuts_otherwise_than_we_do_leaves_no_part_open() -> None:
    world, batch = World(), parts("one ", "two ", "three")
    world.carrier.submit(batch)
    world.inside.answer(parted([accepted("a"), accepted("b")]))
    assert world.of(batch) == [accepted("a"), accepted("b"), accepted("")]
    fewer = parts("x", "y", number=1)
    world.carrier.submit(fewer)
    world.inside.answer(accepted("c"))
    assert world.of(fewer) == [accepted("c"), accepted("")]


@pytest.mark.parametrize(
    "outcome", [deferred(Reason.THROTTLED, 1.0, "1"), refused(Reason.BLOCKED, "7"), uncertain(Reason.NO_ANSWER)]
)
async def test_what_is_said_of_the_text_holds_for_every_part(outcome: Outcome) -> None:
    world, batch = World(), parts("one ", "two ")
    world.carrier.submit(batch)
    world.inside.answer(outcome)
    assert world.of(batch) == [outcome] * 2


async def test_a_late_answer_heals_every_part() -> None:
    world, batch = World(), parts("one ", "two ")
    world.carrier.submit(batch)
    world.inside.answer(uncertain(Reason.NO_ANSWER))
    world.inside.answer(parted([accepted("a"), accepted("b")]))
    assert [[o.kind for o in world.outcomes[s]] for s in batch] == [[Kind.UNCERTAIN, Kind.ACCEPTED]] * 2


async def test_a_part_whose_others_do_not_come_goes_alone() -> None:
    world = World(gather_s=0.01)
    (_, second) = parts("one ", "two ")
    world.carrier.submit([second])
    async with asyncio.timeout(30):
        while not world.inside.sent:
            await asyncio.sleep(0)
    world.inside.answer(accepted("b"))
    assert world.inside.sent[0].text == "two " and world.of([second]) == [accepted("b")]


async def test_closing_gives_back_what_still_waits_for_other_parts() -> None:
    world, batch = World(), parts("one ", "two ", "three")
    world.carrier.submit(batch[:2])
    await world.carrier.close(1.0)
    assert world.of(batch) == [deferred(Reason.NOT_BOUND)] * 2 and world.inside.sent == []


def test_what_was_taken_in_part_is_not_sent_again() -> None:
    half = parted([accepted("a"), deferred(Reason.THROTTLED, 1.0, "1"), refused(Reason.BLOCKED, "7")])
    assert half.kind is Kind.ACCEPTED and getattr(half, "parts", ()) == (
        accepted("a"),
        refused(Reason.CARRIER_ERROR, "1"),
        refused(Reason.BLOCKED, "7"),
    )
    assert parted([deferred(Reason.THROTTLED), uncertain(Reason.UNCERTAIN)]).kind is Kind.UNCERTAIN
