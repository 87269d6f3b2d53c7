"""docs/monitoring as tests read it: rules, dashboards, runbooks, and the names of metrics that an expression uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import gateway.metrics  # noqa: F401 - so that all of them are known
from gateway.instruments import KNOWN

ROOT = Path(__file__).parents[1] / "docs" / "monitoring"
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
RULE_FILES = (ROOT / "recording.rules.yml", ROOT / "alerts.rules.yml")
OF_EVERY_CLIENT = {
    "up",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "ALERTS",
}
_WORDS = {"and", "or", "unless", "on", "ignoring", "by", "without", "group_left", "group_right", "bool", "offset"}
_LISTS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()(?![a-zA-Z0-9_:])")


@cache
def rules() -> list[dict[str, Any]]:
    """Every rule of both files, in order."""
    groups = [group for path in RULE_FILES for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@cache
def dashboard(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def expressions(path: Path) -> Iterator[str]:
    """What the panels of a dashboard ask, with Grafana's variables filled in."""
    for panel in panels(path):
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")


def names(expression: str) -> set[str]:
    """The metrics that an expression uses."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", _LISTS.sub(" ", bare))
    return {name for name in _NAME.findall(re.sub(r"\b\d[\w.]*", " ", bare)) if name not in _WORDS}


@cache
def exposed() -> set[str]:
    """Every name under which something can be asked for."""
    found = set(OF_EVERY_CLIENT) | {rule["record"] for rule in rules() if "record" in rule}
    for known in KNOWN:
        suffixes = ("_bucket", "_sum", "_count") if known.kind == "histogram" else ("",)
        found |= {known.name + suffix for suffix in suffixes}
    return found


@cache
def labels_of(metric: str) -> set[str]:
    """The labels that a metric of ours has, with those that Prometheus adds."""
    for known in KNOWN:
        if metric in (known.name, *(known.name + suffix for suffix in ("_bucket", "_sum", "_count"))):
            return {*known.labels, "job", "instance", *({"le"} if known.kind == "histogram" else ())}
    return {"job", "instance"}


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric with labels in braces: its name, and the labels that are asked of it."""
    for name, inside in re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', "", inside)))


@cache
def anchors() -> set[str]:
    """Where a link into runbooks.md can lead."""
    heads = re.findall(r"^#+ (.+)$", (ROOT / "runbooks.md").read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def commands() -> list[str]:
    """Every line of the runbooks' blocks of commands."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "runbooks.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return list(dict.fromkeys(line for block in blocks for line in block.splitlines()))
