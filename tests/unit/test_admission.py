"""Stop lists and sending hours where a message is accepted, routed and about to be sent."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.api.recipients import Recipients
from gateway.connector.admission import turned_away
from gateway.events import Ended, Parked
from gateway.message import Journey, Message, unpack_journey
from gateway.plan.admission import Admission, Barred
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Defaults, Operator, Plan, Route, Window
from gateway.plan.surroundings import Surroundings, Whose
from gateway.plan.windows import NEVER, SPREAD_MS
from gateway.provider import Reason
from gateway.router.decide import Move, Moves, decide
from tests.core_builders import NOW_MS, flight, journey, message, queued

NIGHT_MS = NOW_MS
"""2025-11-22, 03:06 in Moscow."""
OPENS_MS = int(datetime.fromisoformat("2025-11-22T09:00+03:00").timestamp() * 1000)
CLOSES_MS = int(datetime.fromisoformat("2025-11-22T21:00+03:00").timestamp() * 1000)
DAY_S = 86_400

PLAN = Plan(
    Defaults(timezone="Europe/Moscow"),
    carriers=(Carrier(name="north", provider="smpp"),),
    operators=(Operator(name="rest", prefixes=("",)),),
    routes=(Route(name="default", carriers=("north",)),),
    windows=(Window(name="day", from_="09:00", until="21:00"),),
)


class Everywhere:
    """A directory that knows one set of zones."""

    def __init__(self, *zones: str) -> None:
        self._whose = Whose("rest", zones=zones)

    def find(self, to: str) -> Whose | None:
        return self._whose


COMPILED = Compiled(PLAN, 1)


def lists(number: str, client: str, klass: str) -> str:
    return {"+79160000001": "global", "+79160000002": "client"}.get(number, "")


def decided(m: Message, j: Journey | None = None, now_ms: int = NIGHT_MS, known: Moves | None = None) -> Move:
    barred = Admission(lists).barred
    return decide(queued(m, j), COMPILED, Surroundings(now_ms=now_ms, barred=barred), known)


def test_outside_its_hours_a_message_is_put_off_once_until_soon_after_they_begin() -> None:
    move = decided(message(validity_s=DAY_S), known=Moves())
    assert move.op == "l" and OPENS_MS <= int(move.where) < OPENS_MS + SPREAD_MS and move.journey == b""
    assert isinstance(move.fact, Parked)
    assert (move.fact.reason, move.fact.until_ms) == (Reason.WINDOW_HOURS, int(move.where))
    assert decided(message(validity_s=DAY_S), now_ms=int(move.where), known=Moves()).op == "o"


def test_many_that_wait_for_an_opening_do_not_come_in_one_moment() -> None:
    due = {int(decided(message(validity_s=DAY_S)).where) for _ in range(200)}
    assert len(due) > 150 and max(due) - min(due) > SPREAD_MS // 2


def test_a_message_that_can_only_be_sent_too_late_ends_at_once() -> None:
    move = decided(message(validity_s=3600))
    assert move.op == "" and isinstance(move.fact, Ended)
    assert (move.fact.state, move.fact.reason) == ("expired", Reason.WINDOW_HOURS)


def test_another_class_and_a_test_message_go_at_any_hour() -> None:
    assert decided(message(klass="otp")).op == "o"
    sandbox = Compiled(msgspec.structs.replace(PLAN, carriers=(Carrier(name="toy", provider="smpp", sandbox=True),)), 1)
    around = Surroundings(now_ms=NIGHT_MS, barred=Admission(lists).barred)
    assert decide(queued(message(test=True)), sandbox, around).op == "o"


def test_a_retry_keeps_its_history_while_it_waits_and_a_rest_of_parts_does_not_wait() -> None:
    again = journey(attempt=2)
    entry = queued(message(validity_s=DAY_S), again)
    around = Surroundings(now_ms=NIGHT_MS, barred=Admission(lists).barred)
    assert decide(entry, COMPILED, around).journey == entry.journey
    rest = decided(message(validity_s=DAY_S, parts=2), journey(owed=(2,), pinned=True))
    assert rest.op == "o"


def test_a_stopped_message_ends_whatever_carrier_has_a_part_of_it() -> None:
    for number, by in (("+79160000001", "everybody"), ("+79160000002", "the client")):
        for j in (None, journey(owed=(2,), pinned=True)):
            move = decided(message(to=number, klass="alert"), j, known=Moves())
            assert isinstance(move.fact, Ended)
            assert (move.fact.state, move.fact.reason, move.fact.by) == ("failed", "stopped", f"stop list of {by}")


def test_the_connector_ends_what_was_stopped_and_gives_back_what_missed_its_hours() -> None:
    ended = turned_away(flight(), Barred(Reason.STOPPED, "global"))
    assert ended is not None and isinstance(ended.facts[0], Ended) and ended.facts[0].reason == "stopped"
    back = turned_away(flight(j=journey(attempt=3)), Barred(Reason.WINDOW_HOURS, "", OPENS_MS, CLOSES_MS))
    assert back is not None and (back.op, back.where, back.facts) == ("i", "marketing:shop", [])
    assert unpack_journey(back.journey).attempt == 2, "nothing was sent: it was no attempt"
    assert turned_away(flight(j=journey(owed=(2,), pinned=True)), Barred(Reason.WINDOW_HOURS, "", OPENS_MS)) is None


def test_on_accept_a_message_that_can_wait_is_taken_and_one_that_cannot_is_told_what_would_do() -> None:
    asked = Recipients(lists, lambda: COMPILED)
    assert asked.fault(message(validity_s=DAY_S), NIGHT_MS) is None
    assert asked.waits_ms(message(validity_s=DAY_S), NIGHT_MS) == OPENS_MS
    assert asked.waits_ms(message(klass="otp"), NIGHT_MS) == 0
    refused = asked.fault(message(validity_s=3600), NIGHT_MS)
    assert refused is not None and (refused.code, refused.pointer) == ("window_closed", "/validity_s")
    assert "from 2025-11-22T09:00+03:00 on" in refused.detail
    least = int(refused.detail.split("at least ")[1].split()[0])
    assert asked.fault(message(validity_s=least), NIGHT_MS) is None
    assert asked.fault(message(validity_s=60, send_at_ms=OPENS_MS), NIGHT_MS) is None, "it is sent in its hours"
    assert asked.fault(message(validity_s=60, send_at_ms=CLOSES_MS), NIGHT_MS) is not None


def test_whom_no_hour_suits_is_told_on_accept() -> None:
    windows = (Window(name="day", from_="10:00", until="19:00"),)
    plan = Compiled(
        msgspec.structs.replace(PLAN, windows=windows), 1, Everywhere("Europe/Kaliningrad", "Asia/Kamchatka")
    )
    m = message(validity_s=30 * DAY_S)
    barred = Admission().barred(plan, m, NIGHT_MS)
    assert barred is not None and barred.opens_ms == NEVER
    refused = Recipients(plan=lambda: plan).fault(m, NIGHT_MS)
    assert refused is not None and "2 time zones" in refused.detail


def test_the_windows_of_a_new_plan_count_at_once() -> None:
    admission, m = Admission(), message(validity_s=DAY_S)
    assert admission.barred(COMPILED, m, NIGHT_MS) is not None
    assert admission.barred(Compiled(msgspec.structs.replace(PLAN, windows=()), 2), m, NIGHT_MS) is None
    assert admission.barred(None, m, NIGHT_MS) is None


def test_nobody_is_asked_for_while_lists_are_empty_and_the_plan_has_no_hours() -> None:
    empty, full = Admission(lists, lambda: False), Admission(lists, lambda: True)
    plain = Compiled(msgspec.structs.replace(PLAN, windows=()), 2)
    assert empty.question(plain) is None and empty.question(None) is None
    for admission, plan in ((empty, COMPILED), (full, plain)):
        question = admission.question(plan)
        assert question is not None and question(plan, message(), NIGHT_MS) == admission.barred(
            plan, message(), NIGHT_MS
        )
