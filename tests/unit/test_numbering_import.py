"""What registries publish, in all its variants, becomes the files that are kept; what is wrong is told line by line."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.datasets.report import Report
from gateway.numbering import compiling, kept
from gateway.numbering.changes import Changes, Move, changes
from gateway.numbering.lines import Source, SourceError, fields
from gateway.numbering.ported import Ported
from gateway.numbering.ranges import Ranges, Record, fill_up
from gateway.numbering.reading import check_numbers, check_ported, read_numbers, read_ported
from gateway.numbering.sorting import in_order

NEW = """\ufeffАВС/ DEF;От;До;Емкость;Оператор;Регион;Территория ГАР;ИНН
900;0000000;0061999;62000;ООО "Т2 Мобайл";Краснодарский край;Краснодарский край;7743895280
900;0062000;0062999;1000;QUOTED;-;Ростовская область;7743895280
301;2100000;2109999;10000;ПАО "МТТ";г. Улан - Удэ|Республика Бурятия;Республика Бурятия;7705017253

900;4000000;4099999;100000; ООО "ЕКАТЕРИНБУРГ-2000" ;Свердловская обл.;Свердловская область;6661079603
""".replace("QUOTED", '"ООО ""Т2 Мобайл"""')
OLD = """АВС/ DEF;От;До;Емкость;Оператор;Регион
301     ;       0 ;       999 ;       1000   ;       Открытое акционерное общество "АСВТ"    ;       Томская обл.
955;5550000;5559999;10000;ООО "ТРН-телеком";Московская область; Москва|Московская область; Москва
"""


def source(tmp_path: Path, content: str | bytes, name: str = "DEF-9xx.csv") -> Source:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Source(path, name)


def numbers(tmp_path: Path, *contents: str | bytes, form: str = "auto") -> tuple[Report, list[tuple[str, str, Record]]]:
    sources = [source(tmp_path, content, f"{n}.csv") for n, content in enumerate(contents)]
    report = read_numbers(sources, tmp_path / "kept", form)
    return report, list(kept.read_numbers(tmp_path / "kept"))


def moved(tmp_path: Path, content: str | bytes, form: str = "auto") -> tuple[Report, list[tuple[str, str]]]:
    report = read_ported([source(tmp_path, content)], tmp_path / "kept", form)
    with (tmp_path / "kept").open() as file:
        return report, list(kept.read_ported(file))


def test_the_russian_numbering_plan_is_read(tmp_path: Path) -> None:
    report, rows = numbers(tmp_path, NEW)
    assert (report.rows, report.errors) == (4, 0)
    buryatia = Record('ПАО "МТТ"', "RU", "г. Улан - Удэ|Республика Бурятия", ("Asia/Irkutsk",))
    kuban = Record('ООО "Т2 Мобайл"', "RU", "Краснодарский край", ("Europe/Moscow",))
    rostov = Record('ООО "Т2 Мобайл"', "RU", "Ростовская область", ("Europe/Moscow",))
    ural = Record('ООО "ЕКАТЕРИНБУРГ-2000"', "RU", "Свердловская обл.", ("Asia/Yekaterinburg",))
    assert rows == [
        ("73012100000", "73012109999", buryatia),
        ("79000000000", "79000061999", kuban),
        ("79000062000", "79000062999", rostov),
        ("79004000000", "79004099999", ural),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_variant_with_six_columns_is_read_in_any_encoding(tmp_path: Path, encoding: str, end: str) -> None:
    report, rows = numbers(tmp_path, OLD.replace("\n", end).encode(encoding))
    assert (report.rows, report.errors) == (2, 0)
    assert rows[0][:2] == ("73010000000", "73010000999")
    assert rows[0][2] == Record('Открытое акционерное общество "АСВТ"', "RU", "Томская обл.", ("Asia/Tomsk",))
    assert rows[1][2].zones == ("Europe/Moscow",)


def test_several_files_are_one_dataset_and_the_same_whatever_their_order(tmp_path: Path) -> None:
    report, rows = numbers(tmp_path, NEW, OLD.encode("cp1251"))
    assert report.rows == 6
    assert numbers(tmp_path, OLD, NEW)[1] == rows
    assert [fill_up(first) for first, _, _ in rows] == sorted(fill_up(first) for first, _, _ in rows)


def test_a_wrong_row_is_left_out_and_named_with_its_file_line_and_what_would_be_right(tmp_path: Path) -> None:
    header = "АВС/ DEF;От;До;Емкость;Оператор;Регион;Территория ГАР;ИНН\n"
    wrong = {
        "90;0;9;10;A;B;C;1": "the code is `90`: three digits, such as 916, are right",
        "900;x;9;10;A;B;C;1": "`x` is no bound of a range: up to 7 digits are right",
        "900;9;0;;A;B;C;1": "the range ends at 0, before it begins at 9",
        "900;0;9;11;A;B;C;1": "Емкость is 11, but from 0 to 9 there are 10 numbers",
        "900;0;9;10;;B;C;1": "the operator is missing",
        "900;0;9;10": "4 fields where the header has 8: the line was cut off or split",
    }
    report, rows = numbers(tmp_path, header + "".join(line + "\n" for line in wrong) + "900;0;9;10;A;B;C;1\n")
    assert (report.rows, report.errors, report.is_good, len(rows)) == (1, 6, False, 1)
    assert [(f.file, f.line, f.sentence) for f in report.faults] == [
        ("0.csv", line, sentence) for line, sentence in enumerate(wrong.values(), 2)
    ]


def test_one_row_in_a_thousand_may_be_wrong_unless_told_otherwise(tmp_path: Path) -> None:
    text = "prefix,operator\n" + "".join(f"7{n:05},a\n" for n in range(1000)) + "x,a\n"
    report = read_numbers([source(tmp_path, text)], tmp_path / "kept")
    assert (report.errors, report.tolerated, report.is_good) == (1, 1, True)
    assert not read_numbers([source(tmp_path, text)], tmp_path / "kept", max_errors=0).is_good


def test_a_plan_of_anybody_is_read_by_its_columns_and_completed(tmp_path: Path) -> None:
    text = (
        "Operator\tStart\tEnd\tCountry\tRegion\tMCC-MNC\tTimezone\n"
        "Acme\t+4915\t+4917\t\t\t26299\t\n"
        "Beta\t79000\t79009\tru\tОмская обл.\t\t\n"
        "Gamma\t14165\t14165\t\t\t\tAmerica/Toronto\n"
    )
    report, rows = numbers(tmp_path, text)
    assert (report.errors, report.remarks) == (0, ())
    assert rows == [
        ("14165", "14165", Record("Gamma", "CA", "", ("America/Toronto",))),
        ("4915", "4917", Record("Acme", "DE", "", ("Europe/Berlin",), "26299")),
        ("79000", "79009", Record("Beta", "RU", "Омская обл.", ("Asia/Omsk",))),
    ]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("79,7900,a,RU", "79 and 7900 are not of the same length: write both ends of a range with all digits"),
        ("80,79,a,RU", "the range ends at 79, before it begins at 80"),
        ("7a,79,a,RU", "`7a` is no beginning of a number: digits with the country code, such as 7916, are right"),
        ("79,79,a,Russia", "the country is `RUSSIA`: two letters (ISO 3166), such as RU, are right"),
        ("79,79,,RU", "the operator is missing"),
        ("79,79,a", "3 fields where the header has 4"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_in_a_sentence(tmp_path: Path, row: str, sentence: str) -> None:
    report, _ = numbers(tmp_path, f"first,last,operator,country\n{row}\n")
    assert [f.sentence for f in report.faults] == [sentence]


def test_ranges_that_are_there_twice_and_regions_without_a_zone_are_remarked(tmp_path: Path) -> None:
    report, rows = numbers(tmp_path, "prefix;operator;country;region\n7900;a;RU;Atlantis\n7900;b;RU;Atlantis\n")
    assert [(r[2].operator, r[2].zones) for r in rows] == [("b", ())]
    assert report.remarks == (
        "1 ranges are there twice with something else: the later one counts.",
        "1 ranges have a region of no known time zone: that of [defaults] counts for them.",
    )


@pytest.mark.parametrize(
    ("content", "form", "sentence"),
    [
        (b"", "auto", "is empty"),
        ("п;о\n1;2\n".encode("utf-16"), "auto", "is UTF-16: save it as UTF-8"),
        (b"PK\x03\x04", "auto", "is an archive or a spreadsheet: give the CSV file in it"),
        (b"\x1f\x8b\x08", "auto", "is compressed: gunzip it first"),
        (b"a\0b", "auto", "is no text: give a CSV file"),
        (b"name,code\n", "auto", "the first line has to name the columns"),
        (b"prefix,operator\n7,a\n", "ru", "this is no file of the Russian numbering plan"),
    ],
)
def test_a_file_that_is_something_else_is_refused_with_what_would_be_right(
    tmp_path: Path, content: bytes, form: str, sentence: str
) -> None:
    with pytest.raises(SourceError, match=sentence.replace("(", r"\(")):
        read_numbers([source(tmp_path, content)], tmp_path / "kept", form)
    assert not check_numbers(source(tmp_path, b"").path, tmp_path / "kept").is_good


def test_what_was_kept_reads_as_itself(tmp_path: Path) -> None:
    _, rows = numbers(tmp_path, NEW)
    report = check_numbers(tmp_path / "kept", tmp_path / "again")
    assert (report.rows, report.errors) == (len(rows), 0)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "kept").read_bytes()
    moved(tmp_path, "79161234567;a\n")
    assert check_ported(tmp_path / "kept", tmp_path / "again").rows == 1
    assert (tmp_path / "again").read_bytes() == (tmp_path / "kept").read_bytes()


def test_kept_files_compile_into_what_a_lookup_finds(tmp_path: Path) -> None:
    numbers(tmp_path, NEW)
    compiling.compile_numbers(tmp_path / "kept", tmp_path / "compiled")
    table = Ranges.of(memoryview((tmp_path / "compiled").read_bytes()))
    assert table.records[table.find(fill_up("79000062500"))].region == "Ростовская область"
    assert table.find(fill_up("79000063000")) == 0
    moved(tmp_path, "number,operator\n79161234567,a\n79161234568,b\n")
    compiling.compile_ported(tmp_path / "kept", tmp_path / "compiled")
    found = Ported.of(memoryview((tmp_path / "compiled").read_bytes()))
    assert found.names[found.find(fill_up("79161234568"))] == "b"
    assert found.find(fill_up("79161234569")) == -1


RUSSIAN_PORTED = """Number,OwnerId,MNC,Route,RegionCode,PortDate,RowCount,NPId,DonorId,RangeHolderId,OldRoute,OldMNC
9000000000,mMEGAFON,02,D2502,25,2016-09-07T12:00:17+03:00,7978178,1000000006441231,mTELE2,mTELE2,,
9000000007,mTELE2,20,D2520,25,2016-09-20T10:00:09+03:00,,,,,,
"""


def test_the_russian_database_of_ported_numbers_is_read(tmp_path: Path) -> None:
    report, rows = moved(tmp_path, RUSSIAN_PORTED)
    assert (report.rows, report.errors) == (2, 0)
    assert rows == [("79000000000", "25002 mMEGAFON"), ("79000000007", "25020 mTELE2")]


@pytest.mark.parametrize("head", ["number;operator\n", "MSISDN,Network\n", ""])
def test_ported_numbers_of_anybody_are_read_in_any_order(tmp_path: Path, head: str) -> None:
    delimiter = "," if "," in head else ";"
    lines = [f'+7916123456{n}{delimiter}ООО "{n % 3}"\n' for n in (3, 1, 2, 9, 0)]
    report, rows = moved(tmp_path, head + "".join(lines))
    assert report.errors == 0
    assert rows == [(f"7916123456{n}", f"ООО {n % 3}") for n in (0, 1, 2, 3, 9)]


def test_a_ported_number_that_is_there_twice_counts_once_and_never_for_two(tmp_path: Path) -> None:
    text = "number,operator\n79161234567,a\n79161234567,a\n79161234568,a\n79161234568,b\nx,a\n79161234569\n"
    report, rows = moved(tmp_path, text)
    assert rows == [("79161234567", "a"), ("79161234568", "a")]
    assert [(f.line, f.sentence) for f in report.faults] == [
        (6, "this is no number: 7 to 15 digits with the country code, such as 79161234567, are right"),
        (7, "1 fields where the header has at least 2"),
        (0, "number 7916…4568 is there for `a` and for `b`: the former is kept"),
    ]
    assert report.remarks == ("1 rows are there twice: they count once.",)


@given(st.lists(st.text("0189", min_size=7, max_size=9), max_size=60), st.integers(1, 9))
def test_lines_come_in_order_however_few_fit_into_memory(numbers: list[str], run: int) -> None:
    lines = [f"{number},x\n" for number in numbers]
    with tempfile.TemporaryDirectory() as directory:
        found = list(in_order(iter(lines), Path(directory) / "kept", run))
    assert found == sorted(lines)
    assert [fill_up(line[:-3]) for line in found] == sorted(fill_up(number) for number in numbers)


def test_fields_keep_the_quotes_that_are_their_own() -> None:
    assert fields('1; ООО "Т2" ;x', ";") == ["1", 'ООО "Т2"', "x"]
    assert fields('1;"ООО ""Т2""; Мобайл";x', ";") == ["1", 'ООО "Т2"; Мобайл', "x"]
    assert fields('1;"ООО" "Т2";x', ";") == ["1", '"ООО" "Т2"', "x"]


def test_what_a_version_changes_is_told_in_rows_and_moves(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    red, blue = Record("red", "RU"), Record("blue", "RU")
    kept.write_numbers(one, [("7900", "7900", red), ("7901", "7901", red), ("7902", "7902", red)])
    kept.write_numbers(two, [("7901", "7901", blue), ("7902", "7902", red), ("790", "790", red), ("7903", "7904", red)])
    assert changes("numbers", one, two) == Changes(2, 1, 1, (Move("red", "blue", 1),))
    assert changes("numbers", None, two) == Changes(4, 0, 0)


def test_changes_of_ported_numbers_are_those_of_sets(tmp_path: Path) -> None:
    random.seed(4)
    tables = [{f"79{random.randrange(50):09}": random.choice("abc") for _ in range(40)} for _ in range(2)]
    paths = [tmp_path / "one", tmp_path / "two"]
    for path, table in zip(paths, tables, strict=True):
        lines = "".join(kept.ported_line(*item) for item in sorted(table.items()))
        path.write_text(kept.PORTED_HEADER + "\n" + lines)
    before, after = tables
    found = changes("ported", *paths)
    assert found.added == len(after.keys() - before.keys())
    assert found.removed == len(before.keys() - after.keys())
    assert found.changed == sum(before[n] != after[n] for n in before.keys() & after.keys())
