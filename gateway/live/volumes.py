"""What was sent in the month at carriers whose prices depend on it, in every router within seconds.

In: the roll-ups in PostgreSQL, summed by one leased task. Out: `LiveVolumes.used`, which prices and ladders ask. While
PostgreSQL is away the last known sums stand; a new month begins with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Final

import msgspec

from gateway import logs
from gateway.config import Settings
from gateway.live.turns import take_turns
from gateway.message import VERSION, UnknownVersionError
from gateway.plan.choice import Compiled
from gateway.plan.months import month_start_ms, next_month_ms
from gateway.store.pool import Pool
from gateway.store.volumes import Volumes, volumes
from gateway.streams.link import Redis
from gateway.streams.mirror import Mirror

log = logs.stage("volumes")

MIRROR: Final = "volumes"
EVERY_S: Final = 3.0
"""How often the last hours are summed."""

_ALL_EVERY_MS: Final = 300_000  # the older hours of the month, which only late receipts change
_LATE_MS: Final = 2 * 3_600_000


class Month(msgspec.Struct, array_like=True, frozen=True):
    """What is mirrored in Redis. Fields grow only at the end, with defaults."""

    since_ms: int
    until_ms: int
    rows: list[tuple[str, str, str, int]]
    """Carrier, operator, class, parts."""


def pack(month: Month) -> bytes:
    """The mirrored document: version byte and msgpack."""
    return VERSION + msgspec.msgpack.encode(month)


def unpack(data: bytes) -> Month:
    """Inverse of `pack`. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"the mirror of volumes has version {data[:1]!r}, this release reads {VERSION!r}")
    return msgspec.msgpack.decode(memoryview(data)[1:], type=Month)


class LiveVolumes:
    """The month as this process knows it. Life: `watch()` until cancelled; `used` at any time."""

    def __init__(self, redis: Redis) -> None:
        self._mirror, self._clock_ms = Mirror(redis), redis.clock_ms
        self._since_ms = self._until_ms = 0
        self._sums: Mapping[tuple[str, str, str], int] = {}

    def used(self, carrier: str, operator: str, klass: str) -> int:
        """Parts sent there in this month; "" in place of operator or class: all of them."""
        if not self._since_ms <= self._clock_ms() < self._until_ms:
            return 0
        return self._sums.get((carrier, operator, klass), 0)

    async def watch(self) -> None:
        """Follow the mirror. Runs until cancelled."""
        await self._mirror.watch(MIRROR, self._replace)

    def _replace(self, version: int, value: bytes) -> None:
        try:
            month = unpack(value)
        except (UnknownVersionError, msgspec.DecodeError) as e:
            log.error("volumes_unreadable", e)
            return
        self._sums = sums({(carrier, operator, klass): parts for carrier, operator, klass, parts in month.rows})
        self._since_ms, self._until_ms = month.since_ms, month.until_ms


def sums(found: Volumes) -> dict[tuple[str, str, str], int]:
    """The same with "" in place of operator, class or both, for all of them."""
    total: dict[tuple[str, str, str], int] = {}
    for (carrier, operator, klass), parts in found.items():
        for key in set(product((carrier,), (operator, ""), (klass, ""))):
            total[key] = total.get(key, 0) + parts
    return total


async def publish_volumes(
    settings: Settings, redis: Redis, pool: Pool, owner: str, plan: Callable[[], Compiled | None]
) -> None:
    """Sum and mirror until cancelled; one process at a time, by a lease."""
    await take_turns(
        settings, redis, owner, "volumes", lambda: Summing(redis, pool, plan).turn, EVERY_S, log, "volumes_not_summed"
    )


class Summing:
    """Sums the month: the last hours often, the others now and then."""

    def __init__(self, redis: Redis, pool: Pool, plan: Callable[[], Compiled | None]) -> None:
        self._mirror, self._clock_ms, self._pool, self._plan = Mirror(redis), redis.clock_ms, pool, plan
        self._asked: tuple[object, ...] = ()
        self._older: Volumes = {}
        self._cut_ms = self._summed_ms = 0

    async def turn(self) -> None:
        """Sum and mirror once. Nothing is asked while no price depends on the month."""
        compiled = self._plan()
        if compiled is None or not compiled.rates.by_volume:
            return
        now_ms, zone = self._clock_ms(), compiled.plan.defaults.timezone
        since_ms = month_start_ms(now_ms, zone)
        carriers = sorted(compiled.rates.by_volume)
        late = [carrier.name for carrier in compiled.plan.carriers if carrier.billed_on == "delivered"]
        asked = (since_ms, carriers, late)
        if asked != self._asked or now_ms - self._summed_ms >= _ALL_EVERY_MS:
            cut_ms = max(since_ms, (now_ms - _LATE_MS) // 3_600_000 * 3_600_000)
            self._older = await volumes(self._pool, since_ms, cut_ms, carriers, late)
            self._asked, self._cut_ms, self._summed_ms = asked, cut_ms, now_ms
        found = dict(self._older)
        for key, parts in (await volumes(self._pool, self._cut_ms, None, carriers, late)).items():
            found[key] = found.get(key, 0) + parts
        rows = [(*key, parts) for key, parts in sorted(found.items())]
        await self._mirror.replace(MIRROR, pack(Month(since_ms, next_month_ms(now_ms, zone), rows)))
