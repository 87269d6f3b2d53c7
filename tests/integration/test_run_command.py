"""`sluice run` as a process: ready in one line, stopped by SIGTERM, refusals in one line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

from tests.installation import ROOT, ask


def run(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", *options],
        cwd=ROOT, env=os.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_the_stages_say_where_they_serve_and_end_on_sigterm(valkey_url: str, postgres_url: str) -> None:
    with run("--redis-url", valkey_url, "--postgres-url", postgres_url, "--listen", "127.0.0.1:0") as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["ready"]
        assert ask("GET", url + "/healthz").status == 200
        process.send_signal(signal.SIGTERM)
        _, logs = process.communicate(timeout=30)
        assert process.returncode == 0
    assert {json.loads(line)["level"] for line in logs.splitlines()} <= {"info", "warning"}


def test_a_redis_that_is_away_is_one_line() -> None:
    with run("--redis-url", "redis://127.0.0.1:1/0") as process:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
    errors = [line for line in said.splitlines() if not line.startswith("{")]
    assert len(errors) == 1
    assert errors[0].startswith("Error: ")


def test_a_port_that_is_taken_is_one_line(valkey_url: str, postgres_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ["--redis-url", valkey_url, "--postgres-url", postgres_url, "--listen", place]
        with run("--roles", "api", *options) as process:
            _, said = process.communicate(timeout=60)
            assert process.returncode == 1
    errors = [line for line in said.splitlines() if not line.startswith("{")]
    assert len(errors) == 1
    assert errors[0].startswith(f"Error: cannot listen on {place}: ")
