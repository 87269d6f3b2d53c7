"""The account of a chaotic run: nothing is wrong with sound evidence, and each damage is found by its check."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from gateway.embedded.sandbox.journal import Line
from tests.chaos.account import CHECKS, findings
from tests.chaos.evidence import Evidence, Message, Receipt, Submission
from tests.chaos.kills import schedule
from tests.chaos.stage import VICTIMS

TO = {"one": "+79160000001", "two": "+79160000002", "held": "+79160000003", "otp": "+79160000004"}


def sound() -> Evidence:
    """One that is delivered in two parts, one that is not, one that was in doubt and is on no phone, and one that was
    in doubt and came twice."""
    messages = [
        Message("one", TO["one"], "otp", "delivered", "", 2, 2_500_000),
        Message("two", TO["two"], "marketing", "undeliverable", "unreachable", 2, 0),
        Message("held", TO["held"], "marketing", "expired", "no_receipt", 2, 0),
        Message("otp", TO["otp"], "otp", "delivered", "", 2, 1_250_000),
    ]
    submissions = [
        Submission("one", 1, 1, 2, 0, False, "east", "e1", 1_250_000, False),
        Submission("one", 1, 2, 2, 0, False, "east", "e2", 1_250_000, False),
        Submission("two", 1, 1, 1, 0, False, "west", "w1", 2_500_000, True),
        Submission("held", 1, 1, 1, 3, False, "east", "", 1_250_000, False),
        Submission("otp", 1, 1, 1, 3, False, "east", "", 1_250_000, False),
        Submission("otp", 2, 1, 1, 0, False, "east", "e4", 1_250_000, False),
    ]
    receipts = [
        Receipt("one", 1, 1, "delivered"),
        Receipt("one", 1, 2, "delivered"),
        Receipt("one", 1, 2, "delivered"),
        Receipt("two", 1, 1, "undeliverable"),
        Receipt("otp", 2, 1, "delivered"),
    ]
    phones = [
        ("east", Line(1.0, "e1", TO["one"], 1, 2, "")),
        ("east", Line(1.0, "e2", TO["one"], 2, 2, "")),
        ("west", Line(1.0, "w1", TO["two"], 1, 1, "")),
        ("east", Line(1.0, "e3", TO["otp"], 1, 1, "")),
        ("east", Line(2.0, "e4", TO["otp"], 1, 1, "")),
    ]
    return Evidence(
        accepted={to: name for name, to in TO.items()},
        messages={message.id: message for message in messages},
        submissions=submissions,
        receipts=receipts,
        phones=phones,
        heard={
            "one": {1: "submitted", 2: "delivered"},
            "two": {1: "submitted", 2: "undeliverable"},
            "held": {1: "unknown", 2: "expired"},
            "otp": {1: "submitted", 2: "delivered"},
        },
        failures={"two": {2: "undeliverable"}},
        own=frozenset({"held"}),
        doubtful=1,
    )


def test_nothing_is_wrong_with_sound_evidence() -> None:
    assert findings(sound()) == []


Damage = Callable[[Evidence], None]


def change(name: str, **fields: object) -> Damage:
    """Another row of a message."""

    def do(e: Evidence) -> None:
        e.messages = dict(e.messages) | {name: msgspec.structs.replace(e.messages[name], **fields)}

    return do


def without(field: str, index: int) -> Damage:
    """One of a list is missing."""

    def do(e: Evidence) -> None:
        rows = list(getattr(e, field))
        del rows[index]
        setattr(e, field, rows)

    return do


def again(field: str, index: int, **fields: object) -> Damage:
    """One of a list is there once more, a little changed."""

    def do(e: Evidence) -> None:
        rows = list(getattr(e, field))
        setattr(e, field, [*rows, msgspec.structs.replace(rows[index], **fields)])

    return do


def taken(carrier: str, name: str, to: str) -> Damage:
    """A phone got one more part."""
    return lambda e: setattr(e, "phones", [*e.phones, (carrier, Line(3.0, name, to, 1, 1, ""))])


def lose(name: str) -> Damage:
    """A row of a message is gone."""
    return lambda e: setattr(e, "messages", {i: m for i, m in e.messages.items() if i != name})


def tell(name: str, events: dict[int, str]) -> Damage:
    """An application heard otherwise of a message."""
    return lambda e: setattr(e, "heard", dict(e.heard) | {name: events})


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("states", lose("two")),
        ("states", lambda e: setattr(e, "accepted", {TO["one"]: "one"})),
        ("states", lambda e: setattr(e, "accepted", dict(e.accepted) | {"+79160000009": "one"})),
        ("states", change("held", state="unknown", reason="")),
        ("states", change("held", state="asleep")),
        ("phones", without("phones", 0)),
        ("phones", again("submissions", 2, carrier_id="w9")),
        ("phones", taken("west", "w9", TO["two"])),
        ("phones", taken("west", "w9", "+79169999999")),
        ("phones", taken("west", "e1", TO["one"])),
        ("phones", without("submissions", 3)),
        ("phones", change("held", klass="otp")),
        ("doubled", taken("west", "w9", TO["two"])),
        ("doubled", taken("east", "e9", TO["otp"])),
        ("doubled", without("submissions", 4)),
        ("costs", change("one", cost_micro=1_250_000)),
        ("costs", change("two", cost_micro=2_500_000)),
        ("costs", again("submissions", 0)),
        ("endings", change("two", state="delivered", reason="")),
        ("endings", change("one", state="expired", reason="no_receipt")),
        ("endings", change("held", state="undeliverable")),
        ("endings", without("receipts", 0)),
        ("callbacks", tell("one", {1: "submitted"})),
        ("callbacks", tell("one", {2: "delivered"})),
        ("callbacks", tell("one", {1: "submitted", 2: "delivered", 3: "delivered"})),
        ("callbacks", tell("one", {1: "submitted", 2: "expired"})),
        ("callbacks", tell("ghost", {1: "delivered"})),
        ("callbacks", lambda e: setattr(e, "failures", {})),
    ],
)
def test_a_damage_is_found_by_its_check(check: str, damage: Damage) -> None:
    evidence = sound()
    damage(evidence)
    found = findings(evidence)
    assert [said for said in found if said.startswith(check)], found
    assert check in [one.__name__ for one in CHECKS]


def test_a_seed_says_who_is_killed_when_and_everybody_is() -> None:
    kills = schedule(7, 300_000)
    assert kills == schedule(7, 300_000) != schedule(8, 300_000)
    assert [kill.share for kill in kills] == sorted(kill.share for kill in kills)
    assert all(sum(name in kill.victims for kill in kills) >= 6 for name in VICTIMS)
    assert all(len(set(kill.victims)) == len(kill.victims) == len(kill.away_s) for kill in kills)
