"""What a directory of exports has: every day of every fact, and up to which change. One small file, replaced whole.

In: a directory. Out: the state, held by one process. Never: takes over a directory of another form or database.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Final

import msgspec

NAME: Final = "sluice-export.json"


class ExportError(Exception):
    """The export cannot go on. The text says why, for a person."""


class Day(msgspec.Struct, frozen=True):
    """One day of one fact as it was written: rows, and the changes that they have (bi.settled)."""

    rows: int
    changed_seq: int


class State(msgspec.Struct):
    """`generation`: as in bi.settled; another one and nothing of this can be trusted."""

    form: str
    generation: str = ""
    facts: dict[str, dict[str, Day]] = {}


class Directory:
    """A directory that is ours until `close`. Made by `open`."""

    def __init__(self, path: Path, state: State, lock: IO[bytes]) -> None:
        self.path, self.state, self._lock = path, state, lock

    @classmethod
    def open(cls, path: Path, form: str) -> Directory:
        """Make or take it. Raises ExportError."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / ("." + NAME + ".lock")).open("ab")
        except OSError as e:
            raise ExportError(f"{path} cannot be written: {e.strerror}") from e
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(path, _read(path, form), lock)
        except BlockingIOError:
            lock.close()
            raise ExportError(f"another export writes to {path}: wait for it, or choose another --to") from None
        except BaseException:
            lock.close()
            raise

    def file_of(self, fact: str, day: str, ending: str) -> Path:
        """Where a day lies; query engines read day= as a column."""
        return self.path / fact / f"day={day}" / f"{fact}-{day}.{ending}"

    def keep(self, fact: str, day: str, written: Day) -> None:
        """Remember a day that is written."""
        self.state.facts.setdefault(fact, {})[day] = written
        fresh = self.path / ("." + NAME + ".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self.state), indent=1) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path / NAME)

    def close(self) -> None:
        """Let go of it."""
        self._lock.close()


def _read(path: Path, form: str) -> State:
    try:
        state = msgspec.json.decode((path / NAME).read_bytes(), type=State)
    except FileNotFoundError:
        return State(form)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as e:
        raise ExportError(f"{path / NAME} cannot be read: {e}; remove it, and everything is written again") from e
    if state.form != form:
        raise ExportError(f"{path} has {state.form}: choose another --to for {form}")
    return state
