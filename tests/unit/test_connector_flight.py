"""What the outcomes of a message's parts mean: policy of retry, reroute, resend and hold."""

from __future__ import annotations

import itertools

import pytest

from gateway.connector.flight import MAX_THROTTLED, abandoned, echo, expired, judge, submissions
from gateway.events import AnyFact, Ended, Held, Submitted
from gateway.message import CLASSES, RESEND_CLASSES, Journey, Try, unpack_journey
from gateway.provider import RULES, Kind, Outcome, Reason, accepted, deferred, refused, uncertain
from tests.core_builders import NOW_MS, answered, flight, journey, message, message_id, queued

OK = accepted("c1")
THROTTLED = deferred(Reason.THROTTLED)
FULL = deferred(Reason.QUEUE_FULL, 2.0)
UNBOUND = deferred(Reason.NOT_BOUND)
TEMPORARY = deferred(Reason.TEMPORARY)
WRONG_NUMBER = refused(Reason.INVALID_RECIPIENT)
NO_CREDIT = refused(Reason.NO_CREDIT)
SILENT = uncertain(Reason.NO_ANSWER)
EVERY = (OK, THROTTLED, FULL, UNBOUND, TEMPORARY, WRONG_NUMBER, NO_CREDIT, SILENT)
SLOWING = (THROTTLED, FULL, UNBOUND)


def only(facts: list[AnyFact], kind: type) -> list[AnyFact]:
    return [f for f in facts if isinstance(f, kind)]


@pytest.mark.parametrize("klass", CLASSES)
@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_every_combination_of_outcomes_leads_to_exactly_one_way_on(klass: str, pinned: bool, parts: int) -> None:
    for outcomes in itertools.product(EVERY, repeat=parts):
        leads_one_way(klass, pinned, outcomes)


def leads_one_way(klass: str, pinned: bool, outcomes: tuple[Outcome, ...]) -> None:
    owed = tuple(range(1, len(outcomes) + 1))
    f = answered(flight(message(klass=klass, parts=len(outcomes)), journey(owed=owed, pinned=pinned)), *outcomes)
    verdict = judge(f, NOW_MS)
    ends, holds = only(verdict.facts, Ended), only(verdict.facts, Held)
    taken = pinned or any(o.kind == Kind.ACCEPTED for o in outcomes)
    all_taken = all(o.kind == Kind.ACCEPTED for o in outcomes)
    assert len(ends) + len(holds) + bool(verdict.op) + all_taken == 1
    told = [f for f in verdict.facts if isinstance(f, Submitted)]
    assert [(t.part, t.kind) for t in told] == [(n, o.kind) for n, o in enumerate(outcomes, 1) if o not in SLOWING], (
        "each answer that is more than a pause is one row"
    )
    if verdict.op:
        onward = unpack_journey(verdict.journey)
        free = {n for n, o in enumerate(outcomes, 1) if o.kind == Kind.DEFERRED}
        if verdict.op == "i":
            assert not taken, "what a carrier has partly taken never goes to another"
            assert onward.tried[-1].carrier == "north"
        else:
            assert set(onward.owed or owed) == free, "only what was certainly not taken is sent again"
            assert onward.pinned == taken
    if any(o.kind == Kind.UNCERTAIN for o in outcomes):
        resends = klass in RESEND_CLASSES and not taken
        assert (verdict.op, len(holds)) == (("i", 0) if resends else ("", 1))


def test_an_accepted_message_is_one_fact_and_leaves_the_queue() -> None:
    verdict = judge(answered(flight(), OK), NOW_MS)
    assert verdict.op == ""
    (fact,) = verdict.facts
    assert isinstance(fact, Submitted)
    assert (fact.kind, fact.carrier, fact.carrier_message_id, fact.route) == (0, "north", "c1", "default")
    assert (fact.price_micro, fact.currency, fact.answered_ms, fact.late) == (2_150_000, "RUB", NOW_MS, False)


@pytest.mark.parametrize("outcome", SLOWING)
def test_what_came_back_unsent_goes_again_on_the_same_attempt_without_a_row(outcome: Outcome) -> None:
    verdict = judge(answered(flight(), outcome), NOW_MS)
    assert (verdict.facts, verdict.op, verdict.where) == ([], "a", "marketing:shop")
    onward = unpack_journey(verdict.journey)
    assert (onward.attempt, onward.tried, onward.pinned) == (1, (), False)
    assert onward.throttled == (0 if outcome is UNBOUND else 1)


@pytest.mark.parametrize("outcome", [THROTTLED, FULL])
def test_a_carrier_that_throttles_too_often_is_left_for_another(outcome: Outcome) -> None:
    j = journey()
    for _ in range(MAX_THROTTLED):
        verdict = judge(answered(flight(j=j), outcome), NOW_MS)
        assert verdict.op == "a"
        j = unpack_journey(verdict.journey)
    verdict = judge(answered(flight(j=j), outcome), NOW_MS)
    assert verdict.op == "i"
    onward = unpack_journey(verdict.journey)
    assert (onward.tried, onward.throttled) == ((Try("north", str(outcome.reason)),), 0)


def test_a_lost_bind_never_counts_as_throttling() -> None:
    verdict = judge(answered(flight(j=journey(throttled=MAX_THROTTLED + 5)), UNBOUND), NOW_MS)
    assert verdict.op == "a"
    assert unpack_journey(verdict.journey).throttled == MAX_THROTTLED + 5


def test_parts_that_were_taken_pin_the_rest_to_the_carrier_however_often_it_throttles() -> None:
    f = answered(flight(message(parts=3)), OK, THROTTLED, OK)
    verdict = judge(f, NOW_MS)
    onward = unpack_journey(verdict.journey)
    assert (verdict.op, onward.owed, onward.pinned) == ("a", (2,), True)
    j = journey(owed=(2,), pinned=True, throttled=MAX_THROTTLED + 1)
    verdict = judge(answered(flight(message(parts=3), j), THROTTLED), NOW_MS)
    assert (verdict.op, unpack_journey(verdict.journey).owed) == ("a", (2,))


def test_a_temporary_error_goes_to_another_carrier_unless_a_part_was_taken() -> None:
    assert judge(answered(flight(), TEMPORARY), NOW_MS).op == "i"
    verdict = judge(answered(flight(message(parts=2)), OK, TEMPORARY), NOW_MS)
    assert (verdict.op, verdict.where) == ("l", f"{NOW_MS + 5000}|marketing:shop")
    onward = unpack_journey(verdict.journey)
    assert (onward.owed, onward.pinned, onward.throttled) == ((2,), True, 1)


def test_the_carriers_own_wish_for_a_pause_is_honoured() -> None:
    slow = deferred(Reason.TEMPORARY, after_s=60)
    verdict = judge(answered(flight(message(parts=2)), OK, slow), NOW_MS)
    assert verdict.where == f"{NOW_MS + 60_000}|marketing:shop"


def test_a_pinned_rest_that_is_refused_for_now_too_often_fails() -> None:
    j = journey(owed=(2,), pinned=True, throttled=MAX_THROTTLED)
    verdict = judge(answered(flight(message(parts=2), j), TEMPORARY), NOW_MS)
    (end,) = only(verdict.facts, Ended)
    assert isinstance(end, Ended)
    assert (verdict.op, end.state, end.reason) == ("", "failed", "temporary")


@pytest.mark.parametrize("reason", list(Reason))
def test_a_refusal_is_rerouted_or_ends_the_message_as_the_table_of_reasons_says(reason: Reason) -> None:
    verdict = judge(answered(flight(), refused(reason)), NOW_MS)
    if RULES[reason].reroute:
        assert verdict.op == "i"
        assert unpack_journey(verdict.journey).tried == (Try("north", reason),)
    else:
        end = verdict.facts[-1]
        assert isinstance(end, Ended)
        assert (end.state, end.reason, end.attempt) == ("rejected", reason, 1)


def test_a_refused_part_of_a_partly_taken_message_rejects_it() -> None:
    verdict = judge(answered(flight(message(parts=2)), OK, NO_CREDIT), NOW_MS)
    end = verdict.facts[-1]
    assert isinstance(end, Ended)
    assert (verdict.op, end.state, end.reason) == ("", "rejected", "no_credit")


@pytest.mark.parametrize("klass", CLASSES)
def test_an_uncertain_message_is_sent_again_or_held_by_the_policy_of_its_class(klass: str) -> None:
    verdict = judge(answered(flight(message(klass=klass)), SILENT), NOW_MS)
    if klass in ("otp", "alert"):
        assert verdict.op == "i"
        assert unpack_journey(verdict.journey).tried == (Try("north", "uncertain"),)
    else:
        held = verdict.facts[-1]
        assert isinstance(held, Held)
        assert (verdict.op, held.reason, held.attempt) == ("", "no_answer", 1)


def test_an_outcome_without_a_reason_still_leads_to_one_that_the_router_can_read() -> None:
    for kind in (Kind.DEFERRED, Kind.REFUSED, Kind.UNCERTAIN):
        verdict = judge(answered(flight(message(klass="otp")), Outcome(kind)), NOW_MS)
        tried = unpack_journey(verdict.journey).tried if verdict.op else ()
        for t in tried:
            assert Reason(t.reason)


def test_a_dead_connectors_entry_is_judged_as_uncertain_in_every_part_it_owed() -> None:
    f = flight(message(parts=3), journey(owed=(2, 3), pinned=True))
    verdict = abandoned(f, ("a", "b", "c"), False, NOW_MS)
    told = [x for x in verdict.facts if isinstance(x, Submitted)]
    assert [(t.part, t.kind, t.reason) for t in told] == [(2, 3, "uncertain"), (3, 3, "uncertain")]
    assert isinstance(verdict.facts[-1], Held)
    otp = abandoned(flight(message(klass="otp")), ("Hello",), False, NOW_MS)
    assert otp.op == "i"


def test_expiry_before_sending_ends_the_message() -> None:
    (end,) = expired(flight()).facts
    assert isinstance(end, Ended)
    assert (end.state, end.reason) == ("expired", "validity")


def test_submissions_cover_what_is_owed_with_each_parts_text() -> None:
    f = flight(message(parts=3), journey(owed=(1, 3)))
    made = submissions(f, ("a", "b", "c"), whole=False)
    assert [(s.part, s.parts, s.text) for s in made] == [(1, 3, "a"), (3, 3, "c")]
    assert f.waiting == 2
    (whole,) = submissions(f, ("a", "b", "c"), whole=True)
    assert (whole.part, whole.text) == (0, "Hello")


def test_parts_that_the_carrier_does_not_split_into_any_more_end_the_message_instead_of_breaking_the_pump() -> None:
    f = flight(message(parts=3), journey(owed=(3,), pinned=True))
    assert submissions(f, ("a", "b"), whole=False) == []
    (end,) = judge(f, NOW_MS).facts
    assert isinstance(end, Ended)
    assert (end.state, end.reason) == ("failed", "unsupported")


def test_the_echo_is_16_bits_that_name_message_attempt_and_part() -> None:
    i = message_id()
    echoes = {echo(i, attempt, part) for attempt in range(1, 6) for part in range(10)}
    assert all(0 <= e < 65536 for e in echoes)
    assert len(echoes) > 45
    assert echo(i, 1, 1) == echo(i, 1, 1)


def test_the_fields_of_a_submission_come_from_message_and_journey() -> None:
    m = message(klass="otp", sender="Bank", concat_ref=77, validity_s=60)
    f = flight(m, journey(attempt=3))
    (s,) = submissions(f, ("Hello",), whole=False)
    assert (s.attempt, s.sender, s.concat_ref, s.klass, s.origin) == (3, "Bank", 77, "otp", f)
    assert s.deadline_ms == NOW_MS + 60_000
    assert s.echo == echo(queued(m, Journey(1, "", "", 0, "", 0, "", 0), id=s.message_id).message_id, 3, 1)
