"""A whole gateway for a test: `sluice up` as a process of its own, and what a newcomer does with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from gateway.embedded.datadir import short_path

ROOT = Path(__file__).parents[1]
START_S = 60.0


def until(condition: Callable[[], Any], what: str, deadline_s: float = 30.0) -> Any:
    """What `condition` gives as soon as it is true."""
    deadline, pause = time.monotonic() + deadline_s, threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {deadline_s} s for {what}"
        pause.wait(0.02)
    return found


class Answer:
    """An HTTP answer."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


def ask(method: str, url: str, key: str = "", body: Any = None) -> Answer:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return Answer(response.status, response.read())
    except urllib.error.HTTPError as e:
        with e:
            return Answer(e.code, e.read())


class Installation:
    """`sluice up` on one data directory. `start` and `stop` any number of times."""

    def __init__(
        self,
        data: Path,
        argv: Sequence[str] = (sys.executable, "-m", "gateway", "up"),
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.output: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self._argv = list(argv)
        self._cwd = cwd
        self._env = dict(os.environ if env is None else env)
        self._env |= {"SLUICE_DATA": str(data), "SLUICE_LISTEN": "127.0.0.1:0"}
        self._reader: threading.Thread | None = None

    def leave_unmeasured(self) -> None:
        """Measure no coverage from the next start on: it takes half as much time again."""
        self._env = {name: value for name, value in self._env.items() if not name.startswith("COVERAGE_PROCESS")}

    def launch(self, *options: str) -> subprocess.Popen[str]:
        """Begin to start; returns at once."""
        self.output = []
        argv = [*self._argv, *options]
        self.process = subprocess.Popen(
            argv, cwd=self._cwd, env=self._env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        return self.process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line)

    def says(self, words: str) -> bool:
        return any(words in line for line in self.output)

    def start(self, *options: str) -> float:
        """Start it, return the seconds until it says that it is ready."""
        began = time.monotonic()
        process = self.launch(*options)
        until(lambda: self.says("is ready after") or process.poll() is not None, "sluice up", START_S)
        assert process.poll() is None, "".join(self.output)
        return time.monotonic() - began

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it, return its exit code. Everything that it had started is gone, or this fails."""
        assert self.process is not None
        assert self._reader is not None
        family = self.family()
        self.process.send_signal(number)
        code = self.process.wait(60)
        left = psutil.wait_procs(family, timeout=20)[1]
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        assert left == [], "orphans"
        return code

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def run(self) -> Path:
        """Where its sockets and pid files are."""
        return short_path(self.data / "run")

    def pid_of(self, name: str) -> int:
        """Of `valkey`, `postgres`, `sandbox`, `api`, `dispatch` or `recorder`."""
        return int((self.run / f"{name}.pid").read_text().split()[0])

    @property
    def client_env(self) -> dict[str, str]:
        lines = (self.data / "client.env").read_text().splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def get(self, path: str) -> Answer:
        return ask("GET", self.client_env["SLUICE_URL"] + path, self.client_env["SLUICE_KEY"])

    def post(self, path: str, body: Any) -> Answer:
        return ask("POST", self.client_env["SLUICE_URL"] + path, self.client_env["SLUICE_KEY"], body)

    def send(self, to: str, text: str, **more: Any) -> str:
        answer = self.post("/v1/messages", {"to": to, "text": text, "class": "transactional"} | more)
        assert answer.status == 202, answer.body
        return str(answer.json()["id"])

    def delivered(self, message_id: str, deadline_s: float = 30.0) -> Any:
        """The message, once it is delivered."""

        def look() -> Any:
            found = self.get(f"/v1/messages/{message_id}").json()
            return found if found["state"] == "delivered" else None

        return until(look, f"{message_id} to be delivered", deadline_s)
