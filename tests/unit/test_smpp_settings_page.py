"""docs/smpp.md says what the code says, and its examples are good plans."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.provider_modules import check_whole
from providers.smpp import page

PAGE = Path(__file__).parents[2] / "docs" / "smpp.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
REST = """
[[operator]]
name = "all"
prefixes = [""]
[[rate]]
carrier = "north"
price = "1"
currency = "EUR"
[[route]]
name = "all"
carriers = ["north"]
"""


def test_the_tables_are_those_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    assert page.renew(text) == text, "renew it: python -m providers.smpp.page docs/smpp.md"


def test_every_setting_is_explained() -> None:
    for name, table in page.made().items():
        assert not [row for row in table.splitlines() if row.startswith("| `") and row.split("|")[2].strip() == ""], (
            name
        )


@pytest.mark.parametrize("example", EXAMPLES[1:], ids=["tlvs", "codes"])
def test_the_examples_are_good_plans(example: str) -> None:
    assert check_whole(EXAMPLES[0] + example + REST).problems == []
