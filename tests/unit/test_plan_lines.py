"""Lines of a plan's entries, held against documents that are made with their lines known."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plan.lines import Lines, Path, pointer

DOCUMENT = '''# a comment with [brackets] and "quotes
[defaults]
currency = "RUB"  # = "not this"

[[carrier]]
name = "a"
text = """
name = "no"
[[carrier]]
"""
settings = { host = "h", password = { env = "X" } }
[carrier.more]
"quoted key" = 'lit[eral'
dotted.key.here = 5

[[carrier]]
name = 'b'
list = [
  1,  # one ]
  { x = 1, y = "}" },

  [ 2,
    3 ],
]
[[carrier.bind]]
port = 1
[[carrier.bind]]
port = 2
[[route]]
at = 2024-01-01T00:00:00Z
end = true'''

EXPECTED: list[tuple[Path, int]] = [
    (("defaults",), 2),
    (("defaults", "currency"), 3),
    (("carrier",), 5),
    (("carrier", 0), 5),
    (("carrier", 0, "name"), 6),
    (("carrier", 0, "text"), 7),
    (("carrier", 0, "settings", "password"), 11),
    (("carrier", 0, "settings", "password", "env"), 11),
    (("carrier", 0, "more", "quoted key"), 13),
    (("carrier", 0, "more", "dotted", "key", "here"), 14),
    (("carrier", 1, "name"), 17),
    (("carrier", 1, "list"), 18),
    (("carrier", 1, "list", 0), 19),
    (("carrier", 1, "list", 1, "y"), 20),
    (("carrier", 1, "list", 2), 22),
    (("carrier", 1, "list", 2, 1), 23),
    (("carrier", 1, "bind", 0, "port"), 26),
    (("carrier", 1, "bind", 1), 27),
    (("carrier", 1, "bind", 1, "port"), 28),
    (("route", 0, "end"), 31),
    (("route", 0, "absent", "deeper"), 29),
    (("nowhere",), 1),
]


@pytest.mark.parametrize(("path", "line"), EXPECTED, ids=[pointer(path) for path, _ in EXPECTED])
def test_every_path_of_the_document_has_its_line(path: Path, line: int) -> None:
    assert tomllib.loads(DOCUMENT)
    assert Lines(DOCUMENT).of(path) == line


def test_a_pointer_escapes_what_json_pointers_escape() -> None:
    assert pointer(("a/b", 0, "c~d")) == "/a~1b/0/c~0d"
    assert pointer(()) == ""


names = st.text("abcxyz_-09", min_size=1, max_size=6)
strings = st.sampled_from(
    ['"a"', "'b\\'", '"\\"]"', "'''x\n[[no]]\n'y'''", '"""\nno = 1\n"q" \\\n"""', '"""a\\""""', '""', "''", "''''a'''"]
)
plain = st.sampled_from(["1", "-2.5", "true", "2024-01-01", "1979-05-27 07:32:00", "0xff", "inf"])
values = st.recursive(
    strings | plain,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda vs: "[ # c ]\n" + ",\n ".join(vs) + "\n]")
        | st.dictionaries(names, inner.filter(lambda v: "\n" not in v), max_size=3).map(
            lambda d: "{ " + ", ".join(f"{k} = {v}" for k, v in d.items()) + " }"
        )
    ),
    max_leaves=6,
)
tables = st.lists(st.dictionaries(names, values, max_size=4), max_size=4)


@given(tables, st.sampled_from(["\n", "\n\n# [[t]] = '\n", "\r\n"]))
def test_tables_and_their_fields_are_found_on_the_lines_where_they_were_written(
    entries: list[dict[str, str]], gap: str
) -> None:
    text = ""
    expected: dict[Path, int] = {}
    for index, entry in enumerate(entries):
        expected["t", index] = text.count("\n") + 1
        text += "[[t]]" + gap
        for name, value in entry.items():
            expected["t", index, name] = text.count("\n") + 1
            text += f"{name} = {value}{gap}"
    parsed: dict[str, Any] = tomllib.loads(text)
    assert len(parsed.get("t", [])) == len(entries)
    lines = Lines(text)
    assert {path: lines.of(path) for path in expected} == expected
