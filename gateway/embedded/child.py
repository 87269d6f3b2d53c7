"""One child process: spawned through the trampoline, written to a log file, stopped within a time, gone with us.

In: a command line and who it runs as. Out: `Child`. A pid file remembers it, so that the next start can end what a
killed parent left behind. Never: a shell, a process that outlives its parent where the system can prevent it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

STANDS_BACK: Final = 5
"""How far what only records stands back (nice) for what accepts and sends, when there is too little processor time."""

AUTOGROUP: Final = Path("/proc/sys/kernel/sched_autogroup_enabled")
_KEEP_BACK_S: Final = 0.25

TRAMPOLINE = Path(__file__).with_name("trampoline.py")


class StartError(Exception):
    """Something on this machine keeps us from starting. The text is one line that says what, and what to do."""


def one_line(error: Exception) -> str:
    """The first line of what an error says; PostgreSQL adds hints below."""
    return str(error).partition("\n")[0]


def command(argv: Sequence[str | Path], *, identity: str = "plain", death: int = 0) -> list[str]:
    """The command line that runs `argv` as `identity` and sends it `death` when this process dies (0: nothing)."""
    head = (sys.executable, "-I", "-S", str(TRAMPOLINE), str(os.getpid()), identity, str(int(death)))
    return [*head, *map(str, argv)]


class Child:
    """A running process. Made by `spawn`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, pidfile: Path) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._pidfile = pidfile

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """What it prints, when it was spawned with `listen`."""
        return self._process.stdout

    @property
    def stdin(self) -> asyncio.StreamWriter | None:
        """What it reads, when it was spawned with `talk`."""
        return self._process.stdin

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Its exit status; negative: the signal that killed it."""
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has already gone."""
        if self.alive:
            try:
                self._process.send_signal(number)
            except ProcessLookupError:
                return

    async def stop(self, number: signal.Signals, timeout_s: float) -> int:
        """Ask it to stop with `number`, kill it after `timeout_s`. Returns its exit status."""
        self.send(number)
        try:
            code = await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            self.send(signal.SIGKILL)
            code = await self._process.wait()
        self._pidfile.unlink(missing_ok=True)
        return code

    async def kill(self) -> int:
        """kill -9, and wait until it is gone."""
        return await self.stop(signal.SIGKILL, 10)

    def last_words(self) -> str:
        """The last line of its log that says anything."""
        return last_line(self.log)


async def spawn(
    name: str,
    argv: Sequence[str | Path],
    *,
    log: Path,
    pidfile: Path,
    death: signal.Signals,
    identity: str = "plain",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    listen: bool = False,
    talk: bool = False,
    nice: int = 0,
) -> Child:
    """Start `argv` in a session of its own (Ctrl-C reaches only us). Call from the main thread: on Linux `death` is
    sent when the thread that spawned it ends. `listen`: its standard output is read by us instead of going to the log;
    `talk`: its standard input is written by us. `nice`: how far it stands back for others when there is too little
    processor time, 0 to 19.
    Raises OSError when its files cannot be written.
    """
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command(argv, identity=identity, death=death),
            stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
            stdout=subprocess.PIPE if listen else output,
            stderr=output,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    child = Child(name, process, log, pidfile)
    if nice:
        stand_back(process.pid, nice)
    try:
        pidfile.write_text(f"{process.pid} {birth(process.pid)}\n")
    except OSError:
        await child.kill()
        raise
    return child


def stand_back(pid: int, nice: int) -> None:
    """Lower the priority of a process below ours, and of what it starts from now on, where that is allowed."""
    nice = _below_ours(nice)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    with contextlib.suppress(OSError):
        _group(pid).write_text(str(nice))


async def keep_back(pid: int, nice: int) -> None:
    """The same for the processes that it starts in sessions of their own, as PostgreSQL does for each connection:
    where the kernel groups by session, a new group begins at 0. Runs until the process ends; elsewhere it ends at once.

    Source: sched(7), "The autogroup feature"; who is not root may set one in a tenth of a second.
    """
    if not AUTOGROUP.exists():
        return
    done: set[str] = set()
    born = birth(pid)
    while born and birth(pid) == born:
        with contextlib.suppress(OSError):  # it is gone, or this was too soon after the last one
            if AUTOGROUP.read_text().strip() == "1":
                found = set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                done &= found
                for child in sorted(found - done, key=int):
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                        _group(int(child)).write_text(str(_below_ours(nice)))
                    done.add(child)
        await asyncio.sleep(_KEEP_BACK_S)


def _below_ours(nice: int) -> int:
    return min(os.getpriority(os.PRIO_PROCESS, 0) + nice, 19)


def _group(pid: int) -> Path:
    """Where the kernel groups by session, only the group's value counts."""
    return Path(f"/proc/{pid}/autogroup")


def birth(pid: int) -> str:
    """When a process was started, in whatever unit the system has; with its pid this names it. Empty: none such."""
    if sys.platform != "linux":
        found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return found.stdout.strip()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # proc(5): field 3 is the state, field 22 the start time


def program_of(pid: int) -> str:
    """The name of a process' program; empty when there is no such process."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return ""
    found = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()


async def end_leftover(pidfile: Path, number: signal.Signals, timeout_s: float) -> bool:
    """End the process that `pidfile` remembers, if it still runs: its parent was killed. True when there was one."""
    try:
        pid_text, _, born = pidfile.read_text().strip().partition(" ")
        pid = int(pid_text)
    except (OSError, ValueError):
        return False
    if not born or birth(pid) != born:
        pidfile.unlink(missing_ok=True)
        return False
    deadline = time.monotonic() + timeout_s
    os.kill(pid, number)
    while birth(pid) == born:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += 5
        await asyncio.sleep(0.02)  # not our child: there is nothing to wait on
    pidfile.unlink(missing_ok=True)
    return True


def last_line(log: Path) -> str:
    """The last line of a log that says anything; JSON lines give their event and error."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return ""
    if not lines:
        return ""
    try:
        entry = msgspec.json.decode(lines[-1])
    except msgspec.DecodeError:
        return lines[-1]
    if not isinstance(entry, dict) or "event" not in entry:
        return lines[-1]
    return ": ".join(str(entry[name]) for name in ("event", "error") if name in entry)
