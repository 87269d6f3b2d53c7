"""What `sluice send --file` reads: CSV as people and spreadsheets write it, NDJSON, texts with placeholders."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from gateway.commands.bulk.rows import FileFault, Row, open_sheet
from gateway.commands.bulk.template import Template
from gateway.commands.bulk.wish import Refusal, Wish, Writer


def write(tmp_path: Path, data: bytes | str, name: str = "numbers.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(path: Path, encoding: str = "utf-8-sig") -> list[Row]:
    return list(open_sheet(path, encoding).rows())


@pytest.mark.parametrize(
    "data",
    [
        b"to;name\n+79161234567;\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0\n",
        b"to,name\r\n+79161234567,\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0\r\n",
        b"To\tname\n+79161234567\t\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0",
        b'\xef\xbb\xbf"to";"name"\r\n"+79161234567";"\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0"\r\n\r\n;;\r\n',
        b"sep=,\r\nto,name\r\n +79161234567 , \xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0 \r\n",
        "to;name;;\n+79161234567;Анна;;\n".encode("utf-16"),
        b'\n{"to": "+79161234567", "name": "\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0"}\n'[1:],
    ],
    ids=["semicolons", "commas", "tabs", "Excel's UTF-8", "sep=", "UTF-16", "NDJSON"],
)
def test_the_same_rows_are_read_however_the_file_is_written(tmp_path: Path, data: bytes) -> None:
    rows = read(write(tmp_path, data))
    assert [row.values for row in rows] == [{"to": "+79161234567", "name": "Анна"}]
    assert not rows[0].fault


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("", "begins with an empty line"),
        ("phone;name\n1;2\n", "no column of .* is named `to`: its first line names `phone`, `name`"),
        ("+79161234567\n+79161234568\n", "holds a number, not the names of columns"),
        ("to;name;name\n", "two columns named `name`"),
    ],
)
def test_a_header_that_cannot_be_used_is_told_with_what_would_be_right(tmp_path: Path, data: str, says: str) -> None:
    with pytest.raises(FileFault, match=says):
        read(write(tmp_path, data))


def test_a_file_in_another_encoding_is_told_and_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "to;name\n+79161234567;Анна\n".encode("cp1251"))
    with pytest.raises(FileFault, match=r"not in UTF-8: .* --encoding cp1251"):
        read(path)
    assert read(path, "cp1251")[0].values["name"] == "Анна"


def test_a_quote_that_never_ends_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(FileFault, match="near line 3: this is no CSV"):
        read(write(tmp_path, 'to;name\n+79161234567;a\n+79161234568;"b\n+79161234569;c\n'))


def test_rows_know_their_line_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    rows = read(write(tmp_path, 'to;name\n\n1;"two\nlines"\n2\n3;c;d\n4;e;\n'))
    assert [(row.line, bool(row.fault)) for row in rows] == [(3, False), (5, True), (6, True), (7, False)]
    assert rows[1].fault == "The row has 1 cells, and the header names 2 columns."
    rows = read(write(tmp_path, '{"to": 79161234567, "sum": 1.5, "none": null}\n[1]\nx\n', "a.jsonl"))
    assert rows[0].values == {"to": "79161234567", "sum": "1.5", "none": ""}
    assert [bool(row.fault) for row in rows] == [False, True, True]


def test_a_text_is_filled_from_the_columns() -> None:
    template = Template("Hello { name }, your code {{4711}} for {sum}: {name}")
    assert template.fields == ["name", "sum"]
    assert template.fill({"name": "Anna", "sum": "5"}) == "Hello Anna, your code {4711} for 5: Anna"
    assert template.lacks({"name": "Anna", "sum": ""}) == "sum"
    template.check(("to", "name", "sum"))
    with pytest.raises(click.UsageError, match=r"named `sum`: the file has \{to\}, \{name\}"):
        template.check(("to", "name"))
    with pytest.raises(click.UsageError, match=r"named `name`: did you mean \{names\}\?"):
        template.check(("to", "names"))
    for lone in ("{", "a } b", "{}", "{ }", "{a{b}"):
        with pytest.raises(click.UsageError, match="lone"):
            Template(lone)


def test_a_row_s_ref_is_its_own_or_the_run_s_name(tmp_path: Path) -> None:
    sheet = open_sheet(write(tmp_path, "to;ref;name\n1;;a\n2;own;b\n3;;\n4\n"))
    writer = Writer(Wish("spring", "Hi {name}", {"tag": "t"}), sheet)
    made = [writer.message(row) for row in sheet.rows()]
    assert made[:2] == [
        {"to": "1", "ref": "spring", "text": "Hi a"},
        {"to": "2", "ref": "own", "text": "Hi b"},
    ]
    assert [m.code for m in made[2:] if isinstance(m, Refusal)] == ["placeholder_empty", "row_malformed"]
    assert writer.defaults == {"tag": "t"}
    assert Writer(Wish("spring", "Hi all", {}), sheet).defaults == {"text": "Hi all"}
    with pytest.raises(click.UsageError, match="named `text`"):
        Writer(Wish("spring", None, {}), sheet)


def test_another_text_is_another_run_and_a_later_time_is_not() -> None:
    first = Wish("r", "Hi", {"tag": "t", "send_at": "2030-01-01T00:00:00+00:00"})
    assert first.fingerprint() == Wish("r", "Hi", {"tag": "t"}).fingerprint()
    assert first.fingerprint() != Wish("r", "Hi!", {"tag": "t"}).fingerprint()
