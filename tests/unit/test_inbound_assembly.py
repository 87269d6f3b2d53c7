"""Subscribers' messages put together: parts in any order, doubled, missing, with references that repeat."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gateway.plan.document import InboundRule
from gateway.plan.inbound import client_of
from gateway.receipts.assembly import PARTS_MS, SAME_MS, Assembled, Piece, assemble

NOW_MS = 1_795_300_000_000
_numbers = itertools.count(1)


def piece(text: str, number: int = 0, total: int = 0, *, at_ms: int = NOW_MS, **given: Any) -> Piece:
    values: dict[str, Any] = {
        "id": next(_numbers).to_bytes(16, "big"), "at_ms": at_ms, "carrier": "north", "sender": "79161234567",
        "recipient": "1234", "text": text, "raw": b"", "reference": 7 if total else -1, "total": total,
        "number": number,
    }  # fmt: skip
    return Piece(**(values | given))


def texts(found: Assembled) -> list[str]:
    return [whole.text for whole in found.wholes]


def test_parts_in_any_order_are_one_message() -> None:
    parts = [piece(text, n, 3, at_ms=NOW_MS + n) for n, text in ((3, "c"), (1, "a"), (2, "b"))]
    for order in itertools.permutations(parts):
        found = assemble(order, NOW_MS + 10)
        assert texts(found) == ["abc"] and not found.waiting and found.wholes[0].missing == 0
        assert found.wholes[0].head.number == 1  # the first that came


def test_more_than_nine_parts_stand_in_the_order_of_their_numbers() -> None:
    parts = [piece(f"{n} ", n, 12) for n in range(12, 0, -1)]
    assert texts(assemble(parts, NOW_MS)) == ["1 2 3 4 5 6 7 8 9 10 11 12 "]


def test_a_doubled_part_is_a_repeat_of_its_message() -> None:
    one, two, again = piece("a", 1, 2), piece("b", 2, 2, at_ms=NOW_MS + 5), piece("a", 1, 2, at_ms=NOW_MS + 3)
    found = assemble([one, two, again], NOW_MS + 10)
    assert texts(found) == ["ab"] and found.repeats == [(again, one.id)]


def test_a_part_that_comes_again_after_its_message_is_a_repeat() -> None:
    head = piece("a", 1, 2, settled=True, head=b"h" * 16)
    other = piece("b", 2, 2, settled=True, head=b"h" * 16)
    again = piece("b", 2, 2, at_ms=NOW_MS + 9)
    found = assemble([head, other, again], NOW_MS + 10)
    assert found == Assembled(repeats=[(again, b"h" * 16)])


def test_a_missing_part_is_waited_for_and_then_not() -> None:
    parts = [piece("a", 1, 3), piece("c", 3, 3, at_ms=NOW_MS + 1000)]
    found = assemble(parts, NOW_MS + PARTS_MS - 1)
    assert not found.wholes and found.waiting == [(p, NOW_MS + PARTS_MS) for p in parts]
    found = assemble(parts, NOW_MS + PARTS_MS)
    assert texts(found) == ["ac"] and found.wholes[0].missing == 1


def test_a_part_after_the_time_is_a_message_of_its_own() -> None:
    head = piece("a", 1, 2, settled=True, head=b"h" * 16)
    late = piece("b", 2, 2, at_ms=NOW_MS + PARTS_MS - 1)
    found = assemble([head, late], NOW_MS + 3 * PARTS_MS)
    assert texts(found) == ["b"] and found.wholes[0].missing == 1


@pytest.mark.parametrize("other", [{"sender": "79160000000"}, {"recipient": "4321"}, {"carrier": "south"}])
def test_the_same_reference_of_another_dialogue_is_another_message(other: dict[str, str]) -> None:
    parts = [piece("a", 1, 2), piece("x", 1, 2, **other), piece("y", 2, 2, **other), piece("b", 2, 2)]
    assert sorted(texts(assemble(parts, NOW_MS))) == ["ab", "xy"]


def test_another_reference_or_number_of_parts_is_another_message() -> None:
    parts = [piece("a", 1, 2), piece("x", 1, 2, reference=0x1234), piece("b", 2, 2), piece("y", 2, 2, reference=0x1234)]
    assert sorted(texts(assemble(parts, NOW_MS))) == ["ab", "xy"]
    assert not assemble([piece("a", 1, 2), piece("b", 2, 3)], NOW_MS).wholes


def test_a_reference_that_is_used_anew_begins_a_new_message() -> None:
    parts = [piece("a", 1, 2), piece("x", 1, 2, at_ms=NOW_MS + 5), piece("y", 2, 2, at_ms=NOW_MS + 6)]
    found = assemble(parts, NOW_MS + 10)
    assert texts(found) == ["xy"] and [p.text for p, _ in found.waiting] == ["a"]


def test_the_same_text_within_a_minute_is_a_repeat_and_later_a_message() -> None:
    first, again, later = (piece("YES", at_ms=NOW_MS + after) for after in (0, SAME_MS, SAME_MS + 1))
    found = assemble([first, again, later], NOW_MS + 2 * SAME_MS)
    assert texts(found) == ["YES", "YES"] and found.repeats == [(again, first.id)]
    assert texts(assemble([first, piece("NO")], NOW_MS)) == ["YES", "NO"]


def test_what_cannot_be_read_is_damaged_and_no_message() -> None:
    broken = piece("", sender="", recipient="", raw=b"\x00\x01")
    assert assemble([broken], NOW_MS) == Assembled(damaged=[broken])


RULES = (
    InboundRule(client="club", number="1234", keyword="Join"),
    InboundRule(client="votes", number="+1234"),
    InboundRule(client="help", keyword="помощь"),
    InboundRule(client="brand", number="Sluice"),
)


@pytest.mark.parametrize(
    ("number", "text", "client"),
    [
        ("1234", "join us", "club"),
        ("1234", "JOIN!", "club"),
        ("1234", "joined", "votes"),
        ("+1234", "", "votes"),
        ("79160000000", "Помощь, срочно", "help"),
        ("SLUICE", "hello", "brand"),
        ("79160000000", "hello", ""),
    ],
)
def test_the_first_rule_that_matches_names_the_client(number: str, text: str, client: str) -> None:
    assert client_of(RULES, number, text) == client
