"""What an examination concludes from what it saw of a carrier, and what it leaves open."""

from __future__ import annotations

import pytest

from gateway.smpp import pdu
from providers.smpp.findings import Findings, Tried, about_receipts, window_of
from providers.smpp.probe import Answer, Delivered


def found(short: str, long: tuple[str, ...]) -> Findings:
    """A letter a part, in capitals where a receipt came: `AAb`, (`cD`, `eF`)."""
    messages = [Tried("short", [answer(name)]) for name in short]
    messages += [Tried("udh8", [answer(name) for name in parts]) for parts in long]
    came = [name for name in short + "".join(long) if name.isupper()]
    made = Findings()
    about_receipts(made, messages, [delivered(name) for name in came])
    return made


def answer(name: str) -> Answer:
    return Answer(0, b"id-" + name.lower().encode() + b"\0")


def delivered(name: str) -> Delivered:
    text = f"id:id-{name.lower()} done date:2611221001 stat:DELIVRD err:000".encode()
    return Delivered(pdu.DELIVER_SM, pdu.ShortMessage(esm_class=4, message=text), 1_795_341_660.0)


def test_receipts_for_one_part_alone_are_a_setting_where_nothing_else_is_missing() -> None:
    assert found("ABCDEF", ("gH", "iJ", "kL")).settings["receipts_for"] == "last"
    assert found("ABCDEF", ("Gh", "Ij", "Kl")).settings["receipts_for"] == "first"
    assert found("ABCDEF", ("Gh", "iJ", "kl")).settings["receipts_for"] == "all"
    assert found("AbCdEF", ("gH", "iJ", "kL", "mN", "oP")).settings["receipts_for"] == "last"


@pytest.mark.parametrize("long", [("gH", "ij", "kL"), ("gH", "iJ", "kL"), ("gH",)])
def test_receipts_that_may_only_be_late_tell_nothing_of_the_parts(long: tuple[str, ...]) -> None:
    made = found("AbCdEf", long)
    assert "receipts_for" not in made.settings
    assert "wait longer" in dict(made.lines)["receipts of parts"]


def test_a_window_is_seen_where_all_that_is_more_is_refused() -> None:
    assert window_of([0] * 10 + [0x14] * 40) == 10
    assert window_of([0] * 10 + [0x14, 0, 0x14, 0x14, 0x08, 0x14]) == 11
    assert window_of([0] * 5 + [0x14] + [0] * 40 + [0x14, 0, 0]) is None
    assert window_of([0] * 50) is None
