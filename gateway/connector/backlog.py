"""How long what waits for a carrier will take it, by class: routers send others elsewhere meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from gateway.connector.lanes import AHEAD, Lanes
from gateway.message import CLASSES


async def waiting(lanes: Lanes) -> Counter[str]:
    """Entries by class. Only of lanes with more than what is at hand is Redis asked."""
    found: Counter[str] = Counter()
    long = []
    for lane in lanes.everyone():
        if lane.ahead >= AHEAD // 2:
            long.append(lane)
        else:
            found[lane.klass] += lane.ahead
    readers = [(lane.klass, reader) for lane in long for reader in (lane.again, lane.outbox)]
    lengths = await asyncio.gather(*(r.link.call(b"XLEN", r.link.prefix + r.stream) for _, r in readers))
    for (klass, _), length in zip(readers, lengths, strict=True):
        found[klass] += int(length)
    return found


def seconds(backlog: Mapping[str, int], per_s: float, shares: Mapping[str, int]) -> dict[str, float]:
    """How long the last of each class waits: until all that is more urgent is sent too, but for the share of the rate
    that the class is sure of. Nothing when it is not known how fast the carrier is (0)."""
    found: dict[str, float] = {}
    before = 0
    for klass in CLASSES:
        mine = backlog.get(klass, 0)
        before += mine
        if mine and per_s:
            sure = per_s * shares.get(klass, 0) / 100
            found[klass] = round(min(before / per_s, mine / sure if sure else before / per_s), 2)
    return found
