"""docs/plan.md tells of every field that a plan may have."""

from pathlib import Path

import msgspec
import pytest

from gateway.plan.document import Carrier, Defaults, Entry, Operator, Rate, Route

PAGE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text("utf-8")


@pytest.mark.parametrize("kind", [Defaults, Carrier, Operator, Rate, Route], ids=lambda kind: kind.__name__)
def test_every_field_stands_in_its_section(kind: type[Entry]) -> None:
    heading = f"`[{kind.__name__.lower()}]`" if kind is Defaults else f"`[[{kind.__name__.lower()}]]`"
    section = PAGE.split(f"## {heading}")[1].split("\n## ")[0]
    documented = {word for line in section.splitlines() if line.startswith("| `") for word in line.split("`")[1::2]}
    assert {field.encode_name for field in msgspec.structs.fields(kind)} <= documented
