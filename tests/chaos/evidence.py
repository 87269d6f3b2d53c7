"""All that is known of a run once everything rests: what was accepted, what the ledger says, what phones got.

In: PostgreSQL. Out: `Evidence`, which `account` judges. Never: a judgement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from gateway.embedded.sandbox.journal import Line

ACCEPTED, UNCERTAIN = 0, 3
"""Kinds of submissions."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A row of `messages`."""

    id: str
    to: str
    klass: str
    state: str
    reason: str
    seq: int
    cost_micro: int


class Submission(msgspec.Struct, frozen=True, gc=False):
    """A row of `submissions`."""

    id: str
    attempt: int
    part: int
    parts: int
    kind: int
    late: bool
    carrier: str
    carrier_id: str
    price_micro: int
    on_delivery: bool


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """A row of `receipts` that found its message."""

    id: str
    attempt: int
    part: int
    state: str


class Evidence(msgspec.Struct):
    """`accepted`: ids by number of the phone. `heard`, `failures`: states by `seq` by message, as applications were
    told them; `own`: messages with a URL of their own. `doubtful`: how many may have been on the wire when something
    died."""

    accepted: Mapping[str, str]
    messages: Mapping[str, Message]
    submissions: Sequence[Submission]
    receipts: Sequence[Receipt]
    phones: Sequence[tuple[str, Line]]
    heard: Mapping[str, Mapping[int, str]]
    failures: Mapping[str, Mapping[int, str]]
    own: frozenset[str]
    doubtful: int


_MESSAGES = "select id, recipient, class, state, reason, seq, cost_micro from messages"
_SUBMISSIONS = """select message_id, attempt, part, parts, kind, late, carrier, carrier_message_id, price_micro,
    billed_on_delivery from submissions"""
_RECEIPTS = "select message_id, attempt, part, state from receipts where message_id is not null"


async def ledger(url: str) -> tuple[dict[str, Message], list[Submission], list[Receipt]]:
    """What PostgreSQL says, all of it at one moment."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            messages = [Message(*_texts(row)) async for row in connection.cursor(_MESSAGES, prefetch=5000)]
            submissions = [Submission(*_texts(row)) async for row in connection.cursor(_SUBMISSIONS, prefetch=5000)]
            receipts = [Receipt(*_texts(row)) async for row in connection.cursor(_RECEIPTS, prefetch=5000)]
    finally:
        await connection.close()
    return {message.id: message for message in messages}, submissions, receipts


def _texts(row: asyncpg.Record) -> list[Any]:
    """Values, with the id first as text."""
    return [str(row[0]), *list(row)[1:]]
