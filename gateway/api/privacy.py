"""Who sees numbers and texts: whoever's key has the scope `privacy`; of the others they are hidden. A look is noted.

In: a document as it would be shown. Out: the same, or its numbers as the log has them and its texts as `***`. Never: a
number or a text in full that `audit` does not tell of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from gateway import logs
from gateway.api.call import Call
from gateway.store import audit
from gateway.store.pool import Pool, StoreAwayError
from gateway.store.recipients import recipient_hash

log = logs.stage("api")

TEXT: Final = "***"
"""In place of every text, so that not even its length is told."""

NOTE_S: Final = 5.0

T = TypeVar("T", bound=msgspec.Struct)


def sees(c: Call) -> bool:
    """Whether the key may see numbers and texts in full."""
    return bool(c.rights.scopes & {"privacy", "admin"})


def number(c: Call, shown: str) -> str:
    """A number as this key may see it."""
    return shown if sees(c) else logs.masked(shown)


async def look(c: Call, what: str, subject: str = "", /, **details: Any) -> bool:
    """Whether this request is answered in full: the key may, and its look is noted. One note a request.

    what: such as `message.look`. details: the request's filters; a number goes in as `number`, in E.164, and is noted
    masked, with its keyed hash.
    """
    if not sees(c):
        return False
    try:
        async with asyncio.timeout(NOTE_S):
            await audit.note_look(c.gate.pool, c.who, what, subject, await _told(c.gate.pool, details))
    except (StoreAwayError, TimeoutError):
        log.warning("look_not_noted", who=c.who, what=what)
        return False
    return True


async def _told(pool: Pool, details: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in details.items() if value not in (None, "")}
    if (shown := told.get("number")) is not None:
        told["number"] = logs.masked(shown)
        told["recipient_hash"] = recipient_hash(await pool.recipient_key(), shown)
    return told


def hidden(document: T, *numbers: str, texts: tuple[str, ...] = ("text",)) -> T:
    """A document without what those fields say."""
    changes: dict[str, Any] = {name: logs.masked(getattr(document, name)) for name in numbers}
    changes |= {name: TEXT for name in texts if getattr(document, name)}
    return msgspec.structs.replace(document, masked=True, **changes)
