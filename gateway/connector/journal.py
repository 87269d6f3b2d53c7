"""The journal of one carrier: what it answered and Redis has not written down yet, in two small files of this host.

In: outcomes, those of a turn of the loop at once, before they count as known. Out: after kill -9 of the process, the
same outcomes for whoever takes over here. It outlives the process, not the host: no fsync. Never: a text or a number.

    file     <state_dir>/journal/<carrier>@<16 hex digits>.<0 or 1>, locked while its process lives
    frame    | length u32 | CRC-32 u32 | version byte, msgpack [carrier, token, runs, answered_ms, [record, ...]] |
    record   [stream, entry id, message id, attempt, part, kind, reason, code, carrier_message_id, bind, sent_ms]
"""

from __future__ import annotations

import fcntl
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Final

import msgspec

from gateway.connector.flight import Flight, Told
from gateway.provider import Kind, Outcome, Reason, Submission

log = logging.getLogger("connector")

VERSION: Final = b"\x01"
LIMIT_BYTES: Final = 1 << 20
"""A file that has so much is left for the other one; more only where more than a quarter of that is open."""

_HEAD: Final = Struct(">II")
_UNCERTAIN: Final = Kind.UNCERTAIN

Record = tuple[str, bytes, bytes, int, int, Kind, Reason | None, str, str, str, int]
Answers = Sequence[tuple[Submission, Outcome]]
Key = tuple[str, bytes, bytes, int, int]
"""Stream, entry id, message id, attempt, part: nothing is sent twice under one of these. An attempt that came back
unsent goes on under another entry."""


class _Frame(msgspec.Struct, array_like=True, frozen=True):
    carrier: str
    token: int
    runs: tuple[bytes, ...]
    answered_ms: int
    records: list[Record]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Frame).decode


def records(answers: Answers) -> list[Record]:
    """What is worth keeping of a batch of outcomes: what is certain."""
    return [
        (
            (flight := s.origin).mark.stream,
            flight.entry.entry_id,
            s.message_id,
            s.attempt,
            s.part,
            o.kind,
            o.reason,
            o.code,
            o.carrier_message_id,
            s.bind,
            s.sent_ms,
        )
        for s, o in answers
        if o.kind is not _UNCERTAIN
    ]


def prepare(state_dir: str) -> Path | None:
    """Where journals are kept below `state_dir`; None, with a line in the log, where none can be."""
    if not state_dir:
        log.warning("no_journal", extra={"why": "state_dir is not set"})
        return None
    directory = Path(state_dir) / "journal"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "it is not ours to write to")
    except OSError as e:
        log.warning("no_journal", extra={"why": f"{e.filename or directory}: {e.strerror}"})
        return None
    return directory


class Journal:
    """Life: `append` any number of times, then `close`. `open_flights`: whose answers are not written down yet."""

    def __init__(
        self,
        directory: Path,
        carrier: str,
        token: int,
        open_flights: Callable[[], Iterable[Flight]],
        limit: int = LIMIT_BYTES,
    ) -> None:
        """Raises OSError."""
        self.carrier, self.token = carrier, token
        self.is_sound = True
        """Whether all that it was given is kept."""
        self._open_flights, self._limit = open_flights, limit
        self._least = limit
        name = f"{carrier}@{os.urandom(8).hex()}"
        self.paths = [directory / f"{name}.{n}" for n in (0, 1)]
        self._files: list[int] = []
        self._at = self._size = 0
        try:
            for path in self.paths:
                self._files.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600))
                fcntl.flock(self._files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close(remove=True)
            raise

    def append(self, answers: Answers, now_ms: int, runs: Sequence[bytes]) -> None:
        """Keep outcomes that came at `now_ms`. What it cannot keep it says once, and is not sound any more."""
        found = records(answers)
        if not found or not self.is_sound:
            return
        try:
            data = self._frame(found, now_ms, runs)
            if self._size + len(data) > self._limit:
                self._turn(now_ms, runs)
            self._write(data)
        except OSError as e:
            self.is_sound = False
            log.warning("no_journal", extra={"carrier": self.carrier, "why": f"{self.paths[self._at]}: {e.strerror}"})

    def close(self, *, remove: bool) -> None:
        """Let go of the files. `remove`: everything in them is written down."""
        for path, file in zip(self.paths, self._files, strict=False):
            if remove:
                path.unlink(missing_ok=True)
            os.close(file)
        self._files.clear()
        self.is_sound = False

    def _frame(self, found: list[Record], now_ms: int, runs: Sequence[bytes]) -> bytes:
        payload = VERSION + _encode((self.carrier, self.token, runs, now_ms, found))
        return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload

    def _turn(self, now_ms: int, runs: Sequence[bytes]) -> None:
        """Go on in the other file, beginning with what is open; the one that is left holds nothing else of worth."""
        self._at = 1 - self._at
        os.ftruncate(self._files[self._at], 0)
        self._size = 0
        if found := records([answer for flight in self._open_flights() for answer in flight.answers]):
            self._write(self._frame(found, now_ms, runs))
        self._limit = max(self._least, 4 * self._size)

    def _write(self, data: bytes) -> None:
        # One call for all of it. A process that dies inside leaves a torn end, which nobody relied on yet.
        if os.write(self._files[self._at], data) != len(data):
            raise OSError(28, "no space is left")
        self._size += len(data)


class Left:
    """What predecessors that died on this host, or sleep there, left in their journals of a carrier. Read once.

    One that sleeps may write more: what it hears after it was fenced comes from itself, as late facts.
    """

    def __init__(self, directory: Path | None, carrier: str) -> None:
        self.answers: dict[Key, Told] = {}
        self._paths = sorted(directory.glob(f"{carrier}@*.[01]")) if directory is not None else []
        for path in self._paths:
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as e:
                log.warning("journal_not_read", extra={"carrier": carrier, "why": f"{path}: {e.strerror}"})
                continue
            for frame in frames(data):
                if frame.carrier == carrier:
                    self._take(frame)

    def _take(self, frame: _Frame) -> None:
        for stream, entry_id, message_id, attempt, part, kind, reason, code, carrier_id, bind, sent_ms in frame.records:
            outcome = Outcome(kind, carrier_id, reason, code)
            told = Told(outcome, bind, sent_ms, frame.answered_ms, frame.runs)
            self.answers.setdefault((stream, entry_id, message_id, attempt, part), told)

    def of(self, flight: Flight, run: bytes, parts: int = 0) -> dict[int, Told]:
        """By part, what the carrier answered to an entry that was left marked; `run`: of its shard's Redis now;
        `parts`: as the carrier splits it, which may be one more than was estimated.

        That it was not taken holds for the Redis that it was heard under: one that was restored from an older state may
        have seen the same entry go out again.
        """
        entry, j, shard = flight.entry, flight.journey, flight.mark.shard
        found: dict[int, Told] = {}
        for part in (0, *range(1, max(flight.message.parts, parts) + 1)) if self.answers else ():
            told = self.answers.get((flight.mark.stream, entry.entry_id, entry.message_id, j.attempt, part))
            if told is not None and (told.outcome.kind != Kind.DEFERRED or told.runs[shard : shard + 1] == (run,)):
                found[part] = told
        return found

    def remove(self) -> None:
        """Everything in them is written down: remove those whose process is gone."""
        for path in self._paths:
            try:
                file = os.open(path, os.O_WRONLY)
            except OSError:
                continue  # whoever slept has removed it
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            except OSError:
                log.info("journal_in_use", extra={"journal": path.name})
            finally:
                os.close(file)


def frames(data: bytes) -> Iterator[_Frame]:
    """The frames of a file up to the first that is torn or not ours to read."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, check = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        payload = data[at : at + length]
        if len(payload) != length or zlib.crc32(payload) != check or payload[:1] != VERSION:
            return
        try:
            yield _decode(memoryview(payload)[1:])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        at += length
