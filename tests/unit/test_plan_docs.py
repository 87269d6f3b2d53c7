"""docs/plan.md tells of every field that a plan may have."""

from pathlib import Path

import msgspec
import pytest

from gateway.plan.document import (
    Budget,
    Carrier,
    Defaults,
    Entry,
    InboundRule,
    Limit,
    Lookup,
    Operator,
    Rate,
    Route,
    Sender,
    StopWords,
    Window,
)

PAGE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text("utf-8")


HEADINGS = {
    Defaults: "[defaults]",
    Carrier: "[[carrier]]",
    Operator: "[[operator]]",
    Rate: "[[rate]]",
    Route: "[[route]]",
    Sender: "[[sender]]",
    Limit: "[[limit]]",
    Budget: "[[budget]]",
    Window: "[[window]]",
    StopWords: "[stop_words]",
    Lookup: "[lookup]",
    InboundRule: "[[inbound]]",
}


@pytest.mark.parametrize("kind", HEADINGS, ids=lambda kind: kind.__name__)
def test_every_field_stands_in_its_section(kind: type[Entry]) -> None:
    section = PAGE.split(f"## `{HEADINGS[kind]}`")[1].split("\n## ")[0]
    documented = {word for line in section.splitlines() if line.startswith("| `") for word in line.split("`")[1::2]}
    assert {field.encode_name for field in msgspec.structs.fields(kind)} <= documented
