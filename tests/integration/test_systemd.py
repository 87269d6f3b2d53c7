"""What systemd hears of a process: a real datagram socket, and a real process whose event loop is made to hang."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ops.systemd import Systemd, status_line
from tests.installation import ROOT

WATCHDOG_S = 0.6
PATIENCE_S = 20.0

# `sluice run` as it is, in a process where SIGUSR1 holds up the main thread until the test writes a byte.
HANGING = """
import os, signal, sys
from gateway.cli import main
signal.signal(signal.SIGUSR1, lambda *_: os.read(0, 1))
main(sys.argv[1:])
"""


class Ear:
    """The socket on which systemd listens."""

    def __init__(self, path: str) -> None:
        self.address = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + path[1:] if path.startswith("@") else path)

    def next(self, within_s: float = PATIENCE_S) -> str:
        """The next datagram; empty when none comes."""
        self._socket.settimeout(within_s)
        try:
            return self._socket.recv(4096).decode()
        except TimeoutError:
            return ""

    def until(self, wanted: str) -> list[str]:
        """Everything up to `wanted`."""
        heard = [self.next()]
        while wanted not in heard[-1]:
            assert heard[-1], f"{wanted} did not come after {heard[:-1]}"
            heard.append(self.next())
        return heard

    def until_silent(self, for_s: float) -> bool:
        """Whether datagrams cease to come."""
        return any(not self.next(for_s) for _ in range(50))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    made = Ear(str(tmp_path / "notify"))
    yield made
    made.close()


def start(ear: Ear, *options: str) -> subprocess.Popen[str]:
    env = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    return subprocess.Popen(
        [sys.executable, "-c", HANGING, "run", "--roles", "router,recorder", *options],
        cwd=ROOT, env=os.environ | env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def test_ready_is_told_once_the_stages_serve_and_stopping_before_they_end(
    ear: Ear, valkey_url: str, postgres_url: str
) -> None:
    with start(ear, "--redis-url", valkey_url, "--postgres-url", postgres_url) as process:
        before = ear.until("READY=1")
        assert not any("STOPPING" in said for said in before)
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        ear.until("STATUS=not ready: plan: no plan is active")
        ear.until("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        ear.until("STOPPING=1")
        assert process.wait(PATIENCE_S) == 0


def test_a_loop_that_hangs_feeds_no_watchdog_and_sigabrt_shows_where_it_hung(
    ear: Ear, valkey_url: str, postgres_url: str
) -> None:
    with start(ear, "--redis-url", valkey_url, "--postgres-url", postgres_url) as process:
        ear.until("READY=1")
        ear.until("WATCHDOG=1")
        process.send_signal(signal.SIGUSR1)
        assert ear.until_silent(2 * WATCHDOG_S), "it was fed although the loop hung"
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
        ear.until("WATCHDOG=1")  # the loop turns again
        process.send_signal(signal.SIGUSR1)
        assert ear.until_silent(2 * WATCHDOG_S)
        process.send_signal(signal.SIGABRT)  # as systemd does after WatchdogSec
        _, logs = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in logs
        assert '<string>", line 4 in <lambda>' in logs


def test_a_process_that_cannot_start_is_never_ready(ear: Ear, valkey_url: str) -> None:
    with start(ear, "--redis-url", valkey_url.replace("unix://", "unix://:wrong@")) as process:
        assert process.wait(PATIENCE_S) == 1
    assert ear.next(0.01) == ""


async def test_a_stage_that_ended_is_fed_no_more(ear: Ear) -> None:
    alive = True
    systemd = Systemd(ear.address, watchdog_s=0.06)
    task = asyncio.create_task(systemd.feed(lambda: alive, lambda: "ready"))
    heard = [await asyncio.to_thread(ear.next) for _ in range(4)]
    assert heard == ["WATCHDOG=1", "STATUS=ready", "WATCHDOG=1", "WATCHDOG=1"]
    alive = False
    assert await asyncio.to_thread(ear.until_silent, 0.3)
    alive = True
    assert await asyncio.to_thread(ear.next) == "WATCHDOG=1"
    task.cancel()
    systemd.close()


async def test_a_manager_that_reads_nothing_or_is_gone_stops_nothing(ear: Ear) -> None:
    systemd = Systemd(ear.address)
    for number in range(2_000):  # far more than the socket's queue holds
        systemd.tell(f"STATUS={number}")
    assert ear.next() == "STATUS=0"
    ear.close()
    Path(ear.address).unlink()
    systemd.tell("READY=1")
    systemd.close()
    systemd.tell("READY=1")


def test_a_socket_in_the_abstract_namespace_is_spoken_to() -> None:
    ear = Ear(f"@sluice-test-{os.getpid()}")
    systemd = Systemd.from_environ({"NOTIFY_SOCKET": ear.address})
    systemd.tell("READY=1", "STATUS=two\nlines")
    assert ear.next() == "READY=1\nSTATUS=two lines"
    systemd.close()
    ear.close()


@pytest.mark.parametrize(
    ("environ", "period_s"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "42"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "43"}, 0.0),
        ({"WATCHDOG_USEC": "never"}, 0.0),
        ({}, 0.0),
    ],
)
def test_only_the_watchdog_of_this_process_is_fed(ear: Ear, environ: dict[str, str], period_s: float) -> None:
    systemd = Systemd.from_environ({"NOTIFY_SOCKET": ear.address} | environ, pid=42)
    assert systemd.watchdog_s == period_s
    systemd.close()


def test_the_status_line_names_what_is_wrong() -> None:
    assert status_line({"redis": "", "plan": ""}) == "ready"
    assert status_line({"redis": "away: refused", "plan": ""}) == "not ready: redis: away: refused"
