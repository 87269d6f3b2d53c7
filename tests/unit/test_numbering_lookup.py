"""Whose number it is: the compiled tables against plain slow ones."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.numbering import ported, ranges, sections, world
from gateway.numbering.directory import Directory, Tables
from gateway.numbering.names import comparable
from gateway.numbering.ranges import NOTHING, Record, fill_up, span
from gateway.numbering.zones import of_region
from gateway.plan import record as short
from gateway.plan.choice import Choice, Compiled, NoRoute
from gateway.plan.document import Carrier, Operator, Plan, Route
from gateway.plan.matching import Facts
from gateway.provider import Reason

RECORDS = [NOTHING, *(Record(f"network {n}", "RU", f"region {n}", ("Europe/Moscow",)) for n in range(1, 6))]

digits = st.text("0179", min_size=1, max_size=6).map(lambda text: "7" + text)
numbers = st.text("0179", min_size=7, max_size=14).map(lambda text: "7" + text)


@st.composite
def written_ranges(draw: st.DrawFn) -> tuple[str, str, int]:
    first = draw(digits)
    last = str(min(int(first) + draw(st.sampled_from([0, 0, 1, 7, 60, 3000])), 10 ** len(first) - 1))
    return first, last, draw(st.integers(1, len(RECORDS) - 1))


def slow_record(written: list[tuple[str, str, int]], number: str) -> int:
    """The narrowest range that holds the number, the later one of two alike."""
    filled, best = fill_up(number), (10**16, 0, 0)
    for place, (first, last, record) in enumerate(written):
        start, end = span(first, last)
        if start <= filled < end and (end - start, -place) < best[:2]:
            best = (end - start, -place, record)
    return best[2]


@settings(max_examples=300, deadline=None)
@given(st.lists(written_ranges(), max_size=25), st.lists(numbers, min_size=1, max_size=30))
def test_the_narrowest_range_that_holds_a_number_counts(written: list[tuple[str, str, int]], asked: list[str]) -> None:
    table = ranges.compiled(((*span(first, last), record) for first, last, record in written), RECORDS)
    edges = [str(edge + step) for first, last, _ in written for edge in span(first, last) for step in (-1, 0)]
    for number in (*asked, *edges):
        assert table.find(fill_up(number)) == slow_record(written, number), number


@settings(max_examples=100, deadline=None)
@given(st.lists(st.from_regex(r"[1-9][0-4]{0,5}", fullmatch=True), max_size=40, unique=True))
def test_sorted_prefixes_need_no_sorting_of_their_ends(prefixes: list[str]) -> None:
    pieces = [(*span(prefix, prefix), n % len(RECORDS)) for n, prefix in enumerate(sorted(prefixes))]
    quick, table = ranges.nested(pieces, RECORDS), ranges.compiled(pieces, RECORDS)
    assert (quick.starts, quick.ids, quick.index) == (table.starts, table.ids, table.index)


@settings(max_examples=50, deadline=None)
@given(st.lists(written_ranges(), max_size=10), st.dictionaries(numbers, st.integers(0, 2), max_size=20), numbers)
def test_a_table_is_the_same_after_it_was_written_to_a_file(
    written: list[tuple[str, str, int]], moved: dict[str, int], number: str
) -> None:
    table = ranges.compiled(((*span(first, last), record) for first, last, record in written), RECORDS)
    by_number = {fill_up(n): name for n, name in moved.items()}
    numbers_moved = ported.compiled(sorted(by_number.items()), ["a", "b", "c"])
    with tempfile.TemporaryDirectory() as directory:
        one, two = Path(directory) / "ranges", Path(directory) / "ported"
        ranges.write(one, table)
        ported.write(two, numbers_moved)
        again = ranges.Ranges.of(memoryview(one.read_bytes()))
        moved_again = ported.Ported.of(memoryview(two.read_bytes()))
    assert again.find(fill_up(number)) == table.find(fill_up(number))
    assert again.records == RECORDS and again.count == table.count
    for asked in (*moved, number):
        assert moved_again.find(fill_up(asked)) == by_number.get(fill_up(asked), -1)
    assert sum(moved_again.counts) == moved_again.count == len(by_number)


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(sections.FormatError):
        ranges.Ranges.of(memoryview(b"operator;prefix\n" * 100))


OPERATORS = (
    Operator(name="red", prefixes=("7901", "7917-7919"), country="RU"),
    Operator(name="green", prefixes=("79017",), aliases=('ПАО "Зелёная связь"', "Green")),
    Operator(name="blue", country="RU", mcc_mnc="25099"),
    Operator(name="net.uk", country="GB", aliases=("O2",)),
    Operator(name="rest", prefixes=("",)),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(written_ranges(), max_size=12),
    st.dictionaries(numbers, st.integers(0, 2), max_size=12),
    st.lists(numbers, min_size=1, max_size=12),
)
def test_a_ported_number_then_the_plans_prefixes_then_the_numbering_plan_then_the_rest(
    written: list[tuple[str, str, int]], moved: dict[str, int], asked: list[str]
) -> None:
    records = [NOTHING, *(Record(name, "RU", "Омская обл.") for name in ("red", "Green", "nobody's", "BLUE", ""))]
    names = ["зеленая связь", "25099", "unheard of"]
    owners = {"red": "red", "Green": "green", "BLUE": "blue", "зеленая связь": "green", "25099": "blue"}
    table = ranges.compiled(((*span(first, last), record) for first, last, record in written), records)
    by_number = {fill_up(n): name for n, name in moved.items()}
    directory = Directory(OPERATORS, Tables(table, ported.compiled(sorted(by_number.items()), names)))
    for number in (*asked, *moved):
        whose = directory.find("+" + number)
        assert whose is not None
        record = slow_record(written, number)
        if fill_up(number) in by_number:
            owner = owners.get(names[by_number[fill_up(number)]], "rest")
            expected = (owner, "ported" if owner != "rest" else "rest")
        elif number.startswith("79017"):
            expected = ("green", "plan")
        elif number.startswith(("7901", "7917", "7918", "7919")):
            expected = ("red", "plan")
        elif record and records[record].operator in owners:
            expected = (owners[records[record].operator], "numbers")
        else:
            expected = ("rest", "rest")
        assert (whose.operator, whose.source) == expected, number
        assert whose.region == ("Омская обл." if record else "")
        assert whose is directory.find("+" + number), "the same value each time"


@pytest.mark.parametrize(
    ("number", "country", "zones"),
    [
        ("+447700900123", "GB", ("Europe/Guernsey", "Europe/Isle_of_Man", "Europe/London")),
        ("+4915112345678", "DE", ("Europe/Berlin",)),
        ("+14165550123", "CA", ("America/Toronto",)),
        ("+12425571234", "BS", ("America/Nassau",)),
        ("+77011234567", "KZ", ("Asia/Almaty", "Asia/Aqtobe")),
        ("+79161234567", "RU", ()),
        ("+88213123456", "", ()),
    ],
)
def test_elsewhere_country_and_zones_are_what_phonenumbers_knows(
    number: str, country: str, zones: tuple[str, ...]
) -> None:
    whose = Directory(OPERATORS[-1:]).find(number)
    assert whose is not None
    assert (whose.country, whose.zones, whose.source) == (country, zones, "rest")


def test_a_country_of_a_shared_code_does_not_depend_on_who_was_asked_for_first() -> None:
    numbers = ["+14160111111", "+14165550123", "+12120111111", "+12125550123"]
    world._known.clear()
    forward = [world.country_of(number) for number in numbers]
    world._known.clear()
    backward = [world.country_of(number) for number in reversed(numbers)]
    assert forward[1::2] == ["CA", "US"] == backward[::-1][1::2]


def test_trade_names_count_only_in_the_country_of_the_plans_operator() -> None:
    directory = Directory(OPERATORS)
    british, other = directory.find("+447712345678"), directory.find("+4917612345678")
    assert british is not None and (british.operator, british.source) == ("net.uk", "phonenumbers")
    assert other is not None and (other.operator, other.country) == ("rest", "DE")


def test_nobodys_number_is_known_by_country_and_nothing_at_all_is_none() -> None:
    directory = Directory(OPERATORS[:1])
    whose = directory.find("+4915112345678")
    assert whose is not None and (whose.operator, whose.country, whose.source) == ("", "DE", "")
    assert directory.find("+9990000000000") is None


def test_names_that_the_plan_does_not_know_are_listed_the_most_frequent_first() -> None:
    records = [NOTHING, Record("Зелёная связь", "RU"), Record("АО Неизвестно", "RU")]
    pieces = [(*span(f"79{n:02}", f"79{n:02}"), n % 2 + 1) for n in range(10, 15)]
    moved = ported.compiled([(fill_up("79991112233"), 0), (fill_up("79991112244"), 1)], ["mSOMEONE", "green"])
    directory = Directory(OPERATORS, Tables(ranges.compiled(pieces, records), moved))
    assert [(u.kind, u.name, u.count) for u in directory.unmapped()] == [
        ("numbers", "АО Неизвестно", 2),
        ("ported", "mSOMEONE", 1),
    ]


def test_everything_that_is_known_of_a_number_can_be_shown() -> None:
    records = [NOTHING, Record("red", "RU", "Омская обл.", ("Asia/Omsk",))]
    moved = ported.compiled([(fill_up("79011112233"), 0)], ["Green"])
    directory = Directory(OPERATORS, Tables(ranges.compiled([(*span("7901", "7901"), 1)], records), moved))
    known = directory.known("+79011112233")
    assert (known.ported, known.plan, known.numbers) == ("Green", "red", records[1])
    assert known.whose == directory.find("+79011112233")
    assert known.whose is not None and (known.whose.operator, known.whose.zones) == ("green", ("Asia/Omsk",))


@pytest.mark.parametrize(
    "name",
    [
        'ПАО "Мобильные ТелеСистемы"',
        "Публичное акционерное общество «Мобильные ТелеСистемы»",
        '"ПАО ""МОБИЛЬНЫЕ ТЕЛЕСИСТЕМЫ"""',
        "мобильные   телесистемы",
        "П.А.О. Мобильные ТелеСистемы",
        "Мобильные ТелеСистемы PJSC",
    ],
)
def test_quotes_spaces_case_and_legal_forms_do_not_tell_names_apart(name: str) -> None:
    assert comparable(name) == "мобильные телесистемы"


def test_different_names_stay_different() -> None:
    names = ["Т2 Мобайл", "ООО К-Телеком", "Ростелеком", "ООО", "АО", "O2", "Telia", "МОТИВ"]
    assert len({comparable(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("region", "zone"),
    [
        ("г. Москва и Московская область", "Europe/Moscow"),
        ("г. Санкт-Петербург и Ленинградская область", "Europe/Moscow"),
        ("Томская обл.", "Asia/Tomsk"),
        ("г. Томск|Томская область", "Asia/Tomsk"),
        ("Омская обл.", "Asia/Omsk"),
        ("р-н Московский|Тюменская обл.", "Asia/Yekaterinburg"),
        ("Ямало - Ненецкий автономный округ |Тюменская область", "Asia/Yekaterinburg"),
        ("Ямало-Ненецкий АО", "Asia/Yekaterinburg"),
        ("Ненецкий АО", "Europe/Moscow"),
        ("Ханты - Мансийский - Югра АО", "Asia/Yekaterinburg"),
        ("Чувашская Республика - Чувашия", "Europe/Moscow"),
        ("Кемеровская область - Кузбасс область", "Asia/Novokuznetsk"),
        ("Республика Северная Осетия - Алания", "Europe/Moscow"),
        ("Коми-Пермяцкий округ", "Asia/Yekaterinburg"),
        ("Еврейская АО", "Asia/Vladivostok"),
        ("Калининградская обл.", "Europe/Kaliningrad"),
        ("Чукотский АО", "Asia/Anadyr"),
    ],
)
def test_a_russian_region_has_its_zone_however_it_is_spelt(region: str, zone: str) -> None:
    assert of_region(region) == (zone,)


def test_a_region_of_several_zones_has_all_and_an_unknown_one_has_none() -> None:
    assert set(of_region("Республика Саха /Якутия/")) >= {"Asia/Yakutsk", "Asia/Srednekolymsk"}
    assert of_region("Российская Федерация") == ()


def test_the_record_of_a_choice_tells_the_source_of_this_number_and_nobodys_number_has_no_route() -> None:
    operators = (Operator(name="green", prefixes=("7901",)),)
    route = Route(name="all", carriers=("a",))
    plan = Plan(carriers=(Carrier(name="a", provider="smpp"),), operators=operators, routes=(route,))
    moved = ported.compiled([(fill_up("79021112233"), 0)], ["green"])
    compiled = Compiled(plan, 1, Directory(operators, Tables(None, moved)))
    sources = []
    for to in ("+79011112233", "+79021112233", "+79011112233"):
        choice = compiled.choose(Facts(to, "otp"))
        assert isinstance(choice, Choice)
        told = short.read(choice.record)
        sources.append(told.source if told else "plan")  # what is usual is not recorded
    assert sources == ["plan", "ported", "plan"]
    assert compiled.choose(Facts("+79031112233", "otp")) == NoRoute(Reason.NO_ROUTE)


blocks = st.sampled_from(["7916123", "7916124", "7701123", "1204123", "1212123"])
inside = st.text("09", min_size=0, max_size=3)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(blocks, inside, st.integers(1, 5)), max_size=6),
    st.lists(st.tuples(blocks, inside), max_size=3),
    st.lists(st.tuples(blocks, st.text("09", min_size=4, max_size=4)), max_size=4),
    st.lists(st.tuples(blocks, st.text("09", max_size=4)), min_size=1, max_size=40),
)
def test_what_is_remembered_of_a_numbers_block_is_right_for_all_its_numbers(
    written: list[tuple[str, str, int]],
    prefixes: list[tuple[str, str]],
    moved: list[tuple[str, str]],
    asked: list[tuple[str, str]],
) -> None:
    table = ranges.compiled(((*span(b + i, b + i), record) for b, i, record in written), RECORDS)
    names = ported.compiled(sorted({fill_up(b + i): 0 for b, i in moved}.items()), ["network 5"]) if moved else None
    own = Operator(name="own", prefixes=tuple({b + i for b, i in prefixes}))
    operators = [own, *(Operator(name=f"network {n}", country="RU") for n in range(1, 6))]
    tables = Tables(numbers=table, ported=names)
    known = Directory(operators, tables)
    for block, rest in asked:
        number = f"+{block}{rest}"
        assert known.find(number) == Directory(operators, tables).find(number), number
