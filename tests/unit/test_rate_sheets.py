"""Price lists and registries of senders as people have them become the plan's own rows, or sentences with lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.message import CLASSES
from gateway.plan.document import Rate, Sender, Step
from gateway.sheets import cells, rates, senders, table
from gateway.sheets.rates import Given

EXPECTED = (
    Rate(carrier="north", operator="МТС", klass="otp", price="2.15", currency="RUB", valid_from="2026-12-01"),
    Rate(carrier="north", operator="Tele2", price="1234.5", currency="EUR"),
)
ENGLISH = """Carrier,Network Name,Traffic type,Price per SMS,Currency,Effective date
north,МТС,2FA,2.15,RUB,2026-12-01
north,Tele2,all,1234.5,€,
"""
RUSSIAN = """Прайс-лист;;;;;
;;;;;
Поставщик;Оператор связи;Вид трафика;Цена за СМС;Валюта;Действует с
north;МТС;Авторизационный;2,15;руб.;01.12.2026
north;Tele2;все;1 234,5;EUR;
;;;;;
"""


@pytest.mark.parametrize(
    "data",
    [
        ENGLISH.encode(),
        ENGLISH.replace("\n", "\r\n").encode("utf-8-sig"),
        ENGLISH.replace(",", "\t").encode("utf-16"),
        RUSSIAN.encode(),
        RUSSIAN.encode("cp1251"),
        RUSSIAN.replace(" 234", "\u00a0234").encode("cp1251"),
        RUSSIAN.encode("utf-8-sig"),
    ],
)
def test_a_price_list_reads_the_same_however_a_spreadsheet_wrote_it(data: bytes) -> None:
    sheet = rates.read(data)
    assert (sheet.rates, sheet.faults) == (EXPECTED, ())


def test_what_a_list_leaves_out_is_given_for_all_rows() -> None:
    data = "MCC;MNC;rate;comment\n250;1;0,0085;x\n401;077;€ 0.01;y\n".encode()
    sheet = rates.read(data, Given(carrier="east", valid_from="2027-01-01", currency="USD"))
    assert sheet.rates == (
        Rate(carrier="east", operator="25001", price="0.0085", currency="USD", valid_from="2027-01-01"),
        Rate(carrier="east", operator="401077", price="0.01", currency="EUR", valid_from="2027-01-01"),
    )
    assert sheet.remarks == ("Not used: the columns `comment`.",)


def test_ladders_prefixes_and_several_classes_in_a_cell() -> None:
    data = (
        "carrier,operator,prefix,class,price,ladder,ladder kind\n"
        'a,mts,,"transactional, рекламный",2,100000:1.90;500 000:1,over a month\n'
        'a,mts,,otp,2,"500000:1,70|100 000:1,90",За весь месяц\n'
        "a,,+7999,,2,,\n"
    ).encode()
    steps = (Step(over=100_000, price="1.90"), Step(over=500_000, price="1.70"))
    found = rates.read(data)
    assert found.rates == (
        Rate(carrier="a", operator="mts", klass="otp", price="2", ladder=steps, ladder_kind="whole_month"),
        Rate(carrier="a", prefix="7999", price="2"),
    )
    assert [fault.line for fault in found.faults] == [2]
    assert "`over a month` is no kind of ladder" in found.faults[0].sentence
    fixed = rates.read(data.replace(b"over a month", b"marginal"))
    assert [(r.klass, r.ladder[1].price) for r in fixed.rates[:2]] == [("transactional", "1"), ("marketing", "1")]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("a,mts,,otp,two,,,", "`two` is no price: write one such as 2.15."),
        ("a,mts,,otp,,,,", "This row has no price: write one such as 2.15."),
        ('a,mts,,otp,"1,234.5",,,', "`1,234.5` has a comma and a point: leave out what divides thousands."),
        ("a,mts,,otp,1.1234567,,,", "at most six digits"),
        ("a,mts,,otp,-1,,,", "is no price"),
        (",mts,,otp,1,,,", "This row names no carrier"),
        ("a b,mts,,otp,1,,,", "`a b` is no name of a carrier"),
        ("a,mts,7916,otp,1,,,", "A rate is for an operator or for a prefix, not for both"),
        ("a,,x7,otp,1,,,", "`x7` is no prefix: write the first digits of the numbers, such as 7916."),
        ("a,mts,,sms,1,,,", "`sms` is no class: write one out of otp, alert, transactional, marketing"),
        ("a,mts,,otp,1,roubles,,", "`roubles` is no currency: write three letters such as RUB."),
        ("a,mts,,otp,1,,31.02.2026,", "There is no day `31.02.2026`."),
        ("a,mts,,otp,1,,12/01/2026,", "`12/01/2026` is no day: write 2026-12-01 or 01.12.2026."),
        ("a,mts,,otp,1,,,1000", "`1000` is no step of a ladder: write steps such as 100000:1.90;500000:1.70."),
        ("a,mts,,otp,1,,,0:1", "`0:1` is no step of a ladder"),
        ("a,mts,,otp,1,,,5:1;5:2", "Two steps of the ladder begin at the same count"),
        ("a,,7,otp,1,,,5:1", "a rate for a prefix has no ladder"),
        ("a,mts,,otp,1,,,,more", "9 cells where the header has 8"),
    ],
)
def test_a_wrong_row_is_told_with_its_line_and_what_would_be_right(row: str, sentence: str) -> None:
    good = "a,tele2,,,1,,,"
    header = "carrier,operator,prefix,class,price,currency,valid_from,ladder"
    sheet = rates.read(f"{header}\n{good}\n{row}\n".encode())
    assert [rate.operator for rate in sheet.rates] == ["tele2"]
    ((line, said),) = sheet.faults
    assert line == 3 and sentence in said


def test_two_rows_for_the_same_are_told() -> None:
    sheet = rates.read(b"carrier,operator,price\na,mts,1\nb,mts,1\n\na,mts,2\n")
    assert [(fault.line, fault.sentence[:20]) for fault in sheet.faults] == [(5, "Line 2 is for the sa")]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,b\n1,2\n", b"operator;price\nmts;1\n", bytes(range(256))])
def test_a_file_without_the_columns_says_which_it_needs(data: bytes) -> None:
    sheet = rates.read(data)
    assert sheet.rates == () and "`carrier`, `price`" in sheet.faults[0].sentence


def test_two_columns_of_the_same_meaning_are_told() -> None:
    assert "Two columns mean `price`" in rates.read(b"carrier,price,cost\na,1,2\n").faults[0].sentence


prices = st.from_regex(r"\A[1-9][0-9]{0,5}(\.[0-9]{1,6})?\Z")
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=20)
steps = st.dictionaries(st.integers(1, 10**9), prices, max_size=3).map(
    lambda found: tuple(Step(over=over, price=price) for over, price in sorted(found.items()))
)
rows = st.one_of(
    st.builds(
        Rate,
        carrier=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,9}\Z"),
        price=prices,
        operator=st.none() | names.filter(lambda name: name not in "*-"),
        klass=st.none() | st.sampled_from(CLASSES),
        currency=st.none() | st.sampled_from(["RUB", "EUR"]),
        valid_from=st.none() | st.dates().map(str) | st.just("2026-12-01T10:00:00+03:00"),
        ladder=steps,
    ),
    st.builds(Rate, carrier=st.just("a"), price=prices, prefix=st.from_regex(r"\A[0-9]{1,14}\Z")),
)


@given(st.lists(rows, unique_by=lambda r: (r.carrier, r.operator, r.prefix, r.klass, r.valid_from), max_size=10))
def test_what_is_written_reads_as_the_same_rows(given_rows: list[Rate]) -> None:
    sheet = rates.read(rates.write(given_rows))
    assert (sheet.rates, sheet.faults) == (tuple(given_rows), ())


@given(st.binary(max_size=300), st.text(max_size=300))
def test_no_file_breaks_the_reader(data: bytes, text: str) -> None:
    for content in (data, b"carrier,price,class,valid_from,ladder,operator\n" + data, text.encode()):
        rates.read(content)
        senders.read(b"sender;operators;state\n" + content)


def test_an_import_replaces_a_carriers_list_from_its_first_day_on() -> None:
    old = Rate(carrier="a", operator="mts", price="1")
    january = Rate(carrier="a", operator="mts", price="2", valid_from="2027-01-01")
    other = Rate(carrier="b", price="3")
    december = Rate(carrier="a", operator="mts", price="4", valid_from="2026-12-01")
    now = Rate(carrier="a", operator="tele2", price="5")
    assert rates.merged([old, january, other], [december]) == (old, other, december)
    assert rates.merged([old, january, other], [now]) == (other, now)


def test_a_registry_reads_names_places_and_states() -> None:
    data = (
        "Имя отправителя;Операторы;Тип трафика;Статус;Поставщик\n"
        "BANK;МТС|Tele2;сервисный, авторизационный;Зарегистрирован;north\n"
        "Shop;;все;на регистрации;\n"
        "SPAM;;;отказ;\n"
        "Other;;;maybe;\n"
        "ThisNameIsTooLong;;;;\n"
        "BANK;Tele2|МТС;авторизационный|сервисный;;north\n"
    ).encode("cp1251")
    found = senders.read(data)
    assert found.senders == (
        Sender(name="BANK", carriers=("north",), operators=("МТС", "Tele2"), classes=("transactional", "otp")),
        Sender(name="Shop", state="pending"),
        Sender(name="SPAM", state="blocked"),
    )
    assert [(fault.line, fault.sentence.split(":")[0]) for fault in found.faults] == [
        (5, "`maybe` is no state"),
        (6, "`ThisNameIsTooLong` is no sender"),
        (7, "Line 2 is for the same sender and places"),
    ]
    assert senders.read(senders.write(found.senders)).senders == found.senders


def test_cells_speak_both_languages() -> None:
    assert [cells.currency(text) for text in ("руб.", "₽", "eur", "тенге")] == ["RUB", "RUB", "EUR", "KZT"]
    assert [cells.price(text) for text in ("2,15 ₽", "$0.05", "3 руб.", "007")] == [
        ("2.15", "RUB"), ("0.05", "USD"), ("3", "RUB"), ("7", ""),
    ]  # fmt: skip
    assert cells.klasses("реклама") == ("marketing",) and cells.klasses("*") == (None,)
    assert cells.day("2026-12-01 00:00:00") == "2026-12-01"
    assert table.decode("Цена".encode("cp1251")) == "Цена"
