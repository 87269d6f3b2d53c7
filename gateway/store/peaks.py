"""The busiest second, minute, hour, day or month that the roll-ups know.

In: a span of accepting times, a period, values of dimensions, dimensions of which each value is counted by itself.
Out: the largest number of parts, and when. Never: reads a message.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from gateway.store.pool import Pool

PERIODS: Final = ("second", "minute", "hour", "day", "month")
DIMENSIONS: Final = ("carrier", "operator", "client", "tag", "class")


class Peak(msgspec.Struct, frozen=True):
    """The busiest period: its parts, when it began, and whose it was (values of `each`, in the order of DIMENSIONS)."""

    parts: int
    at_ms: int
    whose: tuple[str, ...] = ()


async def peak(
    pool: Pool,
    since_ms: int,
    until_ms: int,
    per: str,
    only: Mapping[str, str],
    each: Collection[str] = (),
    zone: str = "UTC",
) -> Peak | None:
    """None when nothing was sent. `per` out of PERIODS; `only` and `each` out of DIMENSIONS; days and months are those
    of `zone`. A second counts as the sixtieth part of its minute, which is as exact as the roll-ups are.

    Raises StoreAwayError.
    """
    assert per in PERIODS and {*only, *each} <= set(DIMENSIONS)
    table, unit = ("stats_minute", "minute") if per in ("second", "minute") else ("stats_hour", per)
    names = [name for name in DIMENSIONS if name in each]
    columns = "".join(f", {name}" for name in names)
    filters = "".join(f" and {name} = ${number}" for number, name in enumerate(only, 4))
    filters += "".join(f" and {name} <> ''" for name in names)  # what has none is nobody's
    sql = (
        f"select date_trunc('{unit}', at, $3) as begun, sum(parts)::bigint as parts{columns} from {table}"
        f" where at >= $1 and at < $2{filters} group by 1{columns} having sum(parts) > 0 order by 2 desc, 1 limit 1"
    )
    row = await pool.fetchrow(sql, since_ms, until_ms, zone, *only.values())
    if row is None:
        return None
    begun, parts, *whose = tuple(row)
    return Peak(-(-int(parts) // 60) if per == "second" else int(parts), int(begun), tuple(whose))
