"""What becomes of one message at the router."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from gateway.events import Ended, Parked
from gateway.message import CLASSES, Journey, Message, Try, pack_journey, pack_message, unpack_journey
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Operator, Plan, Rate, Route, Sender
from gateway.plan.surroundings import Surroundings
from gateway.provider import Reason
from gateway.router.batch import judged
from gateway.router.decide import MAX_ATTEMPTS, ROUND, Move, Moves, decide, tried_now
from gateway.streams.packs import Entry
from gateway.streams.reader import Queued
from tests.core_builders import NOW_MS, journey, message, message_id, queued

PLAN = Compiled(
    Plan(
        carriers=(
            Carrier(name="north", provider="smpp"),
            Carrier(name="south", provider="smpp"),
            Carrier(name="toy", provider="smpp", sandbox=True),
        ),
        operators=(Operator(name="mts", prefixes=("7916",)), Operator(name="rest", prefixes=("",))),
        rates=(Rate(carrier="north", price="2.15", currency="RUB"), Rate(carrier="south", price="3", currency="RUB")),
        routes=(
            Route(name="none", carriers=(), clients=("blocked",)),
            Route(name="default", carriers=("north", "south")),
        ),
    ),
    9,
)
NOBODY_TO_SEND = Compiled(Plan(), 10)


def everyone(carrier: str) -> bool:
    return True


NOW = Surroundings(now_ms=NOW_MS, live=everyone)


def nobody(carrier: str) -> bool:
    return False


def decided(m: Message, j: Journey | None = None, live: Callable[[str], bool] = everyone, now_ms: int = NOW_MS) -> Move:
    return decide(queued(m, j), PLAN, Surroundings(now_ms=now_ms, live=live))


def test_a_fresh_message_goes_to_the_first_candidate_with_its_facts() -> None:
    move = decided(message())
    assert (move.op, move.where, move.fact) == ("o", "north:marketing:shop", None)
    assert unpack_journey(move.journey) == Journey(1, "north", "mts", 2_150_000, "RUB", 9, "default", NOW_MS)


def test_a_candidate_that_is_not_live_is_passed_over() -> None:
    assert decided(message(), live=lambda name: name == "south").where == "south:marketing:shop"


def test_a_message_waits_at_the_first_candidate_when_none_is_live() -> None:
    assert decided(message(), live=nobody).where == "north:marketing:shop"


def test_a_tried_carrier_is_passed_over_even_when_the_other_is_down() -> None:
    tried = journey(tried=(Try("north", "temporary"),))
    move = decided(message(), tried, live=lambda name: name == "north")
    assert move.where == "south:marketing:shop"
    onward = unpack_journey(move.journey)
    assert (onward.attempt, onward.tried, onward.pinned) == (2, tried.tried, False)


def test_a_pinned_rest_of_a_test_message_goes_back_to_a_sandbox_only() -> None:
    rest = journey(carrier="toy", owed=(2,), pinned=True)
    assert decided(message(test=True), rest).where == "toy:marketing:shop"
    ended = decided(message(test=True), msgspec.structs.replace(rest, carrier="south"))
    assert isinstance(ended.fact, Ended) and (ended.fact.state, ended.fact.reason) == ("failed", Reason.NO_ROUTE)


def test_a_pinned_rest_goes_back_to_its_carrier_unchanged_whatever_is_live() -> None:
    j = journey(carrier="south", owed=(2,), pinned=True, throttled=4)
    entry = queued(message(), j)
    move = decide(entry, PLAN, Surroundings(now_ms=NOW_MS, live=nobody))
    assert (move.op, move.where, move.journey) == ("o", "south:marketing:shop", entry.journey)


@pytest.mark.parametrize(("rounds", "pause_s"), [(0, 5), (1, 15), (2, 60), (3, 300), (4, 300)])
def test_when_all_were_tried_the_next_round_begins_later_and_later(rounds: int, pause_s: int) -> None:
    both = (Try("north", "temporary"), Try("south", "throttled"))
    tried = (*both, ROUND) * rounds + both
    move = decided(message(), journey(attempt=2, tried=tried))
    assert (move.op, move.where) == ("l", str(NOW_MS + pause_s * 1000))
    assert isinstance(move.fact, Parked)
    assert (move.fact.attempt, move.fact.reason, move.fact.until_ms) == (2, "throttled", NOW_MS + pause_s * 1000)
    onward = unpack_journey(move.journey)
    assert onward.tried == (*tried, ROUND)
    assert tried_now(onward.tried)[0] == frozenset(), "in the new round everybody may be tried again"


def test_an_uncertain_message_of_a_resend_class_waits_only_a_second() -> None:
    tried = (Try("north", "uncertain"), Try("south", "uncertain"))
    assert decided(message(klass="otp"), journey(attempt=2, tried=tried)).where == str(NOW_MS + 1000)


def test_a_pause_never_outlasts_the_validity() -> None:
    tried = (Try("north", "temporary"), Try("south", "temporary"))
    i = message_id(NOW_MS - 3_598_000)
    move = decide(queued(message(), journey(attempt=2, tried=tried), id=i), PLAN, NOW)
    assert move.where == str(NOW_MS + 2000)


def test_refusals_by_everyone_reject_the_message() -> None:
    tried = (Try("north", "blocked"), Try("south", "no_credit"))
    fact = decided(message(), journey(attempt=2, tried=tried)).fact
    assert fact == Ended(fact.id, "rejected", "no_credit", 2)  # type: ignore[union-attr]


def test_too_many_attempts_fail_the_message() -> None:
    tried = (Try("north", "temporary"), Try("south", "temporary"))
    move = decided(message(), journey(attempt=MAX_ATTEMPTS, tried=tried))
    assert isinstance(move.fact, Ended)
    assert (move.op, move.fact.state, move.fact.reason) == ("", "failed", "temporary")


def test_a_message_that_is_too_old_expires_wherever_it_stands() -> None:
    i = message_id(NOW_MS - 3_600_000)
    for j in (None, journey(attempt=3), journey(pinned=True, owed=(1,))):
        fact = decide(queued(message(), j, id=i), PLAN, NOW).fact
        assert fact == Ended(i, "expired", "validity", j.attempt if j else 0)


def test_validity_counts_from_send_at() -> None:
    i = message_id(NOW_MS - 3_600_000)
    move = decide(queued(message(send_at_ms=NOW_MS - 1000), id=i), PLAN, NOW)
    assert move.op == "o"


@pytest.mark.parametrize("m", [message(client="blocked"), message(klass="otp", client="blocked")])
def test_what_no_route_takes_fails_at_once(m: Message) -> None:
    fact = decided(m).fact
    assert isinstance(fact, Ended)
    assert (fact.state, fact.reason, fact.attempt) == ("failed", "no_route", 0)


def test_a_test_message_goes_to_the_sandbox_carrier_only() -> None:
    assert decided(message(test=True)).where == "toy:marketing:shop"
    fact = decided(message(test=True), journey(tried=(Try("toy", "blocked"),))).fact
    assert isinstance(fact, Ended)


def test_a_plan_without_anything_fails_messages_instead_of_keeping_them() -> None:
    fact = decide(queued(message()), NOBODY_TO_SEND, NOW).fact
    assert isinstance(fact, Ended)
    assert fact.reason == Reason.NO_ROUTE


GOOD, ROUTED = pack_message(message()), pack_journey(journey())


@pytest.mark.parametrize(
    ("value", "route"),
    [
        (b"", b""),
        (b"\x02" + GOOD[1:], b""),
        (GOOD[:-3], b""),
        (b"\x01\x93\x01\x02\x03", b""),
        (b"\x01not msgpack", b""),
        (GOOD, b"\x07" + ROUTED[1:]),
        (GOOD, ROUTED[:9]),
        (GOOD, b"\x01\xc0"),
    ],
)
def test_a_value_that_cannot_be_read_ends_as_damaged(value: bytes, route: bytes) -> None:
    i = message_id()
    fact = decide(Queued(b"1-1", i + value, route), PLAN, NOW).fact
    assert fact == Ended(i, "failed", "damaged")


def test_a_reason_of_a_newer_release_counts_as_a_carriers_error() -> None:
    tried = (Try("north", "sunspots"), Try("south", "sunspots"))
    fact = decided(message(), journey(attempt=2, tried=tried)).fact
    assert isinstance(fact, Ended)
    assert fact.state == "rejected"


def test_a_journey_of_a_newer_release_with_more_fields_is_read() -> None:
    longer = b"\x01" + msgspec.msgpack.encode([*msgspec.to_builtins(journey(attempt=4)), "new field", 5])
    move = decide(Queued(b"1-1", message_id() + GOOD, longer), PLAN, NOW)
    assert unpack_journey(move.journey).attempt == 5


def routed(**fields: object) -> Compiled:
    route = msgspec.structs.replace(PLAN.plan.routes[1], **fields)
    return Compiled(msgspec.structs.replace(PLAN.plan, routes=(route,)), 9)


def full_until(until_ms: int) -> Surroundings:
    return Surroundings(now_ms=NOW_MS, live=everyone, full=lambda *_: until_ms)


def test_a_message_for_which_no_limit_has_room_waits_until_one_has_or_fails_as_the_route_says() -> None:
    entry = queued(message())
    move = decide(entry, routed(), full_until(NOW_MS + 60_000))
    assert (move.op, move.where, move.journey) == ("l", str(NOW_MS + 60_000), b"")
    assert isinstance(move.fact, Parked) and (move.fact.reason, move.fact.attempt) == (Reason.LIMIT, 0)
    late = decide(entry, routed(), full_until(NOW_MS + 10**9))
    assert late.where == str(NOW_MS + 3_600_000), "never longer than its validity"
    ended = decide(entry, routed(when_none="fail"), full_until(NOW_MS + 60_000))
    assert ended.fact == Ended(entry.message_id, "failed", "limit")


def test_a_route_may_want_an_end_when_no_carrier_can_send() -> None:
    entry = queued(message())
    around = Surroundings(now_ms=NOW_MS, live=nobody)
    assert decide(entry, routed(when_none="fail"), around).fact == Ended(entry.message_id, "failed", "no_carrier")
    assert decide(entry, routed(), around).where == "north:marketing:shop"


def test_a_failure_that_allows_it_is_repeated_at_the_same_carrier_three_times_where_the_route_says_so() -> None:
    plan, tried, went = routed(retry_same=True), (), []
    for attempt in range(1, 5):
        j = journey(attempt=attempt, tried=tried) if tried else None
        move = decide(queued(message(), j), plan, NOW)
        went.append(move.where.partition(":")[0])
        tried = (*tried, Try(went[-1], "temporary"))
    assert went == ["north"] * 3 + ["south"]
    refused = journey(tried=(Try("north", "blocked"),))
    assert decide(queued(message(), refused), plan, NOW).where == "south:marketing:shop"


def test_a_batch_is_decided_under_one_plan_and_says_which() -> None:
    entries = [
        Entry(b"1-1", [queued(message(klass=klass, client=client)) for klass in CLASSES], True)
        for client in ("a", "b", "c")
    ]
    for version in (3, 4):
        plan = Compiled(PLAN.plan, version)
        batch = judged(entries, set(), plan, NOW)
        versions = {unpack_journey(move.journey).plan_version for move in batch.targets}
        assert versions == {version} and len(batch.numbers) == 12


def test_the_record_and_the_sender_of_a_choice_travel_with_the_message() -> None:
    plan = msgspec.structs.replace(
        routed(strategy="cheapest", unregistered="replace", sender="INFO").plan, senders=(Sender(name="INFO"),)
    )
    move = decide(queued(message()), Compiled(plan, 9), NOW, Moves())
    onward = unpack_journey(move.journey)
    assert (onward.sender, onward.record) == ("INFO", "cheapest,plan,|north,2150000,,|south,3000000,,")


def steady(live: Callable[[str], bool] = everyone) -> Surroundings:
    return Surroundings(now_ms=NOW_MS, live=live, is_steady=True)


def where(plan: Compiled, around: Surroundings, messages: list[Message]) -> list[str]:
    """Where each of a batch goes, and that each would go there alone."""
    batch = judged([Entry(b"1-1", [queued(m) for m in messages], True)], set(), plan, around)
    return [batch.targets[n - 1].where for n in batch.numbers]


def test_in_a_batch_messages_of_one_network_class_and_client_share_one_move_and_others_have_their_own() -> None:
    many = [message(to=f"+7{code}{n:07}", klass=klass) for n in range(50) for code in (916, 903) for klass in CLASSES]
    batch = judged([Entry(b"1-1", [queued(m) for m in many], True)], set(), PLAN, steady())
    assert len(batch.targets) == 2 * len(CLASSES)
    for m, number in zip(many, batch.numbers, strict=True):
        assert batch.targets[number - 1].journey == decided(m).journey, m.to


def test_a_test_message_in_a_batch_does_not_go_where_the_others_go() -> None:
    mixed = [message(test=n % 2 == 1) for n in range(4)]
    assert where(PLAN, steady(), mixed) == ["north:marketing:shop", "toy:marketing:shop"] * 2


@pytest.mark.parametrize("how", [{"strategy": "weighted"}, {"strategy": "sticky"}, {"percent": 50.0}])
def test_what_each_message_or_number_draws_is_drawn_for_each_in_a_batch(how: dict[str, object]) -> None:
    drawn = Route(name="drawn", carriers=("north", "south"), **how)  # type: ignore[arg-type]
    rest = Route(name="rest", carriers=("south",))
    plan = Compiled(msgspec.structs.replace(PLAN.plan, routes=(drawn, rest)), 9)
    many = [message(to=f"+7916{n:07}") for n in range(200)]
    north = sum(w.startswith("north") for w in where(plan, steady(), many))
    assert 50 < north < 150


def test_a_carrier_that_fails_for_an_operator_comes_behind_those_that_do_not_and_is_never_out() -> None:
    many = [message(to=f"+7916{n:07}") for n in range(3)]
    operator = PLAN.operator(many[0].to)
    failing = {("north", operator)}
    around = Surroundings(now_ms=NOW_MS, is_steady=True, aside=lambda c, o: (c, o) in failing)
    assert where(PLAN, around, many) == ["south:marketing:shop"] * 3
    failing.add(("south", operator))
    assert where(PLAN, around, many) == ["north:marketing:shop"] * 3
    slow = msgspec.structs.replace(around, slow=lambda c, k: c == "south", aside=lambda c, o: c == "north")
    assert where(PLAN, slow, many) == ["south:marketing:shop"] * 3, "what is slow works at least"


def test_a_half_open_breaker_gets_only_its_trials_out_of_a_batch() -> None:
    trials = iter([True] * 5)
    around = Surroundings(now_ms=NOW_MS, live=lambda carrier: carrier == "south" or next(trials, False))
    went = where(PLAN, around, [message(to=f"+7916{n:07}") for n in range(20)])
    assert went == ["north:marketing:shop"] * 5 + ["south:marketing:shop"] * 15
