"""The plan that `sluice up` starts with."""

import pytest

from gateway.embedded.sample_plan import sample
from gateway.message import CLASSES
from gateway.plan.check import check
from gateway.plan.choice import Choice, Compiled
from gateway.plan.matching import Facts
from gateway.provider_modules import check_whole

PLACE = '/data "here"/секрет\\x'


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    checked = check(sample("127.0.0.1", 2775, PLACE), {"smpp"})
    assert checked.problems == []
    assert checked.plan is not None
    return Compiled(checked.plan, 1)


@pytest.mark.parametrize(
    ("to", "operator"),
    [
        ("+79161234567", "mts"),
        ("+79881234567", "mts"),
        ("+79261234567", "megafon"),
        ("+79031234567", "beeline"),
        ("+79651234567", "beeline"),
        ("+79011234567", "tele2"),
        ("+79531234567", "tele2"),
        ("+79771234567", "tele2"),
        ("+79941234567", "russia"),
        ("+77011234567", "other"),
        ("+4915112345678", "other"),
    ],
)
def test_every_number_of_every_class_has_an_operator_a_price_and_the_sandbox_carrier(
    compiled: Compiled, to: str, operator: str
) -> None:
    for klass in CLASSES:
        for test in (False, True):
            choice = compiled.choose(Facts(to, klass, "anyone", test=test))
            assert isinstance(choice, Choice)
            assert (choice.carrier, choice.operator, choice.currency) == ("sandbox", operator, "RUB")
            assert (choice.price_micro > 0) is not test  # what a test key sends costs nothing


def test_the_sandbox_carrier_is_reached_where_it_was_started(compiled: Compiled) -> None:
    settings = compiled.carriers["sandbox"].settings
    assert (settings["host"], settings["port"], settings["password"]) == ("127.0.0.1", 2775, {"file": PLACE})


def test_with_a_web_side_belarus_goes_there_and_else_to_the_other_side() -> None:
    checked = check_whole(sample("127.0.0.1", 2775, PLACE, "127.0.0.1:2777", PLACE + "-callbacks"))
    assert checked.problems == []
    assert checked.plan is not None
    compiled = Compiled(checked.plan, 1)
    here, there = (
        compiled.choose(facts)
        for facts in (Facts("+375291234567", "marketing", "anyone"), Facts("+79161234567", "otp", "a"))
    )
    assert isinstance(here, Choice) and isinstance(there, Choice)
    assert (here.carrier, here.candidates, there.carrier) == ("web", ("web", "sandbox"), "sandbox")
    settings = compiled.carriers["web"].settings
    assert settings["url"] == "http://127.0.0.1:2777/messages"
    assert settings["auth"]["token"] == {"file": PLACE}
    assert settings["callbacks"]["proof"]["token"] == {"file": PLACE + "-callbacks"}
