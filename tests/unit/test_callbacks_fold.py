"""What a fold tells whom: an event for each change that somebody chose, counted by message."""

from __future__ import annotations

from gateway.callbacks.audience import NOBODY, Audience, Listener
from gateway.events import AnyFact, Ended, Held, Received, Submitted
from gateway.ledger.fold import Fold
from gateway.ledger.rows import CallbackDue
from gateway.message import Message
from gateway.provider import Receipt

ONE = bytes.fromhex("019aa1b2c3d4700081a2b3c4d5e6f708")
NOW_MS = 1_795_300_000_000
BOTH = Audience(
    [Listener("ep_1", "shop", ("submitted", "delivered", "unknown")), Listener("ep_2", "shop", ("failed",))]
)


def message(**given: object) -> Message:
    fields = {"ref": "order-1", "tag": "spring", "meta": b'{"a":1}'} | given
    return Message("shop", "otp", "+79160000001", "Sluice", "hello", "gsm7", 1, 300, **fields)  # type: ignore[arg-type]


def submitted() -> Submitted:
    return Submitted(ONE, 1, 1, 1, "alpha", "b", 0, "", "", "c1", "mts", 1, "RUB", 1, "r", 1, NOW_MS, NOW_MS, 5)


def receipt() -> Received:
    return Received("alpha", NOW_MS + 9, Receipt("c1", "delivered"))


def told(audience: Audience, *facts: AnyFact, accepted: Message | None = None) -> list[CallbackDue]:
    fold = Fold({}, {}, audience)
    fold.accept([(ONE, accepted or message())])
    fold.apply(facts, NOW_MS)
    return fold.finish().callbacks


def test_each_change_that_an_endpoint_chose_is_an_event_and_seq_grows() -> None:
    found = told(BOTH, submitted(), receipt())
    assert [(d.target.endpoint, d.event.state, d.event.seq) for d in found] == [
        ("ep_1", "submitted", 1),
        ("ep_1", "delivered", 2),
    ]
    event = found[-1].event
    assert (event.id, event.ref, event.tag, event.meta, event.url) == (ONE, "order-1", "spring", '{"a":1}', "")


def test_an_event_that_several_endpoints_get_is_one_event() -> None:
    twice = Audience([Listener("ep_1", "shop", ("delivered",)), Listener("ep_2", "shop", ("delivered",))])
    found = told(twice, submitted(), receipt())
    assert [(d.target.endpoint, d.event.seq) for d in found] == [("ep_1", 1), ("ep_2", 1)]


def test_a_callback_url_stands_in_for_the_endpoints_and_hears_of_the_end() -> None:
    found = told(BOTH, submitted(), receipt(), accepted=message(callback_url="https://app.example/x"))
    assert [(d.target.name, d.event.state, d.event.url) for d in found] == [
        ("shop https://app.example", "delivered", "https://app.example/x")
    ]


def test_nobody_to_tell_is_no_event_and_counts_nothing() -> None:
    fold = Fold({}, {}, NOBODY)
    fold.accept([(ONE, message())])
    fold.apply([submitted(), receipt()], NOW_MS)
    assert fold.finish().callbacks == [] and fold.rows[ONE].seq == 0 and fold.rows[ONE].ref is None


def test_a_held_message_and_a_failed_one_are_told_of() -> None:
    assert [d.event.state for d in told(BOTH, Held(ONE, 1, "no_answer"))] == ["unknown"]
    assert [(d.target.endpoint, d.event.reason) for d in told(BOTH, Ended(ONE, "failed", "no_route"))] == [
        ("ep_2", "no_route")
    ]


def test_what_was_accepted_before_there_was_an_endpoint_is_not_told_with_half_of_its_fields() -> None:
    before = Fold({}, {}, NOBODY)
    before.accept([(ONE, message())])
    after = Fold(before.rows, {}, BOTH)
    after.apply([Ended(ONE, "failed", "no_route")], NOW_MS)
    assert after.finish().callbacks == []
