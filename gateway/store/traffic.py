"""A sample of what was really sent: real messages of a span, so many from each hour as it had.

In: a span of accepting times and how many at most. Out: messages with how many each stands for, so that sums over the
sample come to what the roll-ups counted. Never: a text, a test message, a whole scan of the ledger.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.store.pool import Pool

MOST: Final = 20_000
"""Messages in a sample unless another number is asked for."""

_HOUR_MS: Final = 3_600_000
_STRETCHES: Final = 8
"""Places in an hour that a sample is taken from."""

_HOURS: Final = (
    "select at, sum(messages)::bigint from stats_hour where at >= date_trunc('hour', $1::timestamptz) and at < $2"
    " group by at having sum(messages) > 0 order by at"
)
_STRETCH: Final = (
    "select id_time(id), recipient, class, client, sender, tag, encoding, parts, carrier from messages"
    " where id >= id_floor($1) and id < id_floor($2) and not test order by id limit $3"
)


class Sampled(msgspec.Struct, frozen=True, gc=False):
    """One message, and how many it stands for."""

    accepted_ms: int
    to: str
    klass: str
    client: str
    sender: str
    tag: str
    encoding: str
    parts: int
    carrier: str
    """The carrier of its last attempt; "" when it had none."""
    weight: float = 1.0
    test: bool = False


async def sample(
    pool: Pool, since_ms: int, until_ms: int, most: int = MOST, rng: random.Random | None = None
) -> list[Sampled]:
    """About `most` messages of the hours that the span touches. Raises StoreAwayError."""
    rng = rng or random.Random()  # noqa: S311 - a sample, no secret
    hours = [(int(row[0]), int(row[1])) for row in await pool.fetch(_HOURS, since_ms, until_ms)]
    total = sum(messages for _, messages in hours)
    found: list[Sampled] = []
    for at_ms, messages in hours:
        wanted = max(1, -(-most * messages // max(total, most)))
        rows = await _of_hour(pool, at_ms, min(wanted, messages), rng)
        found += [_sampled(row, messages / len(rows)) for row in rows]
    return found


async def _of_hour(pool: Pool, begin: int, wanted: int, rng: random.Random) -> list[Sequence[Any]]:
    """`wanted` messages from a few stretches of an hour, from somewhere in each; less where the hour is uneven."""
    stretches = min(_STRETCHES, wanted)
    rows: list[Sequence[Any]] = []
    length = _HOUR_MS / stretches
    for n in range(stretches):
        first, last = int(begin + n * length), int(begin + (n + 1) * length)
        count = wanted * (n + 1) // stretches - len(rows)  # what one stretch lacks the next one gives
        start = rng.randrange(first, max(last, first + 1))
        some = list(await pool.fetch(_STRETCH, start, last, count))
        if len(some) < count and start > first:
            some += await pool.fetch(_STRETCH, first, start, count - len(some))
        rows += some
    if len(rows) < wanted:  # all that the hour has stands close together
        rows = list(await pool.fetch(_STRETCH, begin, begin + _HOUR_MS, wanted))
    return rows


def _sampled(row: Sequence[Any], weight: float) -> Sampled:
    values = tuple(row)
    return msgspec.structs.replace(Sampled(*values), weight=weight)
