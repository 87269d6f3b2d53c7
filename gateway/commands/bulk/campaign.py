"""A run of `sluice send --file`: rows become batches, each is handed over until the gateway has answered for every row.

In: a wish, a sheet, a journal, a gateway. Out: `Progress`, kept after every batch. Never: a row sent twice. Two things
see to that: every message has a ref that its repetition has too, which the gateway remembers for 72 h; and the journal,
which outlasts that.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, Final, Protocol

import click

from gateway.commands.bulk.journal import Journal, Progress
from gateway.commands.bulk.rows import FileFault, Row, Sheet
from gateway.commands.bulk.wish import Refusal, Wish, Writer
from gateway.commands.client import Refused
from gateway.commands.times import span

BATCH: Final = 1_000
REMEMBERED_S: Final = 71 * 3600.0
"""How long a ref surely protects: the gateway's 72 h, less one for clocks."""

RESTART_S: Final = 48 * 3600.0
"""How old a run may be to begin with the first row again: it must be through before refs are forgotten."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0

Numbered = tuple[Row, dict[str, str]]


class Gateway(Protocol):
    """Takes a batch. Raises Refused."""

    def post(self, path: str, document: object = None) -> Any: ...


class Watcher(Protocol):
    """Whoever shows how the run goes."""

    def moved(self, progress: Progress) -> None:
        """A batch is settled."""
        ...

    def waits(self, why: str, seconds: float) -> None:
        """Nothing goes on for so long."""
        ...


class Campaign:
    """One run. `codes` counts why rows were refused this time."""

    def __init__(
        self,
        wish: Wish,
        sheet: Sheet,
        journal: Journal,
        gateway: Gateway,
        url: str,
        watcher: Watcher,
        *,
        rate: float | None = None,
        patience_s: float = 600.0,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = Writer(wish, sheet)
        self._wish, self._sheet, self._journal, self._gateway, self._watcher = wish, sheet, journal, gateway, watcher
        self._url, self._rate, self._patience_s, self._pause, self._clock = url, rate, patience_s, pause, clock
        self._digest = hashlib.blake2b(digest_size=16)
        self._asked = 0
        self._landed = False  # whether the gateway has answered for the batch at hand
        self._repeated_until = 0  # rows before this one may have got the message already, with another `send_at`
        self.codes: Counter[str] = Counter()
        self.samples: dict[str, str] = {}

    def resume(self) -> Progress:
        """Where the run stands; a fresh one when it was never begun. Raises FileFault, click.UsageError."""
        found, now = self._journal.read(), time.time()
        fresh = Progress(self._wish.run, self._wish.fingerprint(), self._url, now, now)
        fresh.send_at = self._wish.defaults.get("send_at")
        if found is None or not found.rows + found.posting:
            return fresh
        other = f"take another name for this run: --run NAME. (The run `{found.run}` is in {self._journal.path}.)"
        if found.gateway != self._url:
            raise click.UsageError(f"this run was begun at {found.gateway}, not at {self._url}: {other}")
        if found.wish != self._wish.fingerprint():
            raise click.UsageError(f"this run was begun with another text or other options: repeat those, or {other}")
        same = self._same_rows(found)
        self._keep_time(found, found.rows + found.posting)
        if same:
            return found
        if now - found.begun_at > RESTART_S:
            ago = span(now - found.begun_at)
            raise click.UsageError(f"{self._sheet.path} has changed since this run was begun {ago} ago: {other}")
        self._digest = hashlib.blake2b(digest_size=16)
        fresh.begun_at, fresh.send_at = found.begun_at, found.send_at
        return fresh  # from the first row again: refs tell which were sent

    def _keep_time(self, found: Progress, repeated_until: int) -> None:
        """A run keeps its first `send_at`, since a ref belongs to one; when it is past, the new one is for the rest."""
        if found.send_at and datetime.fromisoformat(found.send_at).timestamp() > time.time() + 5:
            self._writer.defaults["send_at"] = found.send_at
        elif found.send_at != self._wish.defaults.get("send_at"):
            self._repeated_until, found.send_at = repeated_until, self._wish.defaults.get("send_at")

    def _same_rows(self, found: Progress) -> bool:
        """Whether the rows that are settled are still the first ones of the file."""
        count = 0
        with closing(self._sheet.rows()) as rows:
            for row in islice(rows, found.rows):
                self._add(row)
                count += 1
        return count == found.rows and (not count or self._digest.hexdigest() == found.digest)

    def run(self, progress: Progress) -> Progress:
        """Hand over every row that is not settled. Raises Refused, FileFault; then the same run can go on later."""
        with _held(self._sheet), closing(self._sheet.rows()) as every:
            self._journal.cut(progress)
            doubtful = progress.posting if time.time() - progress.touched_at > REMEMBERED_S else 0
            rows = islice(every, progress.rows, None)
            if doubtful:
                self._give_up(list(islice(rows, doubtful)), progress)
            began = self._clock()
            size = BATCH if self._rate is None else max(1, min(BATCH, math.floor(self._rate)))
            while batch := list(islice(rows, size)):
                progress.posting = len(batch)
                self._journal.write(progress)
                self._wait_turn(began)
                try:
                    self._settle(batch, progress)
                except Refused as e:
                    if 400 <= e.status < 500 and not self._landed:
                        progress.posting = 0  # surely none of it was taken
                        self._journal.write(progress)
                    raise
                self._watcher.moved(progress)
            progress.posting, progress.finished = 0, True
            self._journal.write(progress)
        return progress

    def _settle(self, batch: list[Row], progress: Progress) -> None:
        made = [(row, self._writer.message(row)) for row in batch]
        refused = [(row, what) for row, what in made if isinstance(what, Refusal)]
        todo: list[Numbered] = [(row, what) for row, what in made if not isinstance(what, Refusal)]
        self._asked += len(todo)
        self._landed = False
        while todo:
            again: list[Numbered] = []
            wait_s, why = 0.0, ""
            results = self._post([document for _, document in todo])
            self._landed = True
            for numbered, result in zip(todo, results, strict=True):
                if "id" in result and "status" not in result:
                    progress.duplicates += result["duplicate"]
                    progress.accepted += not result["duplicate"]
                elif result["code"] == "ref_conflict" and progress.rows < self._repeated_until:
                    progress.duplicates += 1  # it has the run's message, for another time
                elif result["status"] in (429, 503):
                    again.append(numbered)
                    wait_s, why = max(wait_s, result.get("retry_after_s") or 1.0), result["detail"]
                else:
                    refused.append((numbered[0], Refusal(result["code"], result["detail"])))
            if again:
                self._watcher.waits(why, wait_s)
                self._pause(wait_s)
            todo = again
        refused.sort(key=lambda pair: pair[0].line)
        self._book(batch, refused, progress)

    def _post(self, messages: list[dict[str, str]]) -> list[dict[str, Any]]:
        """One result for each. Waits while the gateway is away or asks for patience."""
        document, pause_s, since = (
            {"defaults": self._writer.defaults, "messages": messages},
            FIRST_PAUSE_S,
            self._clock(),
        )
        while True:
            try:
                return list(self._gateway.post("/v1/messages/batch", document)["results"])
            except Refused as e:
                told = e.status == 429 and e.retry_after_s is not None  # a quota: waiting is what it asks for
                if not e.may_pass or (not told and self._clock() - since > self._patience_s):
                    raise
                wait_s = max(e.retry_after_s or 0.0, 0.0 if told else pause_s)
                self._watcher.waits(e.message, wait_s)
                self._pause(wait_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _wait_turn(self, began: float) -> None:
        """Until the rate allows the next batch."""
        if self._rate is not None and (ahead := began + self._asked / self._rate - self._clock()) > 0:
            self._pause(ahead)

    def _give_up(self, batch: list[Row], progress: Progress) -> None:
        """Rows of which nobody can tell any more whether they were sent: they are not sent, and not silently."""
        sentence = "The run broke off while this was handed over, longer ago than refs are remembered: sluice trace it."
        self._book(batch, [(row, Refusal("in_doubt", sentence)) for row in batch], progress)
        self._watcher.moved(progress)

    def _book(self, batch: list[Row], refused: list[tuple[Row, Refusal]], progress: Progress) -> None:
        for row, refusal in refused:
            self.codes[refusal.code] += 1
            self.samples.setdefault(refusal.code, f"line {row.line}: {refusal.sentence}")
        self._journal.refuse(refused, progress)
        for row in batch:
            self._add(row)
        progress.rows += len(batch)
        progress.digest, progress.posting = self._digest.hexdigest(), 0

    def _add(self, row: Row) -> None:
        self._digest.update("\x1f".join(row.cells).encode() + b"\x1e")


@contextmanager
def _held(sheet: Sheet) -> Iterator[None]:
    """Keep a second `sluice send` off this file while we are at it."""
    with sheet.path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileFault(f"another `sluice send` is at work on {sheet.path}: wait for it") from None
        except OSError:  # a file system without locks: refs still see to it that nobody gets two
            yield
            return
        yield
