"""Child processes of `sluice up`: announced, kept alive, ended, remembered."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from gateway.commands.up import Steps
from gateway.config import Settings
from gateway.embedded import seed, supervise
from gateway.embedded.child import AUTOGROUP, STANDS_BACK, StartError, birth, end_leftover, keep_back, last_line, spawn
from gateway.embedded.process import Process
from gateway.embedded.supervise import Supervisor, ending
from gateway.embedded.up import open_up


@pytest.fixture
def sandbox(tmp_path: Path) -> Process:
    """A real `sluice sandbox`, not started."""
    password = tmp_path / "password"
    password.write_text("secret\n")
    arguments = ["sandbox", "--smpp", "127.0.0.1:0", "--control", "127.0.0.1:0", "--password-file", str(password)]
    environment = {"PYTHONPATH": os.getcwd()}
    return Process("sandbox", arguments, env=environment, log=tmp_path / "log", run=tmp_path, stop_s=10)


async def test_a_process_is_started_when_it_has_said_its_line(sandbox: Process) -> None:
    await sandbox.start()
    try:
        assert sandbox.said["smpp"].startswith("127.0.0.1:")
        assert psutil.pid_exists(sandbox.pid)
    finally:
        await sandbox.stop()
    assert sandbox.pid == 0


async def test_what_only_records_stands_back_for_the_others_with_all_that_it_starts(tmp_path: Path) -> None:
    log, pidfile = tmp_path / "log", tmp_path / "pid"
    script = ["/bin/sh", "-c", "sleep 60 & echo $!; wait"]
    child = await spawn("sh", script, log=log, pidfile=pidfile, death=signal.SIGKILL, listen=True, nice=STANDS_BACK)
    try:
        assert child.stdout is not None
        grandchild = psutil.Process(int(await asyncio.wait_for(child.stdout.readline(), 10)))
        own = psutil.Process().nice()
        lower = min(own + STANDS_BACK, 19)
        assert psutil.Process(child.pid).nice() == lower
        assert grandchild.nice() in (own, lower)  # it may have been started just before
        grandchild.kill()
    finally:
        await child.kill()


@pytest.mark.skipif(
    not AUTOGROUP.exists() or AUTOGROUP.read_text().strip() != "1", reason="sessions are no groups for this kernel"
)
async def test_sessions_that_it_starts_stand_back_too(tmp_path: Path) -> None:
    """PostgreSQL makes one for each connection, and where the kernel groups by session each would begin at 0."""
    log, pidfile = tmp_path / "log", tmp_path / "pid"
    script = ["/bin/sh", "-c", "setsid sleep 60 & echo $!; wait"]
    child = await spawn("sh", script, log=log, pidfile=pidfile, death=signal.SIGKILL, listen=True, nice=STANDS_BACK)
    keeping = asyncio.create_task(keep_back(child.pid, STANDS_BACK))
    try:
        assert child.stdout is not None
        grandchild = int(await asyncio.wait_for(child.stdout.readline(), 10))
        lower = min(psutil.Process().nice() + STANDS_BACK, 19)
        async with asyncio.timeout(30):
            while not Path(f"/proc/{grandchild}/autogroup").read_text().endswith(f" nice {lower}\n"):
                await asyncio.sleep(0.01)
        psutil.Process(grandchild).kill()
        await child.kill()
        await asyncio.wait_for(keeping, 10)  # nobody is left
    finally:
        keeping.cancel()
        await child.kill()


async def test_a_process_that_cannot_start_gives_its_reason_in_one_line(sandbox: Process, tmp_path: Path) -> None:
    (tmp_path / "password").unlink()
    with pytest.raises(StartError, match=r"sandbox stopped while starting: .*cannot be read"):
        await sandbox.start()


async def test_what_dies_is_started_again_until_told_to_stop(sandbox: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.01)
    notes: asyncio.Queue[str] = asyncio.Queue()
    supervisor = Supervisor(notes.put_nowait)
    await supervisor.start(sandbox)
    first = sandbox.pid
    os.kill(first, signal.SIGKILL)
    assert await asyncio.wait_for(notes.get(), 10) == "sandbox was ended by SIGKILL; starting it again"
    assert await asyncio.wait_for(notes.get(), 20) == "sandbox is back"
    assert sandbox.pid != first
    await supervisor.stop()
    assert sandbox.pid == 0
    assert notes.empty()


async def test_a_restart_that_fails_is_told_and_tried_again(
    sandbox: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.01)
    notes: asyncio.Queue[str] = asyncio.Queue()
    supervisor = Supervisor(notes.put_nowait)
    await supervisor.start(sandbox)
    (tmp_path / "password").unlink()
    os.kill(sandbox.pid, signal.SIGKILL)
    assert "SIGKILL" in await asyncio.wait_for(notes.get(), 10)
    assert "cannot be read" in await asyncio.wait_for(notes.get(), 20)
    (tmp_path / "password").write_text("secret\n")
    while (said := await asyncio.wait_for(notes.get(), 20)) != "sandbox is back":
        assert "cannot be read" in said
    await supervisor.stop()


async def test_a_child_whose_pid_cannot_be_remembered_is_not_left_running(tmp_path: Path) -> None:
    mark = f"{tmp_path}/mark"
    with pytest.raises(OSError, match="Not a directory"):
        await spawn(
            "lost", ["/bin/sh", "-c", "while :; do sleep 0.05; done", mark], log=tmp_path / "log",
            pidfile=tmp_path / "log" / "pid", death=signal.SIGKILL,
        )  # fmt: skip
    assert [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or ())] == []


async def test_a_restart_that_the_disk_refuses_is_tried_again(
    sandbox: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.01)
    notes: asyncio.Queue[str] = asyncio.Queue()
    supervisor = Supervisor(notes.put_nowait)
    await supervisor.start(sandbox)
    (tmp_path / "log").rename(tmp_path / "log.old")
    (tmp_path / "log").mkdir()
    os.kill(sandbox.pid, signal.SIGKILL)
    assert "SIGKILL" in await asyncio.wait_for(notes.get(), 10)
    assert "sandbox cannot be started: " in await asyncio.wait_for(notes.get(), 20)
    (tmp_path / "log").rmdir()
    while await asyncio.wait_for(notes.get(), 20) != "sandbox is back":
        pass
    await supervisor.stop()


async def test_a_process_that_ignores_sigterm_is_killed_after_its_time(tmp_path: Path) -> None:
    script = "trap '' TERM; echo on; while :; do sleep 0.05; done"
    child = await spawn(
        "stubborn", ["/bin/sh", "-c", script], log=tmp_path / "log", pidfile=tmp_path / "pid",
        death=signal.SIGKILL, listen=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == b"on\n"
    assert await child.stop(signal.SIGTERM, 0.1) == -signal.SIGKILL


async def test_a_program_that_cannot_be_run_is_named_in_the_log(tmp_path: Path) -> None:
    child = await spawn(
        "none", [tmp_path / "none"], log=tmp_path / "log", pidfile=tmp_path / "pid", death=signal.SIGKILL
    )
    assert await child.wait() == 99
    assert child.last_words().endswith("No such file or directory")


async def test_a_leftover_is_ended_but_never_another_process_with_its_number(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    child = await spawn("left", ["/bin/sleep", "60"], log=tmp_path / "log", pidfile=pidfile, death=signal.SIGKILL)
    remembered = pidfile.read_text()
    pidfile.write_text(f"{child.pid} another birth\n")
    assert not await end_leftover(pidfile, signal.SIGTERM, 5)
    assert child.alive
    pidfile.write_text(remembered)
    assert await end_leftover(pidfile, signal.SIGTERM, 5)
    assert await child.wait() == -signal.SIGTERM
    assert birth(child.pid) == ""
    assert not await end_leftover(pidfile, signal.SIGTERM, 5)


def test_the_last_words_of_a_log_are_those_of_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("")
    assert last_line(log) == ""
    log.write_text('one\n{"event": "port taken", "level": "error"}\n\n')
    assert last_line(log) == "port taken"
    log.write_text('{"event": "uncaught exception", "error": "KeyError: a"}\n')
    assert last_line(log) == "uncaught exception: KeyError: a"
    log.write_text("[1, 2]\n")
    assert last_line(log) == "[1, 2]"


def test_an_ending_is_told_in_words() -> None:
    assert ending(3) == "ended with exit code 3"
    assert ending(-9) == "was ended by SIGKILL"
    assert ending(-99) == "was ended by signal 99"


async def test_a_sandbox_whose_place_is_taken_at_the_last_moment_starts_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed.Sandbox, "free", lambda wanted: wanted)  # it was, when that was looked at
    progress = Steps(Console(file=io.StringIO()))
    with socket.socket() as taken, open_up(tmp_path / "data", "127.0.0.1:0", None, Settings(), progress) as up:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "data" / "sandbox.json").write_text(json.dumps({"smpp": place, "control": place, "web": place}))
        up._sandbox = up._make_sandbox()
        try:
            said = await up._start_sandbox()
        finally:
            await up._supervisor.stop()
    assert place not in said and "speaks SMPP on 127.0.0.1:" in said
