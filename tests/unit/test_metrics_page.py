"""docs/metrics.md tells of every metric as it is, and names follow Prometheus' conventions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import metrics
from gateway.config import ROLES
from gateway.instruments import KNOWN, Known
from gateway.ops.metrics_page import page

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
FOR_PEOPLE = {"number", "to", "from", "text", "id", "message_id", "ref", "url", "endpoint", "recipient", "key"}
UNITS = ("_seconds", "_bytes", "_messages", "_events", "_attempts")


def test_the_page_is_what_the_metrics_say() -> None:
    told = "run `python -m gateway.ops.metrics_page > docs/metrics.md`"
    assert PAGE.read_text("utf-8") == page(), told


def test_every_metric_stands_on_the_page_once() -> None:
    lines = [line for line in page().splitlines() if line.startswith("| `sluice_")]
    assert sorted(line.split("`")[1] for line in lines) == sorted(known.name for known in KNOWN)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_names_and_labels_follow_the_conventions(known: Known) -> None:
    assert re.fullmatch(r"sluice_[a-z][a-z0-9_]*[a-z0-9]", known.name)
    assert known.name.endswith("_total") == (known.kind == "counter")
    assert known.kind != "histogram" or known.name.endswith(UNITS)
    assert not FOR_PEOPLE.intersection(known.labels), "numbers, texts, ids and addresses are no labels"
    assert "client" not in known.labels or known.name in {
        "sluice_messages_accepted_total",
        "sluice_messages_duplicate_total",
    }
    assert set(known.roles) <= {*ROLES, "notifier"}
    assert known.says[0].isupper() or known.says[0].isdigit()


def test_an_instrument_is_made_once() -> None:
    names = [known.name for known in KNOWN]
    assert len(names) == len(set(names))
    assert all(known.instrument in metrics.REGISTRY._collector_to_names for known in KNOWN)
