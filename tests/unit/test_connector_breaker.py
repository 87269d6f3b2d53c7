"""When a carrier's breaker opens, tries and closes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.watch.carrier import judge
from gateway.connector import backlog
from gateway.connector.breaker import (
    ENOUGH,
    FEW,
    HALF_MS,
    LONGEST_MS,
    MANY,
    PAUSE_MS,
    RUN,
    SPAN_MS,
    TRIALS,
    Breaker,
    Operators,
)
from gateway.provider import Outcome, Reason, Submission, accepted, deferred, refused, uncertain

NOW_MS = 1_000_000


def answers(outcome: Outcome, count: int = 1, sent_ms: int = NOW_MS) -> list[tuple[Submission, Outcome]]:
    submission = Submission(b"", 1, 1, 1, "+7", "S", "x", "gsm7", 0, 0, "otp", 0, sent_ms)
    return [(submission, outcome)] * count


def opened(why: Outcome | None = None) -> Breaker:
    breaker, bad = Breaker(), why or deferred(Reason.TEMPORARY)
    breaker.heard(answers(bad, RUN), NOW_MS)
    breaker.heard(answers(bad), NOW_MS + SPAN_MS)
    return breaker


OPEN_MS = NOW_MS + SPAN_MS


def test_a_run_of_failures_that_lasts_opens_it_and_a_success_between_them_does_not() -> None:
    breaker = Breaker()
    for second in range(20):
        breaker.heard(answers(deferred(Reason.TEMPORARY), RUN - 1), NOW_MS + second * 1000)
        breaker.heard(answers(accepted("1")), NOW_MS + second * 1000, all_well=True)
        assert breaker.state(NOW_MS + second * 1000) == "closed"
    assert opened().state(OPEN_MS) == "open"


def to(operator: str, outcome: Outcome, count: int = 1, sent_ms: int = NOW_MS) -> list[tuple[Submission, Outcome]]:
    """Answers to messages of one operator."""
    found = answers(outcome, count, sent_ms)
    found[0][0].origin = SimpleNamespace(journey=SimpleNamespace(operator=operator))
    return found


BAD, GOOD = deferred(Reason.TEMPORARY), accepted("1")


def test_an_operator_of_which_most_fails_is_set_aside_and_no_other() -> None:
    operators, carrier = Operators(), Breaker()
    for second in range(10):
        now = NOW_MS + second * 300
        batch = (
            to("mts", BAD, 4) + to("mts", GOOD) + to("beeline", GOOD, 20) + to("tele2", BAD, 1) + to("tele2", GOOD, 9)
        )
        operators.heard(batch, now)
        carrier.heard(batch, now)
    assert set(operators.status(now)) == {"mts"} and operators.status(now)["mts"]["why"] == "temporary"
    assert carrier.is_closed, "there are successes between"
    tried = now + PAUSE_MS + 2_000
    assert operators.status(tried)["mts"]["state"] == "half_open"
    operators.heard(to("mts", GOOD, ENOUGH, sent_ms=tried), tried, all_well=True)
    assert not operators.status(tried)


def test_failures_of_an_operator_that_are_few_old_or_between_many_successes_set_nothing_aside() -> None:
    operators = Operators()
    operators.heard(to("few", BAD, FEW - 1), NOW_MS)
    for n in range(100):  # one now and then
        operators.heard(to("old", BAD), NOW_MS + n * HALF_MS)
        operators.heard(to("mixed", BAD, 7) + to("mixed", GOOD, 3), NOW_MS + n * 500)
    assert not operators.status(NOW_MS + SPAN_MS)
    operators.heard(to("few", BAD), NOW_MS + SPAN_MS)


def test_an_operator_is_not_to_blame_for_a_carrier_that_fails() -> None:
    operators = Operators()
    operators.heard(to("mts", BAD, MANY), NOW_MS)
    assert operators.status(NOW_MS)
    operators.forget()
    assert not operators.status(NOW_MS)


def test_where_nothing_fails_nothing_is_remembered() -> None:
    operators = Operators()
    operators.heard(to("mts", GOOD, 100), NOW_MS, all_well=True)
    operators.heard(to("mts", GOOD, 100) + to("beeline", refused(Reason.BLOCKED), 100), NOW_MS)
    assert not operators._known
    operators.heard(to("mts", BAD), NOW_MS)
    operators.status(NOW_MS + 10 * HALF_MS)
    assert not operators._known


def test_many_failures_at_once_open_it_at_once_and_few_do_not() -> None:
    breaker = Breaker()
    breaker.heard(answers(uncertain(), MANY - 1), NOW_MS)
    assert breaker.state(NOW_MS) == "closed"
    breaker.heard(answers(uncertain()), NOW_MS)
    assert breaker.state(NOW_MS) == "open"


@pytest.mark.parametrize("reason", [Reason.THROTTLED, Reason.QUEUE_FULL, Reason.NOT_BOUND])
def test_who_asks_us_to_slow_down_or_has_no_bind_keeps_its_breaker_closed(reason: Reason) -> None:
    assert opened(deferred(reason)).state(OPEN_MS) == "closed"


@pytest.mark.parametrize("reason", [Reason.INVALID_RECIPIENT, Reason.BLOCKED, Reason.INVALID_SENDER])
def test_a_no_to_one_message_says_nothing_against_the_carrier(reason: Reason) -> None:
    assert opened(refused(reason)).state(OPEN_MS) == "closed"


def test_after_a_pause_a_few_may_try_and_their_success_closes_it() -> None:
    breaker = opened()
    assert breaker.room(OPEN_MS, 0) == 0
    later = OPEN_MS + PAUSE_MS
    assert breaker.state(later) == "half_open"
    assert [breaker.room(later, under_way) for under_way in (0, 2, TRIALS, 99)] == [TRIALS, TRIALS - 2, 0, 0]
    breaker.heard(answers(accepted("1"), ENOUGH, OPEN_MS), later)
    assert breaker.state(later) == "half_open", "they were sent before"
    breaker.heard(answers(accepted("1"), ENOUGH, later), later)
    assert breaker.state(later) == "closed" and breaker.room(later, 500) > 1_000_000


def test_each_failed_trial_doubles_the_pause_up_to_a_minute() -> None:
    breaker, now, pauses = opened(), OPEN_MS, []
    for _ in range(8):
        until = breaker.status(now)["until_ms"]
        pauses.append(until - now)
        now = until
        breaker.heard(answers(deferred(Reason.TEMPORARY), 1, now), now)
    assert pauses == [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000] and max(pauses) == LONGEST_MS
    assert breaker.opened == 9
    assert breaker.status(now)["failing_since_ms"] == OPEN_MS, "all of it is one outage"


@given(
    st.lists(
        st.tuples(st.integers(0, 5_000), st.sampled_from(["ok", "bad", "slow", "look"]), st.integers(1, 30)),
        max_size=60,
    )
)
def test_whatever_comes_it_opens_only_by_failures_tries_only_after_its_pause_and_closes_only_by_successes(
    events: list[tuple[int, str, int]],
) -> None:
    breaker, now, before = Breaker(), NOW_MS, "closed"
    outcomes = {"ok": accepted("1"), "bad": uncertain(), "slow": deferred(Reason.THROTTLED)}
    for wait, what, count in events:
        now += wait
        until = breaker.status(now - wait)["until_ms"]
        state = breaker.state(now)
        assert (before, state) in {(before, before), ("open", "half_open")}
        assert before != "open" or (state == "half_open") == (now >= until)
        if what != "look":
            breaker.heard(answers(outcomes[what], count, now), now, all_well=what == "ok")
        after = breaker.state(now)
        allowed = {"bad": {(s, "open") for s in ("closed", "half_open")}, "ok": {("half_open", "closed")}}
        assert after == state or (state, after) in allowed.get(what, set())
        assert (breaker.room(now, 0) == 0) == (after == "open")
        before = after


def test_a_class_waits_for_what_is_more_urgent_but_no_longer_than_its_share_allows() -> None:
    shares = {"otp": 50, "alert": 20, "transactional": 20, "marketing": 10}
    found = backlog.seconds({"otp": 100, "marketing": 1000}, 100.0, shares)
    assert found == {"otp": 1.0, "marketing": 11.0}
    assert backlog.seconds({"otp": 10_000, "marketing": 100}, 100.0, shares) == {"otp": 100.0, "marketing": 10.0}
    assert backlog.seconds({"otp": 5}, 0.0, shares) == {}


@pytest.mark.parametrize(
    ("state", "words"), [("open", "open after failures in a row (no_answer)"), ("half_open", "half open")]
)
def test_the_carriers_command_says_that_the_breaker_holds_it(state: str, words: str) -> None:
    breaker = {"state": state, "since_ms": 0, "until_ms": 0, "why": "no_answer", "opened": 1}
    status = {"at_ms": NOW_MS, "live": True, "limited_by": "breaker", "breaker": breaker, "links": []}
    verdict = judge({"name": "north", "mode": "running", "status": status}, NOW_MS)
    assert not verdict.ok and words in verdict.sentence
