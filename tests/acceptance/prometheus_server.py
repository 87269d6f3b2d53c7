"""A real Prometheus for a test: it asks the processes of a gateway every second and judges the rules as often."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.installation import ask, until
from tests.monitoring_documents import ROOT, RULE_FILES

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="the programs prometheus and promtool are missing (Debian, Ubuntu: apt install prometheus)",
)

CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: sluice
    static_configs: [{{targets: [{targets}]}}]
"""


def promtool(*arguments: str, directory: Path = ROOT) -> str:
    """What it says. Fails the test when it finds fault."""
    run = subprocess.run(["promtool", *arguments], cwd=directory, text=True, capture_output=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


class Prometheus:
    """Made on a directory of its own; `start` it, `stop` it. Alerts fire without their `for`."""

    def __init__(self, path: Path, targets: Sequence[str]) -> None:
        path.mkdir()
        rules = []
        for rule_file in RULE_FILES:
            rules.append(path / rule_file.name)
            rules[-1].write_text(re.sub(r"for: \w+", "for: 0s", rule_file.read_text("utf-8")))
        listed = ", ".join(f'"{target}"' for target in targets)
        self._file = path / "prometheus.yml"
        self._file.write_text(CONFIGURATION.format(rules=", ".join(str(rule) for rule in rules), targets=listed))
        self._data, self._log = path / "data", path / "log"
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Returns when it serves."""
        options = ["--web.listen-address=127.0.0.1:0", f"--storage.tsdb.path={self._data}", "--log.level=info"]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self._file}", *options], stdout=log, stderr=log, text=True
            )
        heard = re.compile(r'msg="?Listening on"? .*address=(\S+)')
        found = until(lambda: heard.search(self._log.read_text()) or self._has_ended(), "Prometheus to listen")
        self.url = f"http://{found[1]}"
        until(lambda: ask("GET", self.url + "/-/ready").status == 200, "Prometheus to be ready")

    def _has_ended(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._log.read_text()
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(15)

    def get(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        answer = ask("GET", f"{self.url}/api/v1/{path}?{urlencode(query)}")
        assert answer.status == 200, answer.body
        return answer.json()["data"]

    def value(self, expression: str) -> float | None:
        """Of the only series that an expression gives; None when it gives none."""
        found = self.get("query", query=expression)["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> dict[str, dict[str, str]]:
        """The alerts that fire now, with their labels, by name."""
        found = self.get("alerts")["alerts"]
        return {alert["labels"]["alertname"]: alert["labels"] for alert in found if alert["state"] == "firing"}


def wait_for(condition: Any, what: str) -> Any:
    """As `until`, asking Prometheus four times a second only."""
    pause = threading.Event()

    def look() -> Any:
        pause.wait(0.25)
        return condition()

    return until(look, what, 60.0)
