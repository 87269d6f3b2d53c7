"""What `sluice send --file` was asked for, and each row as a message of it. Pure.

In: the command's options, rows. Out: documents of a batch, or why a row is none. Never: the file, the gateway.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec

from gateway.commands.bulk.rows import Row, Sheet
from gateway.commands.bulk.template import Template


class Refusal(NamedTuple):
    """Why a row became no message."""

    code: str
    sentence: str


class Wish(msgspec.Struct, frozen=True):
    """`text` None: the column `text` has it. `defaults` are the batch's: from, class, tag, send_at, validity_s."""

    run: str
    text: str | None
    defaults: dict[str, Any]

    def fingerprint(self) -> str:
        """Of what makes a run another one. A later `send_at` does not: whoever has got the message got it."""
        lasting = {name: value for name, value in self.defaults.items() if name != "send_at"}
        return hashlib.blake2b(msgspec.json.encode((self.run, self.text, lasting)), digest_size=8).hexdigest()


class Writer:
    """Makes messages of rows. Raises click.UsageError for a text that the file's columns cannot fill."""

    def __init__(self, wish: Wish, sheet: Sheet) -> None:
        self._run = wish.run
        self._template = Template("{text}" if wish.text is None else wish.text)
        if not sheet.is_json:
            self._template.check(sheet.columns)
        # A text without placeholders is the same for all: the batch says it once.
        self.defaults = wish.defaults | ({} if self._template.fields else {"text": self._template.fill({})})

    def message(self, row: Row) -> dict[str, str] | Refusal:
        """The document of one row.

        Its ref is the row's own, else the run's name. A ref is unique per recipient: so in one run a number gets one
        message, however it is written, wherever it stands, and however often the run is repeated.
        """
        if row.fault:
            return Refusal("row_malformed", row.fault)
        if empty := self._template.lacks(row.values):
            return Refusal("placeholder_empty", f"The column `{empty}` is empty in this row.")
        document = {"to": row.values.get("to", ""), "ref": row.values.get("ref") or self._run}
        if self._template.fields:
            document["text"] = self._template.fill(row.values)
        return document
