"""Alerts, runbooks and dashboards: they name what exists, and nobody is woken without a page to read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests import monitoring_documents as documents

ALERTS = documents.alerts()
RULES = documents.rules()
by_name = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
by_file = pytest.mark.parametrize("path", documents.DASHBOARDS, ids=lambda path: path.stem)


def test_there_is_an_alert_for_what_matters() -> None:
    assert len(ALERTS) >= 20
    found = [alert["alert"] for alert in ALERTS]
    assert len(set(found)) == len(found)
    assert "SluiceQueueStandsStill" in found


@by_name
def test_an_alert_says_how_bad_what_is_wrong_with_figures_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert re.fullmatch(r"Sluice[A-Z]\w+", alert["alert"])
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert re.fullmatch(r"\d+[smh]", alert["for"])
    said = alert["annotations"]
    assert 5 < len(said["summary"]) < 100
    assert "{{" in said["description"], "an alert tells the value, or whose it is"
    page, _, anchor = said["runbook_url"].partition("#")
    assert page == "docs/monitoring/runbooks.md"
    assert anchor == alert["alert"].lower() and anchor in documents.anchors()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_uses_only_metrics_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    used = documents.names(rule["expr"])
    assert used and used <= documents.exposed(), used - documents.exposed()
    for metric, labels in documents.selectors(rule["expr"]):
        if ":" not in metric:
            assert labels <= documents.labels_of(metric), metric


def test_every_recorded_figure_is_used() -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    asked = {name for rule in RULES for name in documents.names(rule["expr"])}
    drawn = {n for path in documents.DASHBOARDS for e in documents.expressions(path) for n in documents.names(e)}
    assert recorded <= asked | drawn, recorded - asked - drawn


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    text = (documents.ROOT / "runbooks.md").read_text("utf-8")
    parts = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert [part.split("\n", 1)[0] for part in parts] == [alert["alert"] for alert in ALERTS], "the same order too"
    for part in parts:
        for said in ("**Means**", "**Users notice**", "**Look**", "**Mend**", "**Wait**"):
            assert part.count(said) == 1, f"{part.splitlines()[0]} lacks {said}"
    for link in re.findall(r"\]\(#([\w-]+)\)", text):
        assert link in documents.anchors(), link


def test_commands_of_the_runbooks_exist() -> None:
    seen = 0
    for line in documents.commands():
        words = shlex.split(line)
        assert words[0] in ("sluice", "psql", "redis-cli", "curl", "journalctl"), line
        if words[0] == "sluice":
            options = [word for word in words[1:] if word.startswith("--")]
            said = CliRunner().invoke(main, [*(w for w in words[1:3] if w.isalpha()), "--help"])
            assert said.exit_code == 0, line
            assert all(option in said.output for option in options), line
            seen += 1
    assert seen


def test_there_are_dashboards_for_every_part() -> None:
    assert len(documents.DASHBOARDS) >= 5
    found = [documents.dashboard(path) for path in documents.DASHBOARDS]
    assert len({d["uid"] for d in found}) == len({d["title"] for d in found}) == len(found)


@by_file
def test_a_dashboard_can_be_imported(path: Path) -> None:
    d = documents.dashboard(path)
    assert d["uid"] == path.stem and len(d["uid"]) <= 40
    assert d["schemaVersion"] >= 36 and d["tags"] == ["sluice"]
    assert {"time", "timezone", "refresh", "annotations", "description"} <= d.keys()
    variables = {v["name"]: v for v in d["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    assert {"job", "instance"} <= variables.keys()
    assert len({panel["id"] for panel in d["panels"]}) == len(d["panels"])


@by_file
def test_every_panel_has_its_place_its_unit_and_a_word_on_what_it_shows(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in documents.dashboard(path)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies on another"
        taken |= cells
    for panel in documents.panels(path):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["type"] in ("timeseries", "stat", "table")
        assert len(panel["description"]) > 8
        assert panel["fieldConfig"]["defaults"]["unit"]
        ids = [target["refId"] for target in panel["targets"]]
        assert ids and len(set(ids)) == len(ids)


@by_file
def test_a_dashboard_uses_only_metrics_and_labels_that_there_are(path: Path) -> None:
    for expression in documents.expressions(path):
        used = documents.names(expression)
        assert used and used <= documents.exposed(), used - documents.exposed()
        for metric, labels in documents.selectors(expression):
            if metric != "ALERTS":
                assert labels <= documents.labels_of(metric), metric


@by_file
def test_a_dashboard_asks_only_of_the_processes_that_were_chosen(path: Path) -> None:
    for panel in documents.panels(path):
        for target in panel["targets"]:
            for metric in re.findall(r"\b(?:sluice|process)_\w+(?!\w|\()", target["expr"]):
                assert f'{metric}{{job=~"$job", instance=~"$instance"' in target["expr"], panel["title"]


def test_names_are_found_in_expressions() -> None:
    said = (
        'sum by (le, a_b) (rate(x_total{y="z_w", k=~"$k"}[5m] offset 1d)) / on (c) (q:r:max > 0.5e3) and up == bool 1'
    )
    assert documents.names(said) == {"x_total", "q:r:max", "up"}
