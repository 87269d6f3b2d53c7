"""Files that all processes of a machine share: made once, checked, mapped into memory, removed when nobody has them.

In: a directory, and who can make a file that is missing. Out: `Mapped`. A file is written under another name, synced
and renamed, and ends with its own checksum: what was cut off or damaged counts as missing. Never: a lock that outlives
its process (all are flock).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import mmap
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

_MAGIC: Final = b"SLUICE1\n"
_TRAILER: Final = 32 + len(_MAGIC)
_WAIT_S: Final = 0.05
_LEFT_S: Final = 86_400.0
UPLOAD: Final = "upload-"
"""Folders in the directory whose names begin so belong to one upload each, and to nobody after a day."""
_NAME: Final = re.compile(r"(?P<kind>[a-z][a-z0-9_]*)-v(?P<version>[0-9]+)-[0-9a-f]+\.[a-z0-9]+")


def directory_of(cache_dir: str, redis_url: str) -> Path:
    """Where an installation's files are: in what the setting says, else in what systemd gives a unit (CacheDirectory=),
    else in the user's place for such; there in a directory of the Redis that its processes share."""
    url = urlsplit(redis_url)
    place = f"{(url.hostname or '').lower()}:{_port(url)}{url.path}"
    name = hashlib.sha256(place.encode()).hexdigest()[:12]
    if cache_dir:
        return Path(cache_dir) / name
    if given := os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]:
        return Path(given) / name
    if os.getuid() == 0:
        return Path("/var/cache/sluice") / name
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sluice" / name


def _port(url: SplitResult) -> str:
    try:
        return str(url.port or "")
    except ValueError:
        return ""


class Mapped:
    """A file in memory. As long as `data` or a view of it lives, nobody removes the file."""

    def __init__(self, path: Path, memory: mmap.mmap) -> None:
        self.path = path
        self.data = memoryview(memory)[:-_TRAILER]
        """The content, without what this module added."""


class CacheFiles:
    """The directory. Names are `<kind>-v<version>-<sha>.<format>`; one process at a time writes those of a kind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def open(self) -> str:
        """Make the directory and see that it can be written; why a directory for temporary files is used instead, or
        an empty text. Raises OSError when there is none of either."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory):
                self._tidy()
                return ""
        except OSError as e:
            why = f"{self.directory} cannot be written: {e.strerror}"
        private = Path(tempfile.gettempdir()) / f"sluice-cache-{os.getuid()}"
        private.mkdir(mode=0o700, exist_ok=True)
        if private.is_symlink() or private.stat().st_uid != os.getuid():  # somebody else waits there for us
            private = Path(tempfile.mkdtemp(prefix="sluice-cache-"))
        self.directory = private
        return why

    def _tidy(self) -> None:
        """Uploads of processes that were killed."""
        for left in self.directory.glob(f"{UPLOAD}*"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _LEFT_S:
                    shutil.rmtree(left)

    def map(self, name: str) -> Mapped | None:
        """The file, when it is there and whole. Reads all of it: not for the event loop."""
        path = self.directory / name
        while True:
            try:
                file = path.open("rb")
            except OSError:
                return None
            with file:
                fcntl.flock(file, fcntl.LOCK_SH)
                if os.fstat(file.fileno()).st_nlink == 0:
                    continue  # removed between opening and locking: perhaps made anew by now
                if os.fstat(file.fileno()).st_size < _TRAILER:
                    return None
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # holds the lock: it has a copy of the fd
            mapped = Mapped(path, memory)
            if memory[-len(_MAGIC) :] == _MAGIC and memory[-_TRAILER : -len(_MAGIC)] == _sha256(mapped.data):
                return mapped
            return None

    async def make(self, name: str, write: Callable[[Path], Awaitable[None]]) -> Mapped:
        """Map the file; when it is missing or damaged, let `write` make it under the path it gets. Others who want it
        wait meanwhile. Raises what `write` raises, and OSError."""
        kind = name.partition("-v")[0]
        if (found := await asyncio.to_thread(self.map, name)) is not None:
            return found
        async with self._locked(kind):
            if (found := await asyncio.to_thread(self.map, name)) is not None:
                return found
            for left in self.directory.glob(f"{kind}-v*.tmp*"):  # of a process that was killed: the lock is ours
                left.unlink(missing_ok=True)
            temporary = self.directory / f"{name}.tmp"
            try:
                await write(temporary)
                await asyncio.to_thread(_seal, temporary, self.directory / name)
            finally:
                temporary.unlink(missing_ok=True)
            if (found := await asyncio.to_thread(self.map, name)) is None:
                raise OSError(f"{self.directory / name} is not what was written a moment ago")
            return found

    def newest(self, kind: str, ending: str) -> list[tuple[int, str]]:
        """Version and name of the kind's files that are there, the newest first."""
        with contextlib.suppress(OSError):
            found = [m for p in self.directory.glob(f"{kind}-v*.{ending}") if (m := _NAME.fullmatch(p.name))]
            return sorted(((int(m["version"]), m[0]) for m in found if m["kind"] == kind), reverse=True)
        return []

    def sweep(self, kind: str, keep: Collection[str]) -> None:
        """Remove files of a kind that nobody has mapped, in no process, but for those to keep."""
        for path in self.directory.glob(f"{kind}-v*"):
            if path.name in keep or not _NAME.fullmatch(path.name):
                continue
            with contextlib.suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    @asynccontextmanager
    async def _locked(self, kind: str) -> AsyncIterator[None]:
        with (self.directory / f"{kind}.lock").open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_WAIT_S)
            yield


def _sha256(data: memoryview) -> bytes:
    return hashlib.sha256(data).digest()


def _seal(temporary: Path, path: Path) -> None:
    with temporary.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0, os.SEEK_END)
        file.write(digest + _MAGIC)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
