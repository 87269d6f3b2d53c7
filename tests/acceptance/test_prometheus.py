"""A real Prometheus watches a real gateway: rules load, figures come, an alert fires when something is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import monitoring_documents as documents
from tests.acceptance.prometheus_server import Prometheus, needs_prometheus, promtool, wait_for
from tests.installation import Installation, ask

pytestmark = needs_prometheus

MESSAGES = 30
KEY_SERIES = (
    ('sum(sluice_messages_accepted_total{class="otp"})', MESSAGES),
    ('sum(sluice_messages_routed_total{class="otp"})', MESSAGES),
    ('sum(sluice_submissions_settled_total{outcome="accepted"})', MESSAGES),
    ('sum(sluice_messages_final_total{state="delivered"})', MESSAGES),
    ('sum(sluice_receipts_total{state="delivered"})', MESSAGES),
    ('sum(sluice_receipts_matched_total{by="id"})', MESSAGES),
    ('sum(sluice_accept_to_wire_seconds_count{class="otp"}) > bool 0', 1),  # of a batch a few stand for all
    ('sum(sluice_accept_to_routed_seconds_count{class="otp"})', MESSAGES),
    ("sum(sluice_carrier_answer_seconds_count)", MESSAGES),
    ("sum(sluice_submit_to_receipt_seconds_count)", MESSAGES),
    ('max(sluice_queue_messages{queue="outbox", class="otp"})', 0),
    ('max(sluice_queue_entries{queue="events"})', 0),
    ("sum(sluice_carrier_in_flight)", 0),
    ('sum(sluice_carrier_binds{state="bound"}) > bool 0', 1),
    ('sum(sluice_lease_held{lease="router"})', 1),
    ('sum(sluice_lease_held{lease="recorder"})', 1),
    ("min(sluice_shard_open)", 1),
    ("min(sluice_redis_up)", 1),
    ("min(sluice_postgres_up)", 1),
    ("min(sluice_check_ok)", 1),
    ("max(sluice_recorder_lag_seconds)", 0),
    ("max(sluice_quarantine_values)", 0),
)
"""What must be true of a gateway that has delivered so many messages and is idle again."""


def test_rules_and_configuration_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    promtool("check", "config", "prometheus.yml")
    said = promtool("check", "rules", *(path.name for path in documents.RULE_FILES))
    assert said.count("SUCCESS") == len(documents.RULE_FILES)
    asked = [expression for path in documents.DASHBOARDS for expression in documents.expressions(path)]
    lines = ["groups:", "  - name: dashboards", "    rules:"]
    for number, expression in enumerate(dict.fromkeys(asked)):
        lines += [f"      - record: panel:number:{number}", f"        expr: {expression!r}"]
    (tmp_path / "dashboards.yml").write_text("\n".join(lines))
    assert f"{len(set(asked))} rules found" in promtool("check", "rules", "dashboards.yml", directory=tmp_path)


def test_alerts_fire_when_they_should_and_not_before() -> None:
    tested = re.findall(r"alertname: (\w+)", (documents.ROOT / "alerts.test.yml").read_text("utf-8"))
    assert len(set(tested)) >= 10
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yml")


@pytest.fixture
def prometheus(installation: Installation, tmp_path: Path) -> Iterator[Prometheus]:
    """Watching a running gateway."""
    installation.start()
    pages = installation.client_env["SLUICE_METRICS"]
    made = Prometheus(tmp_path / "prometheus", re.findall(r"http://([^/]+)/metrics", pages))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_prometheus_sees_the_gateway_at_work_and_an_alert_fires_when_its_carrier_goes(
    installation: Installation, prometheus: Prometheus
) -> None:
    def all_up() -> bool:
        found = prometheus.get("targets")["activeTargets"]
        return len(found) >= 3 and all(target["health"] == "up" for target in found)

    wait_for(all_up, "every process to be a target that is up")
    sent = [installation.send(f"+7916000{n:04d}", "Hello", **{"class": "otp"}) for n in range(MESSAGES)]
    for message_id in sent:
        installation.delivered(message_id)
    for expression, value in KEY_SERIES:
        wait_for(lambda e=expression, v=value: prometheus.value(e) == v, f"{expression} == {value}")
    for path in documents.DASHBOARDS:
        for expression in documents.expressions(path):
            prometheus.get("query", query=expression)
    groups = prometheus.get("rules")["groups"]
    assert all(rule["health"] != "err" for group in groups for rule in group["rules"])
    wait_for(lambda: not critical(prometheus), "a gateway that is well to raise no critical alert")

    control = next(found[1] for line in installation.output if (found := re.search(r"(http://\S+)/messages", line)))
    assert ask("PATCH", f"{control}/profile", body={"bind_status": 0x0D}).status == 200
    assert ask("POST", f"{control}/disconnect", body={"how": "close"}).status == 200
    labels = wait_for(lambda: prometheus.firing().get("SluiceCarrierDown"), "SluiceCarrierDown to fire")
    assert labels["carrier"] == "sandbox" and labels["severity"] == "critical"


def critical(prometheus: Prometheus) -> list[str]:
    return [name for name, labels in prometheus.firing().items() if labels["severity"] == "critical"]
