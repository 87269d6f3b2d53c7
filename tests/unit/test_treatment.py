"""What a route may do to a text: typography and transliteration, all or nothing, and never for more parts."""

from __future__ import annotations

import hashlib
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connector.flight import apply_treatment, submissions, submitted
from gateway.message import Treatment
from gateway.provider import accepted
from gateway.text import cyrillic, gsm7, parts, typography
from gateway.text.treatment import costly, treat
from tests.core_builders import NOW_MS, flight, journey, message

TYPOGRAPHY, TRANSLITERATION = Treatment.TYPOGRAPHY, Treatment.TRANSLITERATION

RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
ODD = "«»“”’—–…№•\xa0\u2009\u200b\xad\ufeffﬁ₽×`\t\u0301\u0306\u0308іїєґўјљњћђџѓќѕәғқңөұүһ😀中°½²"
TEXTS = st.text(st.sampled_from(RUSSIAN + RUSSIAN.upper() + ODD + "abcABC 019.,:/@-~[]€\n"), max_size=400)


@given(TEXTS, st.sampled_from([TYPOGRAPHY, TRANSLITERATION]))
def test_a_treated_text_is_in_the_alphabet_takes_no_more_parts_and_stays_when_treated_again(
    text: str, treatment: Treatment
) -> None:
    sent = treat(text, treatment)
    assert (sent.encoding, sent.parts) == parts.measure(sent.text)
    if sent.done:
        assert gsm7.fits(sent.text) or unicodedata.normalize("NFC", text) == sent.text
        assert sent.text
        for header in (0, 6, 7):
            assert parts.count(sent.text, sent.encoding, header) <= parts.count(text, "ucs2", header)
    else:
        assert sent.text == text
    again = treat(sent.text, treatment)
    assert (again.text, again.done) == (sent.text, Treatment.NONE)
    assert treat(text, treatment) == sent


@given(TEXTS)
def test_characters_of_the_alphabet_stay_as_they_are_and_in_their_order(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    rest = iter(treat(text, TRANSLITERATION).text)
    assert all(any(kept == there for there in rest) for kept in text if gsm7.fits(kept))


@given(TEXTS)
def test_what_no_route_asks_for_is_not_done(text: str) -> None:
    for treatment in ("", "something of a newer release"):
        assert treat(text, treatment).text == text


@pytest.mark.parametrize(
    ("text", "latin"),
    [
        ("Съешь же ещё этих мягких французских булок, да выпей чаю", None),
        ("Юлия Щеглова", "Iuliia Shcheglova"),
        ("ЩУКА и Щука", "SHCHUKA i Shchuka"),
        ("Подъезд, объём, семья", "Podieezd, obieem, semia"),
        ("Ваш код підтвердження: 4711. Київ", "Vash kod pidtverdzhennia: 4711. Kyiv"),
        ("Бабрыковіч Аляксандр, Ёсць Ігар", "Babrykovich Aliaksandr, Iosts Ihar"),
        ("Площад България", "Ploshtad Bielgariia"),
        ("Ђорђе Његош, Ћуприја, Џеп", "Dorde Njehos, Cuprija, Dzep"),
        ("Ѓорѓи, Ќе, ѕвезда, џеб", "Gjorgji, Kje, dzvezda, djeb"),
        ("за\u0301мок", "zamok"),
        ("и\u0306од", "iod"),
    ],
)
def test_cyrillic_goes_by_the_table_of_icao(text: str, latin: str | None) -> None:
    sent = treat(text, TRANSLITERATION)
    assert sent.done == TRANSLITERATION
    assert latin is None or sent.text == latin


def test_every_letter_of_the_russian_table() -> None:
    table = "a b v g d e e zh z i i k l m n o p r s t u f kh ts ch sh shch ie y - e iu ia".replace("-", "").split(" ")
    assert [cyrillic.to_latin(letter) for letter in RUSSIAN] == table
    assert [cyrillic.to_latin(f"А{letter.upper()}А") for letter in RUSSIAN] == [f"A{t.upper()}A" for t in table]


def test_letters_that_the_table_does_not_have_leave_the_text_as_it_is() -> None:
    for text in ("Қазақстан, сәлем", "Татарча: әйе, юк", "Привет 😀"):
        assert treat(text, TRANSLITERATION).text == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("“Shop” — it’s open…", '"Shop" - it\'s open...'),
        ("« 50 % »", '" 50 % "'),
        ("Order №15: 1\u202f500\xa0₽, 200₽", "Order No15: 1 500 RUB, 200 RUB"),
        ("of\xadfice \u200b\ufeffﬁnd", "office find"),
        ("•••• 4711\u2028next", "**** 4711\nnext"),
        ("cafe\u0301 ` ok", "café ' ok"),
        ("Моscow and Раypal", "Moscow and Paypal"),
        ("2×3−1", "2x3-1"),
    ],
)
def test_typography_becomes_plain(text: str, plain: str) -> None:
    sent = treat(text, TYPOGRAPHY)
    assert (sent.text, sent.encoding, sent.done) == (plain, "gsm7", TYPOGRAPHY)
    assert treat(text, TRANSLITERATION) == sent, "what typography does alone is not transliterated"


@pytest.mark.parametrize("text", ["Привет, «мир»", "10² m", "1½", "25°C", "naïve", "“中”", "œuvre"])
def test_typography_alone_is_not_touched_where_it_does_not_make_the_text_fit(text: str) -> None:
    assert treat(text, TYPOGRAPHY).text == text


@pytest.mark.parametrize(
    "text",
    [
        "Смотрите https://магазин.рф/путь",
        "Смотрите https://shop.example/а",
        "Смотрите https://shop.example/a–b сейчас",
        "Смотрите https://shop.example/a\u200bтут",
        "Сайт пример.рф",
        "Сайт магазин.com/x",
        "Пишите на почта@shop.example",
        "“see www.exаmple.com”",
        "Промокод СКИДКА20",
        "Авто А123ВС77",
        "“Code AВ12С”",
    ],
)
def test_a_text_with_a_link_or_a_code_that_would_change_stays_as_it_is(text: str) -> None:
    assert treat(text, TRANSLITERATION).text == text
    assert treat(text, TYPOGRAPHY).text == text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Ссылка: https://shop.example/a?b=Cd_1…", "Ssylka: https://shop.example/a?b=Cd_1..."),
        ("(«ya.ru», info@shop.example) тут", '("ya.ru", info@shop.example) tut'),
        ("Промокод SALE20, 100РУБ и 15мин", "Promokod SALE20, 100RUB i 15min"),
        ("Привет.Как дела, т.д.", "Privet.Kak dela, t.d."),
    ],
)
def test_links_and_codes_in_the_alphabet_are_the_same_afterwards(text: str, sent: str) -> None:
    assert treat(text, TRANSLITERATION).text == sent


def test_a_text_that_would_take_more_parts_in_latin_stays() -> None:
    assert treat("щ" * 70, TRANSLITERATION).text == "щ" * 70
    assert treat("щ" * 40, TRANSLITERATION).done == TRANSLITERATION


def test_decomposed_letters_become_one_where_that_saves_a_part() -> None:
    text = "и\u0306" * 40 + "😀"
    sent = treat(text, TYPOGRAPHY)
    assert (sent.encoding, sent.parts, sent.done) == ("ucs2", 1, TYPOGRAPHY)
    assert parts.measure(text) == ("ucs2", 2)
    assert treat("и\u0306😀", TYPOGRAPHY).text == "и\u0306😀"


def test_two_hundred_cyrillic_characters_are_two_parts_in_latin() -> None:
    text = ("Ваш заказ готов. " * 12)[:200]
    assert parts.measure(text) == ("ucs2", 3)
    sent = treat(text, TRANSLITERATION)
    assert (sent.encoding, sent.parts) == ("gsm7", 2)


def test_the_time_it_takes_grows_with_the_length_and_not_with_its_square() -> None:
    began = time.process_time()
    for bad in ("a.", "щ", "a@", "A1", "А1", "АA", "://", "Щ", "и\u0306", "ъ", "А1А-"):
        treat(bad * 20_000 + " ы", TRANSLITERATION)
    assert time.process_time() - began < 5


def test_the_developer_is_told_which_characters_cost() -> None:
    found = [(c.character, c.count, c.plain, c.latin) for c in costly("«Я» ёж 😀 «»")]
    assert found == [
        ("«", 2, '"', '"'),
        ("Я", 1, None, "Ia"),
        ("»", 2, '"', '"'),
        ("ё", 1, None, "e"),
        ("ж", 1, None, "zh"),
        ("😀", 1, None, None),
    ]
    assert costly("plain €") == []
    assert len(costly("".join(map(chr, range(0x4E00, 0x4F00))))) == 20


def test_every_plain_form_is_in_the_alphabet_and_what_it_stands_for_is_not() -> None:
    for code in range(0x110000):
        plain = typography.plain_form(chr(code))
        if plain is not None:
            assert gsm7.fits(plain), hex(code)
            assert not gsm7.fits(chr(code)), hex(code)


def test_the_tables_are_those_that_owed_parts_were_counted_by() -> None:
    """Whoever changes a table says so in the changelog: what is partly sent must be sent out before the upgrade."""
    every = "".join(chr(c) for c in (*range(0x80, 0x600), *range(0x1680, 0x2300), *range(0xFB00, 0xFB07)))
    table = "|".join(typography.to_plain(c) + "=" + cyrillic.to_latin(c) for c in every)
    assert hashlib.sha256(table.encode()).hexdigest()[:16] == "d2634677689f64af"


def test_a_carrier_that_takes_messages_whole_gets_the_treated_text_and_its_parts() -> None:
    text = ("Ваш заказ готов. " * 12)[:200]
    f = flight(message(text=text, encoding="ucs2", parts=3), journey(treatment="transliteration"))
    apply_treatment(f)
    (whole,) = submissions(f, parts.split(f.message.text, f.message.encoding), whole=True)
    assert (whole.part, whole.parts, whole.encoding) == (0, 2, "gsm7")
    assert whole.text.startswith("Vash zakaz gotov.")
    row = submitted(f, whole, accepted("c1"), NOW_MS)
    assert (row.parts, row.treatment) == (2, "transliteration")


def test_a_text_that_a_treatment_does_not_change_is_told_as_it_came() -> None:
    f = flight(message(text="Hello"), journey(treatment="transliteration"))
    before = f.message
    apply_treatment(f)
    assert f.message is before and f.treatment == ""
