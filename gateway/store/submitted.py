"""What carriers have of messages: the submissions of their last attempt that were taken, under the carriers' ids."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby

import asyncpg
import msgspec

from gateway.message import id_time_ms
from gateway.store.days import day_of, time_bounds

_SKEW_MS = 3_600_000
_ACCEPTED = 0


class Taken(msgspec.Struct, frozen=True):
    """A message's last attempt at one carrier. `units`: part, the carrier's id, bind; there should be `parts` of them,
    one for a carrier that takes messages whole."""

    id: bytes
    attempt: int
    carrier: str
    sender: str
    recipient: str
    parts: int
    units: tuple[tuple[int, str, str], ...]


async def taken(connection: asyncpg.Connection, ids: Collection[bytes], now_ms: int) -> list[Taken]:
    """Those of the messages that a carrier has something of and told an id for."""
    if not ids:
        return []
    first = day_of(min(map(id_time_ms, ids)) - _SKEW_MS)
    rows = await connection.fetch(
        "select m.id, m.attempt, m.carrier, m.sender, m.recipient, m.units, s.part, s.carrier_message_id, s.bind"
        " from messages m join submissions s on s.message_id = m.id and s.attempt = m.attempt"
        f" where m.id = any($1) and s.kind = {_ACCEPTED} and s.carrier_message_id <> ''"
        f" and {time_bounds('s.sent_at', first, day_of(now_ms + _SKEW_MS))} order by m.id, s.part",
        list(ids),
    )
    found = []
    for _, group in groupby(rows, lambda row: row["id"]):
        some = list(group)
        message_id, attempt, carrier, sender, recipient, parts = some[0][:6]
        units = tuple((part, name, bind) for *_, part, name, bind in some)
        found.append(Taken(message_id, attempt, carrier, sender, recipient, parts, units))
    return found
