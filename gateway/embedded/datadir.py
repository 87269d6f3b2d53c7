"""The data directory of `sluice up`: private, locked by one process, with room on its disk.

    lock  valkey/  postgres/  run/ (sockets, pid files)  logs/  secrets/  cache/  state/  client.env

In: a path. Out: `DataDir`, held until `close`. Never: takes over a directory that holds something else.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import IO

from gateway.embedded.child import StartError
from gateway.embedded.machine import free_bytes

LEAST_FREE_BYTES = 256 << 20
SOCKET_PATH_BYTES = 100  # sun_path holds 104 (macOS) or 108 bytes
LONGEST_SOCKET = ".s.PGSQL.5432.lock"
LOG_BYTES = 20 << 20


class DataDir:
    """A data directory that is ours while this object is open. Made by `DataDir.open`."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self._lock = lock
        self.valkey = path / "valkey"
        self.postgres = path / "postgres"
        self.logs = path / "logs"
        self.secrets = path / "secrets"
        self.cache = path / "cache"
        self.state = path / "state"
        self.client_env = path / "client.env"
        self.run = path / "run"

    @classmethod
    def open(cls, path: Path) -> DataDir:
        """Make or take the directory. Raises StartError with one line: closed to us, in use, not ours, no room."""
        path = Path(os.path.abspath(path.expanduser()))
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            strange = not (path / "lock").exists() and any(path.iterdir())
            if strange:
                raise StartError(f"{path} is not empty and no data directory of Sluice: name another with --data")
            lock = (path / "lock").open("a+", encoding="utf-8")
        except OSError as e:
            raise StartError(f"{path} cannot be the data directory: {e.strerror}") from e
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise StartError(f"{path} is in use by {holder or 'another `sluice up`'}") from e
        directory = cls(path, lock)
        try:
            directory._prepare()
        except BaseException:
            lock.close()
            raise
        return directory

    def _prepare(self) -> None:
        if (free := free_bytes(self.path)) < LEAST_FREE_BYTES:
            least = LEAST_FREE_BYTES >> 20
            raise StartError(f"the disk of {self.path} is full: {free >> 20} MB free, at least {least} MB are needed")
        try:
            self.path.chmod(0o700)
            for directory in (self.logs, self.secrets):
                directory.mkdir(mode=0o700, exist_ok=True)
            self.run = short_directory(self.path / "run")
            for log in self.logs.glob("*.log"):
                if log.stat().st_size > LOG_BYTES:
                    log.rename(log.with_suffix(".log.1"))
        except OSError as e:
            raise StartError(f"{e.filename or self.path} cannot be used: {e.strerror}") from e
        self.hold(f"`sluice up` (pid {os.getpid()})")

    def hold(self, holder: str) -> None:
        """Say who holds the lock, for a second start to tell."""
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(holder + "\n")
        self._lock.flush()

    def log(self, name: str) -> Path:
        """The log file of one child."""
        return self.logs / f"{name}.log"

    def write_private(self, path: Path, text: str) -> None:
        """Write a file that only we can read; whoever reads it sees the old text or the new one."""
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)

    def close(self) -> None:
        """Let go of the lock."""
        self.hold("")
        self._lock.close()


def short_path(wanted: Path) -> Path:
    """`wanted`, or where its sockets' names would be too long a place for it among the temporary directories."""
    if len(os.fsencode(wanted / LONGEST_SOCKET)) < SOCKET_PATH_BYTES:
        return wanted
    name = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"sluice-{os.geteuid()}-{name}"


def short_directory(wanted: Path) -> Path:
    """The directory at `short_path`, closed to others. Raises StartError when it is not ours."""
    short = short_path(wanted)
    short.mkdir(mode=0o700, exist_ok=True)
    if short == wanted:
        wanted.chmod(0o700)
        return wanted
    found = short.lstat()
    if not short.is_dir() or short.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StartError(f"{short} belongs to somebody else: remove it, or choose a shorter path with --data")
    return short
