"""How far a run has come: a small file beside the rows, so that the same command again goes on where it stopped.

In: a path. Out: `Progress`, kept by a rename, so that a killed process leaves the old or the new one. Beside it the
file of refused rows, cut back to what the journal knows of. Never: a row that is in neither.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Sequence

import msgspec

from gateway.commands.bulk.rows import FileFault, Row, Sheet
from gateway.commands.bulk.wish import Refusal

CODE, SENTENCE, LINE = "refused_code", "refused_sentence", "refused_line"
"""What the file of refused rows has beside the row's own columns."""


class Progress(msgspec.Struct):
    """`rows` are settled and have `digest`; the `posting` rows after them may be, or not. Times are Unix seconds."""

    run: str
    wish: str
    gateway: str
    begun_at: float
    touched_at: float
    rows: int = 0
    digest: str = ""
    posting: int = 0
    send_at: str | None = None
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    refused_bytes: int = 0
    finished: bool = False
    version: int = 1


class Journal:
    """The two files of a run. `own_name`: the run is not the file's namesake, and so its files have its name."""

    def __init__(self, sheet: Sheet, run: str, own_name: bool) -> None:
        stem = f"{sheet.path.stem}.{run}" if own_name else sheet.path.stem
        self._sheet = sheet
        self.path = sheet.path.with_name(f"{stem}.run.json")
        self.refused = sheet.path.with_name(f"{stem}.refused{sheet.path.suffix or '.csv'}")

    def read(self) -> Progress | None:
        """None for a run that was not begun here. Raises FileFault."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Progress)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as e:
            why = e.strerror if isinstance(e, OSError) else "it is damaged"
            raise FileFault(
                f"{self.path}, which says how far the run has come, cannot be read ({why})."
                " Within 72 h of the run you may delete it: what was sent is not sent again"
            ) from e

    def write(self, progress: Progress) -> None:
        """Keep it, durably. Raises FileFault."""
        progress.touched_at = time.time()
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            with fresh.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(progress)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError as e:
            raise FileFault(
                f"{self.path} cannot be written ({e.strerror}): it says how far the run has come."
                " Copy the rows to a directory where you may write"
            ) from e

    def cut(self, progress: Progress) -> None:
        """Take off refused rows that were written after the journal was."""
        if progress.refused_bytes:
            with self.refused.open("r+b") as file:
                file.truncate(progress.refused_bytes)
        else:
            self.refused.unlink(missing_ok=True)

    def refuse(self, rows: Sequence[tuple[Row, Refusal]], progress: Progress) -> None:
        """Add rows to the file of refused rows."""
        if not rows:
            return
        text = io.StringIO()
        if self._sheet.is_json:
            text.writelines(_json_line(row, refusal) for row, refusal in rows)
        else:
            writer = csv.writer(text, delimiter=self._sheet.delimiter, lineterminator="\n")
            if not progress.refused_bytes:
                writer.writerow((*self._sheet.columns, CODE, SENTENCE, LINE))
            width = len(self._sheet.columns)
            for row, refusal in rows:
                cells = (*row.cells, *[""] * width)[:width]
                writer.writerow((*cells, *refusal, row.line))
        encoding = (
            "utf-8" if progress.refused_bytes or self._sheet.is_json else "utf-8-sig"
        )  # spreadsheets need the BOM
        with self.refused.open("ab") as file:
            file.write(text.getvalue().encode(encoding))
            file.flush()
            os.fsync(file.fileno())
            progress.refused_bytes = file.tell()
        progress.refused += len(rows)


def _json_line(row: Row, refusal: Refusal) -> str:
    added = {CODE: refusal.code, SENTENCE: refusal.sentence, LINE: row.line}
    kept = msgspec.json.decode(row.cells[0]) if not row.fault else {"row": row.cells[0]}
    return msgspec.json.encode(kept | added).decode() + "\n"
