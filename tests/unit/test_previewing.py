"""What a preview tells: the route's own text and price, what the other treatments would make of it, what to change."""

from __future__ import annotations

import msgspec
import pytest

from gateway.api.documents import Preview, TreatedText
from gateway.api.previewing import preview
from gateway.message import Message
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Operator, Plan, Rate, Route
from gateway.text import parts
from tests.core_builders import NOW_MS, message


def plan(**wish: object) -> Compiled:
    route = msgspec.structs.replace(Route(name="east", carriers=("north",)), **wish)
    return Compiled(
        Plan(
            carriers=(Carrier(name="north", provider="smpp"),),
            operators=(Operator(name="mts", prefixes=("7916",)),),
            rates=(Rate(carrier="north", price="2.5", currency="RUB"),),
            routes=(route,),
        ),
        1,
    )


def asked(text: str, **fields: object) -> Message:
    encoding, count = parts.measure(text)
    return message(text=text, encoding=encoding, parts=count, **fields)


def summary(t: Preview | TreatedText) -> tuple[str, str, int, str | None]:
    return t.treatment, t.encoding, t.parts, t.price.amount if t.price else None


RUSSIAN = "Ваш заказ готов. " * 8


def test_a_route_that_keeps_texts_shows_what_the_treatments_would_save() -> None:
    found = preview(asked(RUSSIAN), plan(), NOW_MS)
    assert summary(found) == ("none", "ucs2", 3, "7.50")
    assert (found.route, found.operator, found.carrier) == ("east", "mts", "north")
    assert [summary(t) for t in found.treatments] == [
        ("none", "ucs2", 3, "7.50"),
        ("typography", "ucs2", 3, "7.50"),
        ("transliteration", "gsm7", 1, "2.50"),
    ]
    assert [t.changed for t in found.treatments] == [False, False, True]
    assert found.treatments[0].text == RUSSIAN and found.treatments[2].text.startswith("Vash zakaz gotov.")
    assert found.advice == (
        "Written in Latin letters it takes 1 part instead of 3: send it so, or by a route that transliterates."
    )


def test_a_route_that_transliterates_shows_the_text_that_goes_out() -> None:
    found = preview(asked(RUSSIAN), plan(transliterate=True), NOW_MS)
    assert summary(found) == ("transliteration", "gsm7", 1, "2.50")
    assert found.part_texts[0].startswith("Vash zakaz gotov.")
    assert found.characters == len(found.part_texts[0])
    assert found.advice is None


def test_the_developer_is_told_which_characters_to_write_otherwise() -> None:
    found = preview(asked("“" + "Hello " * 14 + "” 😀 —"), plan(), NOW_MS)
    assert [(c.character, c.name, c.plain) for c in found.costly] == [
        ("“", "LEFT DOUBLE QUOTATION MARK", '"'),
        ("”", "RIGHT DOUBLE QUOTATION MARK", '"'),
        ("😀", "GRINNING FACE", None),
        ("—", "EM DASH", "-"),
    ]
    assert found.advice is None, "the smiley alone makes it UCS-2"
    found = preview(asked("“" + "Hello " * 14 + "”"), plan(), NOW_MS)
    assert found.advice == (
        "Write it without the characters that `costly` names (each has its plain form there): 1 part instead of 2."
    )
    assert preview(asked("“" + "Hello " * 14 + "”"), plan(typography="replace"), NOW_MS).advice is None


@pytest.mark.parametrize("compiled", [None, plan()])
def test_without_a_route_there_is_no_price_and_the_rest_is_told(compiled: Compiled | None) -> None:
    found = preview(asked(RUSSIAN, to="+447700900001"), compiled, NOW_MS)
    assert (found.route, found.carrier, found.price) == (None, None, None)
    assert [t.price for t in found.treatments] == [None, None, None]
    assert summary(found) == ("none", "ucs2", 3, None)


def test_decomposed_letters_are_told_of() -> None:
    found = preview(asked("и\u0306" * 40 + "😀"), plan(), NOW_MS)
    assert found.advice == "Write accented letters as one character each (Unicode NFC): 1 part instead of 2."
    assert [(c.character, c.name) for c in found.costly][1] == ("\u0306", "COMBINING BREVE")
