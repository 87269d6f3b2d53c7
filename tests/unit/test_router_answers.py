"""What lookups said comes before the tables, and what they did not say shows in the source."""

import pytest

from gateway.numbering.directory import Directory
from gateway.plan.document import Operator
from gateway.router import answers as module
from gateway.router.answers import Answers, Listening
from gateway.router.lookup import pointed

OPERATORS = (
    Operator(name="red", prefixes=("7916",), country="RU"),
    Operator(name="blue", aliases=("Blue Networks",), mcc_mnc="25099"),
    Operator(name="rest", prefixes=("",)),
)
TO = "+79161234567"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.mark.parametrize(
    ("said", "operator", "source"),
    [("25099", "blue", "lookup"), ("BLUE NETWORKS LLC", "blue", "lookup"), ("25001", "rest", "rest")],
)
def test_an_answer_comes_before_the_tables(clock: Clock, said: str, operator: str, source: str) -> None:
    answers = Answers()
    listening = Listening(Directory(OPERATORS), answers)
    answers.put(TO, said, clock.now + 10)
    whose = listening.find(TO)
    assert whose is not None and (whose.operator, whose.source, whose.country) == (operator, source, "RU")
    assert listening.find(TO) is whose
    clock.now += 11
    again = listening.find(TO)
    assert again is not None and (again.operator, again.source) == ("red", "plan")


def test_a_failure_shows_in_the_source_for_a_while(clock: Clock) -> None:
    answers = Answers()
    listening = Listening(Directory(OPERATORS), answers)
    answers.fail(TO, "timeout")
    assert answers.knows(TO)
    whose = listening.find(TO)
    assert whose is not None and (whose.operator, whose.source) == ("red", "plan (lookup: timeout)")
    assert listening.find(TO) is whose
    clock.now += module.FAILED_S + 1
    assert not answers.knows(TO)
    again = listening.find(TO)
    assert again is not None and again.source == "plan"


@pytest.mark.parametrize(
    ("document", "pointer", "text"),
    [
        ({"mccmnc": "25001"}, "/mccmnc", "25001"),
        ({"mccmnc": 25001}, "/mccmnc", "25001"),
        ({"network": {"code": "250-01"}}, "/network/code", "25001"),
        ({"results": [{"a/b": "МТС  ПАО"}]}, "/results/0/a~1b", "МТС ПАО"),
        ({"mccmnc": None}, "/mccmnc", ""),
        ({"mccmnc": True}, "/mccmnc", ""),
        ({}, "/mccmnc", ""),
        (["x"], "/1", ""),
        ("x", "/a", ""),
    ],
)
def test_the_answer_is_where_the_pointer_leads(document: object, pointer: str, text: str) -> None:
    assert pointed(document, pointer) == text
