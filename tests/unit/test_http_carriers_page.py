"""docs/http-carriers.md and docs/carriers.md say what the code says, and their examples are good plans."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.provider_modules import check_whole
from providers._web import page

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "http-carriers.md", DOCS / "carriers.md")
EXAMPLES = [e for page in PAGES for e in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]
REST = """
[[operator]]
name = "all"
prefixes = [""]
[[rate]]
carrier = "{name}"
price = "1"
currency = "EUR"
[[route]]
name = "all"
carriers = ["{name}"]
"""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_tables_are_those_of_the_code(path: Path) -> None:
    text = path.read_text("utf-8")
    assert page.renew(text) == text, f"renew it: python -m providers._web.page {path}"


def test_every_carrier_by_name_has_its_table_and_an_example() -> None:
    text = PAGES[1].read_text("utf-8")
    assert [name for name in page.BY_NAME if f"<!-- {name} -->" not in text] == []
    assert [name for name in page.BY_NAME if f'provider = "{name}"\n' not in text] == []


def test_every_setting_is_explained() -> None:
    for name, table in page.tables().items():
        assert not [row for row in table.splitlines() if row.startswith("| `") and row.split("|")[2].strip() == ""], (
            name
        )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.split('"')[1])
def test_the_examples_are_good_plans(example: str) -> None:
    name = re.search(r'name = "(.*?)"', example)
    assert name is not None
    assert check_whole(example + REST.replace("{name}", name[1])).problems == []
