"""docs/http-carriers.md says what the code says, and its examples are good plans."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.provider_modules import check_whole
from providers._web import page

PAGE = Path(__file__).parents[2] / "docs" / "http-carriers.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
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


def test_the_tables_are_those_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    assert page.renew(text) == text, "renew it: python -m providers._web.page docs/http-carriers.md"


def test_every_setting_is_explained() -> None:
    for name, table in page.tables().items():
        assert not [row for row in table.splitlines() if row.startswith("| `") and row.split("|")[2].strip() == ""], (
            name
        )


@pytest.mark.parametrize("example", EXAMPLES, ids=["json", "form"])
def test_the_examples_are_good_plans(example: str) -> None:
    name = re.search(r'name = "(.*?)"', example)
    assert name is not None
    assert check_whole(example + REST.replace("{name}", name[1])).problems == []
