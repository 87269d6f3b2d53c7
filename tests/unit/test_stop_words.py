"""Which texts of subscribers mean STOP or START."""

from __future__ import annotations

import pytest

from gateway.plan.document import StopWords
from gateway.plan.stop_words import wish_of

WORDS = StopWords()


@pytest.mark.parametrize(
    "text",
    ["STOP", "stop", " Stop. ", "СТОП", "стоп!", "«Стоп»", "Отписка", "unsubscribe\n", "ＳＴＯＰ", "*STOP*", "StopAll"],
)
def test_a_stop_is_known_in_any_case_and_with_what_stands_around_it(text: str) -> None:
    assert wish_of(text, WORDS) == "stop"


@pytest.mark.parametrize("text", ["START", " старт ", "Start!!"])
def test_a_start_too(text: str) -> None:
    assert wish_of(text, WORDS) == "start"


@pytest.mark.parametrize("text", ["", "!!!", "please stop", "stop it", "нестоп", "s t o p", "stop" * 20])
def test_anything_else_is_a_message(text: str) -> None:
    assert wish_of(text, WORDS) == ""


def test_the_plan_says_the_words_and_a_stop_is_never_missed_for_a_start() -> None:
    words = StopWords(stop=("Больше не надо", "0"), start=("0", "да"))
    assert wish_of("больше  НЕ надо.", words) == "stop" and wish_of("0", words) == "stop"
    assert wish_of("Да", words) == "start" and wish_of("STOP", words) == ""
