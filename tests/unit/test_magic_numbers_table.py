"""The table of magic numbers holds together, and the sandbox plays it for everybody but nowhere else."""

from __future__ import annotations

import json

import phonenumbers
import pytest

from gateway.embedded.sandbox.magic import PREFIX, TABLE, Magic
from gateway.embedded.sandbox.magic_tries import LIMIT, Tries
from gateway.message import FINAL
from gateway.text import numbers


@pytest.mark.parametrize("magic", TABLE, ids=lambda magic: magic.number)
def test_a_magic_number_can_be_sent_to_and_is_nobodys(magic: Magic) -> None:
    assert magic.number.startswith("+" + PREFIX) and numbers.parse(magic.number, "RU") == magic.number
    parsed = phonenumbers.parse(magic.number)
    assert phonenumbers.is_possible_number(parsed) and not phonenumbers.is_valid_number(parsed)
    assert magic.state in FINAL and (magic.state == "delivered") is (magic.reason is None)


def test_there_is_a_number_for_every_outcome_and_each_is_there_once() -> None:
    assert len({magic.number for magic in TABLE}) == len({magic.title for magic in TABLE}) == len(TABLE) >= 14
    carriers_say = {"delivered", "undeliverable", "rejected", "expired"}
    assert {magic.state for magic in TABLE} == carriers_say
    assert {magic.stays for magic in TABLE} == {None, "unknown", "submitted"}


def test_refusals_come_one_after_another_for_each_message_and_begin_anew_after_it_was_taken() -> None:
    tries = Tries()
    (magic,) = [m for m in TABLE if len(m.refusals) == 3]
    first = [tries.fate(magic, 1, 1.0).status for _ in range(5)]
    other = [tries.fate(magic, 2, 1.0).status for _ in range(4)]
    assert first == [0x58, 0x58, 0x58, 0, 0x58] and other == [0x58, 0x58, 0x58, 0]


def test_what_is_remembered_of_refusals_is_bounded() -> None:
    tries = Tries()
    (magic,) = [m for m in TABLE if len(m.refusals) == 2]
    for message in range(LIMIT + 10):
        tries.fate(magic, message, 1.0)
    assert [tries.fate(magic, message, 1.0).status for message in (0, 0, 0)] == [0x14, 0x14, 0]
    assert len(json.dumps(tries._refused)) < LIMIT * 20
