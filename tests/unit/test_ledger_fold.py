"""The fold: any batching, doubling and order of facts that do not contradict each other gives the same rows."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events import AnyFact, Ended, Held, Parked, Received, Rescheduled, Submitted
from gateway.ledger import judge
from gateway.ledger.fold import Fold
from gateway.ledger.rollup import Delta, book, by_hour
from gateway.ledger.rows import Changes, Matched, Row, bucket_of
from gateway.message import Message, id_tail, make_id
from gateway.provider import Receipt

NOW_MS = 1_795_300_000_000
ONE = make_id(NOW_MS, id_tail(3, bytes(9)))
MESSAGE = Message("shop", "otp", "+79160000001", "Sluice", "hello", "gsm7", 1, 300, callback_url="http://app/cb")


def submitted(part: int = 1, kind: int = 0, *, attempt: int = 1, parts: int = 1, **given: Any) -> Submitted:
    carrier_id = "" if kind else f"{attempt}.{part}"
    fields: dict[str, Any] = {
        "id": ONE, "attempt": attempt, "part": part, "parts": parts, "carrier": f"carrier{attempt}", "bind": "b",
        "kind": kind, "reason": "", "code": "", "carrier_message_id": carrier_id, "operator": "mts",
        "price_micro": 1000 * attempt, "currency": "RUB", "plan_version": 1, "route": "r", "routed_ms": attempt,
        "sent_ms": NOW_MS + attempt, "answered_ms": NOW_MS + attempt + 1, "echo": 5,
    }  # fmt: skip
    return Submitted(**(fields | given))


def receipt(part: int = 1, state: str = "delivered", *, attempt: int = 1, at_ms: int = NOW_MS + 9) -> Received:
    return Received(f"carrier{attempt}", at_ms, Receipt(f"{attempt}.{part}", state))


class Memory:
    """A store in memory: what is left of one batch for the next."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Row] = {}
        self.known: dict[tuple[str, str], Matched] = {}
        self.folds = 0
        self.waiting: list[Received] = []
        self.sums: defaultdict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.callbacks: list[tuple[int, str]] = []
        self.submissions: list[tuple[int, int, int]] = []

    def write(self, facts: Iterable[AnyFact | None], at_ms: int = NOW_MS + 5) -> Changes:
        """One batch; None stands for the acceptance."""
        fold = self._fold()
        for fact in facts:
            if fact is None:
                fold.accept([(ONE, MESSAGE)])
            else:
                fold.apply([fact], at_ms)
        return self._keep(fold)

    def match_waiting(self) -> None:
        """As the matcher does it."""
        fold = self._fold()
        found = [(w, self.known.get((w.carrier, w.receipt.carrier_message_id))) for w in self.waiting]
        self.waiting = [w for w, match in found if match is None]
        for fact, match in found:
            if match is not None:
                fold.match(fact, match)
        self._keep(fold)

    def _fold(self) -> Fold:
        self.folds += 1
        rows = {key: msgspec.structs.replace(row) for key, row in self.rows.items()}
        return Fold(rows, self.known, number=self.folds)

    def _keep(self, fold: Fold) -> Changes:
        changes = fold.finish()
        for bucket, sums in book([*changes.fresh, *changes.changed]).items():
            self.sums[bucket] = [a + b for a, b in zip(self.sums[bucket], sums, strict=True)]
        for row in changes.fresh:
            row.message = None
            self.rows[row.id] = row
        for row in changes.changed:
            row.rev += 1
            self.rows[row.id] = row
        self.waiting += changes.unmatched
        self.callbacks += [(due.event.seq, due.event.state) for due in changes.callbacks]
        self.submissions += [(f.attempt, f.part, f.kind) for _, f in changes.submissions]
        return changes

    @property
    def row(self) -> Row:
        return self.rows[ONE]

    def roll_ups_equal_rows(self) -> bool:
        expected: Delta = {}
        for row in self.rows.values():
            expected[bucket_of(row)] = [1, row.parts, row.cost_micro]
        return {bucket: sums for bucket, sums in self.sums.items() if any(sums)} == expected


def outcome(memory: Memory, *, times: bool) -> dict[str, Any]:
    """What of the row must not depend on batching; without times also not on order."""
    row = msgspec.structs.asdict(memory.row)
    drop = {"rev", "bucket", "booked_parts", "booked_cost", "booked_took", "message", "fold", "moved", "told"} | (
        set() if times else {"final_ms", "changed_ms"}
    )
    return {name: value for name, value in row.items() if name not in drop}


def after(*facts: AnyFact) -> Memory:
    memory = Memory()
    for fact in (None, *facts):
        memory.write([fact])
        assert memory.roll_ups_equal_rows()
    return memory


def state(*facts: AnyFact) -> str:
    return str(after(*facts).row.state)


@st.composite
def histories(draw: st.DrawFn) -> list[AnyFact]:
    """Facts of one message that do not contradict each other, in an order in which they could have happened."""
    facts: list[AnyFact] = []
    attempts = draw(st.integers(1, 3))
    delivers = draw(st.integers(0, attempts))  # the attempt that is delivered; 0: none
    for attempt in range(1, attempts + 1):
        whole = draw(st.booleans())
        parts = draw(st.integers(1, 4))
        bill = {"billed_on_delivery": draw(st.booleans()), "currency": draw(st.sampled_from(["RUB", "EUR"]))}
        for part in [0] if whole else range(1, parts + 1):
            say: dict[str, Any] = {"attempt": attempt, "parts": parts, **bill}
            way = draw(st.sampled_from(["taken", "healed", "doubted", "refused", "deferred"]))
            way = draw(st.sampled_from(["taken", "healed"])) if attempt == delivers else way
            if way in ("healed", "doubted"):
                facts.append(submitted(part, 3, **say))
            if way in ("taken", "healed"):
                facts.append(submitted(part, 0, late=way == "healed", **say))
                if attempt == delivers:
                    facts.append(receipt(part, attempt=attempt, at_ms=NOW_MS + 10 * part))
                elif attempts == 1 and draw(st.booleans()):
                    facts.append(receipt(part, "undeliverable", at_ms=NOW_MS + 10 * part))
            if way == "refused":
                facts.append(submitted(part, 2, **say))
            if way == "deferred":
                facts.append(submitted(part, 1, **say))
        if attempt == attempts and draw(st.booleans()) and not delivers:
            facts.append(Held(ONE, attempt, "no_answer"))
    return facts


def _key(fact: AnyFact) -> object:
    if isinstance(fact, Submitted):
        return (fact.attempt, fact.part)
    return id(fact)


@given(histories(), st.data())
@settings(max_examples=300)
def test_any_batching_and_doubling_gives_the_same_row(history: list[AnyFact], data: st.DataObject) -> None:
    expected = after(*history)
    story: list[AnyFact | None] = [None]
    for fact in history:
        story.append(fact)
        doubles = isinstance(fact, Received) or (isinstance(fact, Submitted) and fact.kind == 0)
        if doubles and data.draw(st.booleans()):
            story.append(fact)
    memory = Memory()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(story)))))
    for first, last in itertools.pairwise([0, *cuts, len(story)]):
        memory.write(story[first:last])
        assert memory.roll_ups_equal_rows()
    assert outcome(memory, times=True) == outcome(expected, times=True)
    assert memory.callbacks == expected.callbacks
    assert memory.submissions == expected.submissions


@given(histories(), st.data())
@settings(max_examples=300)
def test_any_order_of_facts_that_do_not_contradict_gives_the_same_row(
    history: list[AnyFact], data: st.DataObject
) -> None:
    expected = after(*history)
    order = data.draw(st.permutations(history))
    queues: defaultdict[object, list[AnyFact]] = defaultdict(list)
    for fact in history:
        queues[_key(fact)].append(fact)
    shuffled = [queues[_key(fact)].pop(0) for fact in order]  # the answers to one submission keep their order
    memory = Memory()
    memory.write([None])
    for fact in shuffled:
        memory.write([fact])
        memory.match_waiting()
        assert memory.roll_ups_equal_rows()
    assert not memory.waiting
    assert outcome(memory, times=False) == outcome(expected, times=False)
    assert sorted(memory.submissions) == sorted(expected.submissions)


@given(st.lists(st.tuples(st.integers(0, 3_600_000 * 3), st.sampled_from("ab"), st.integers(0, 5)), max_size=30))
def test_the_hours_of_a_delta_sum_up_its_minutes(changes: Sequence[tuple[int, str, int]]) -> None:
    delta: Delta = {}
    for at_ms, client, parts in changes:
        delta[(at_ms // 60_000 * 60_000, 0, client, "otp", "", "", "accepted", "", "")] = [1, parts, 0]
    hours = by_hour(delta)
    assert all(bucket[0] % 3_600_000 == 0 for bucket in hours)
    assert [sum(s[n] for s in hours.values()) for n in range(3)] == [
        sum(s[n] for s in delta.values()) for n in range(3)
    ]


def test_one_part_goes_from_accepted_to_delivered_and_is_charged_once() -> None:
    memory = after(submitted(), submitted(), receipt(), receipt())
    assert (memory.row.state, memory.row.cost_micro, memory.row.seq) == ("delivered", 1000, 1)
    assert memory.callbacks == [(1, "delivered")]


def test_a_message_is_delivered_when_every_part_is() -> None:
    parts = [submitted(n, parts=3) for n in (1, 2, 3)]
    assert state(*parts, receipt(1), receipt(3)) == "submitted"
    assert state(*parts, receipt(1), receipt(3), receipt(2)) == "delivered"


def test_a_carrier_that_takes_a_message_whole_is_paid_for_all_its_parts() -> None:
    memory = after(submitted(0, parts=3), receipt(0))
    assert (memory.row.state, memory.row.cost_micro, memory.row.parts) == ("delivered", 3000, 3)


def test_any_undeliverable_part_makes_the_message_undeliverable() -> None:
    parts = [submitted(n, parts=2) for n in (1, 2)]
    memory = after(*parts, receipt(1), receipt(2, "undeliverable"), receipt(2))
    assert memory.row.state == "undeliverable"
    assert (memory.row.delivered, memory.row.undeliverable) == (1, 2), "what contradicts is not counted"


@pytest.mark.parametrize(
    ("said", "becomes", "reason"),
    [
        ("rejected", "rejected", "blocked"),
        ("expired", "expired", "carrier_expired"),
        ("deleted", "undeliverable", "carrier_deleted"),
        ("enroute", "submitted", ""),
        ("accepted", "submitted", ""),
        ("unknown", "submitted", ""),
    ],
)
def test_what_a_receipt_says_becomes_a_state_and_a_reason(said: str, becomes: str, reason: str) -> None:
    row = after(submitted(), receipt(state=said)).row
    assert (row.state, row.reason) == (becomes, reason)


def test_a_late_contradiction_flips_nothing() -> None:
    assert state(submitted(), receipt(), receipt(state="undeliverable")) == "delivered"
    assert state(Ended(ONE, "failed", "no_route"), submitted(), receipt()) == "failed"
    assert state(submitted(), receipt(), Ended(ONE, "cancelled", "cancelled")) == "delivered"


def test_an_expiry_for_want_of_a_receipt_yields_to_a_receipt() -> None:
    memory = after(submitted(), Ended(ONE, "expired", "no_receipt"), receipt())
    assert (memory.row.state, memory.row.reason) == ("delivered", "")
    assert memory.callbacks == [(1, "expired"), (2, "delivered")]
    assert state(submitted(), Ended(ONE, "expired", "validity"), receipt()) == "delivered", "it was with the carrier"


def test_only_what_is_with_a_carrier_expires_for_want_of_a_receipt() -> None:
    assert state(Ended(ONE, "expired", "no_receipt")) == "accepted"


def test_a_held_message_is_unknown_until_every_part_is_accepted_late() -> None:
    held: list[AnyFact] = [submitted(1, parts=2), submitted(2, 3, parts=2), Held(ONE, 1, "no_answer")]
    memory = after(*held)
    assert (memory.row.state, memory.row.reason, memory.row.unsure) == ("unknown", "no_answer", 2)
    healed = after(*held, submitted(2, 0, parts=2, late=True))
    assert (healed.row.state, healed.row.reason, healed.row.unsure) == ("submitted", "", 0)


def test_an_answer_to_an_uncertain_submission_heals_it_and_is_charged_once() -> None:
    memory = after(submitted(1, 3))
    changes = memory.write([submitted(1, 0, late=True), submitted(1, 0, late=True)])
    assert len(changes.healed) == 1
    assert not changes.submissions
    assert memory.row.cost_micro == 1000


def cost_plainly(history: Sequence[AnyFact]) -> tuple[int, str]:
    """Once for each unit that was taken, or that arrived where delivery is billed; in the last attempt's currency."""
    facts = [fact for fact in history if isinstance(fact, Submitted)]
    arrived = {
        fact.receipt.carrier_message_id
        for fact in history
        if isinstance(fact, Received) and fact.receipt.state == "delivered"
    }
    currency = max(facts, key=lambda fact: fact.attempt).currency if facts else ""
    taken = {(fact.attempt, fact.part): fact for fact in facts if fact.kind == 0 and fact.currency == currency}
    return sum(
        fact.price_micro * (1 if fact.part else fact.parts)
        for fact in taken.values()
        if not fact.billed_on_delivery or fact.carrier_message_id in arrived
    ), currency


@given(histories())
def test_cost_is_booked_once_by_part_when_it_is_taken_or_when_it_arrives(history: list[AnyFact]) -> None:
    doubled: list[AnyFact] = [*history, *(fact for fact in history if isinstance(fact, Received))]
    memory = after(*doubled)
    assert (memory.row.cost_micro, memory.row.currency) == cost_plainly(history)


def test_where_delivery_is_billed_late_and_doubled_receipts_book_once() -> None:
    bill: dict[str, Any] = {"billed_on_delivery": True, "parts": 2}
    memory = after(submitted(1, **bill), submitted(2, **bill))
    assert (memory.row.state, memory.row.cost_micro) == ("submitted", 0)
    memory.write([receipt(1), receipt(1)])
    assert memory.row.cost_micro == 1000
    memory.write([Ended(ONE, "expired", "no_receipt")])
    assert (memory.row.state, memory.row.cost_micro) == ("expired", 1000)
    memory.write([receipt(2)])
    memory.write([receipt(2), receipt(1)])
    assert (memory.row.state, memory.row.cost_micro) == ("delivered", 2000)
    assert memory.roll_ups_equal_rows()


def test_where_delivery_is_billed_what_never_arrives_costs_nothing() -> None:
    memory = after(submitted(billed_on_delivery=True), receipt(state="undeliverable"), receipt())
    assert (memory.row.state, memory.row.cost_micro) == ("undeliverable", 0)
    whole = after(submitted(0, parts=3, billed_on_delivery=True), receipt(0))
    assert whole.row.cost_micro == 3000


def test_a_refusal_is_a_ledger_row_and_the_end_is_said_by_us() -> None:
    refused = submitted(1, 2)
    assert state(refused) == "routed"
    row = after(refused, Ended(ONE, "rejected", "invalid_sender", 1)).row
    assert (row.state, row.carrier, row.cost_micro) == ("rejected", "carrier1", 0)


def test_a_message_does_not_fail_while_an_attempt_is_with_a_carrier() -> None:
    lost = [submitted(1, 3), submitted(1, 2, attempt=2), submitted(1, 0, late=True)]
    assert state(*lost, Ended(ONE, "rejected", "blocked", 2)) == "submitted"
    assert state(*lost, Ended(ONE, "rejected", "blocked", 2), receipt()) == "delivered"


def test_an_undeliverable_attempt_waits_for_another_that_is_open() -> None:
    both = [submitted(1, 3), submitted(attempt=2), submitted(1, 0, late=True)]
    assert state(*both, receipt(state="undeliverable")) == "submitted"
    assert state(*both, receipt(state="undeliverable"), receipt(attempt=2)) == "delivered"
    failed = after(*both, receipt(state="undeliverable"), receipt(state="undeliverable", attempt=2))
    assert (failed.row.state, failed.row.cost_micro) == ("undeliverable", 3000)


def test_a_scheduled_message_moves_to_another_time_with_its_validity() -> None:
    memory = Memory()
    fold = memory._fold()
    fold.accept([(ONE, msgspec.structs.replace(MESSAGE, send_at_ms=NOW_MS + 60_000))])
    memory._keep(fold)
    assert memory.row.state == "scheduled"
    memory.write([Rescheduled(ONE, NOW_MS + 120_000)])
    assert (memory.row.send_at_ms, memory.row.deadline_ms) == (NOW_MS + 120_000, NOW_MS + 420_000)
    memory.write([submitted()])
    assert memory.row.state == "submitted"
    memory.write([Rescheduled(ONE, NOW_MS + 180_000)])
    assert memory.row.send_at_ms == NOW_MS + 120_000, "too late"


@pytest.mark.parametrize("before", [(), (receipt(),), (receipt(state="undeliverable"),)])
@pytest.mark.parametrize("given", [{}, {"part": 0, "parts": 3}, {"part": 2, "parts": 3, "attempt": 2}, {"sent_ms": 0}])
def test_the_first_answer_says_the_same_on_the_short_way_and_on_the_long_one(
    before: Sequence[Received], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered() -> Memory:
        memory = after()
        fold = memory._fold()
        for early in before:
            fold.match(early, (ONE, given.get("attempt", 1), given.get("part", 1), "id", 0, "RUB"))
        fold.apply([submitted(**given)], NOW_MS + 5)
        memory._keep(fold)
        return memory

    short = answered()
    monkeypatch.setattr(judge, "_submit_first", judge._submit)
    long = answered()
    assert msgspec.structs.asdict(short.row) == msgspec.structs.asdict(long.row)


def test_facts_about_an_unknown_message_are_strays() -> None:
    changes = Memory().write([Ended(ONE, "failed", "damaged"), Parked(ONE, 1, "throttled", NOW_MS), submitted()])
    assert len(changes.strays) == 3
    assert len(changes.submissions) == 1, "the ledger of submissions has no gap"


def test_test_messages_stand_in_no_roll_up() -> None:
    fold = Fold({}, {})
    fold.accept([(ONE, msgspec.structs.replace(MESSAGE, test=True))])
    assert book(fold.finish().fresh) == {}


# Carriers that report on one part alone


def spoken(part: int, state: str = "delivered") -> Received:
    return Received("carrier1", NOW_MS + 9, Receipt(f"1.{part}", state, whole=True))


@pytest.mark.parametrize("part", [1, 3])
def test_the_one_receipt_of_a_carrier_speaks_for_all_parts(part: int) -> None:
    memory = Memory()
    memory.write([None, *(submitted(n, parts=3) for n in (1, 2, 3)), spoken(part)])
    assert memory.rows[ONE].state == "delivered"


def test_it_speaks_for_no_part_that_the_carrier_does_not_have_yet() -> None:
    memory = Memory()
    memory.write([None, submitted(1, parts=2), spoken(1)])
    assert memory.rows[ONE].state == "submitted"
    changes = memory.write([submitted(2, parts=2)])
    assert memory.rows[ONE].state == "delivered" and changes.finals == ["delivered"]
    assert [state for _, state in memory.callbacks] == ["delivered"]


def test_one_receipt_of_failure_ends_the_message() -> None:
    memory = Memory()
    memory.write([None, submitted(1, parts=2), submitted(2, parts=2), spoken(2, "undeliverable")])
    assert memory.rows[ONE].state == "undeliverable"
