"""Taking back a message that a carrier has already: asked of the carrier, where its settings allow it.

In: a client's own message. Out: what the carrier said, or None where it cannot be asked. Never: a guess.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.api.call import Call
from gateway.api.intake import DEADLINE_S
from gateway.provider import Sent
from gateway.store import submitted
from gateway.store.messages import Found
from gateway.store.pool import StoreAwayError
from gateway.streams import asks, carriers
from gateway.streams.asks import Ask, Reply, Unit
from gateway.streams.link import RedisAwayError, ScriptError

ANSWER_S: Final = 8.0
"""How long the carrier may take."""


async def take_back(c: Call, found: Found) -> Reply | None:
    """Ask the carrier for all that it has of the message's last attempt."""
    redis = c.gate.redis
    try:
        async with asyncio.timeout(DEADLINE_S):
            status = (await carriers.statuses(redis)).get(found.carrier, {})
            if not (status.get("can_cancel") and status.get("live")):
                return None
            async with c.gate.pool.connection() as connection:
                taken = await submitted.taken(connection, [found.id], redis.clock_ms())
        if not taken or taken[0].carrier != found.carrier or len(taken[0].units) < taken[0].parts:
            return None  # the carrier told no id for some part: it could not be named
        message = taken[0]
        units = [Unit(part, Sent(name, message.sender, message.recipient, bind)) for part, name, bind in message.units]
        return await asks.wait(redis, found.carrier, Ask("cancel", found.id, message.attempt, units), ANSWER_S)
    except (StoreAwayError, RedisAwayError, ScriptError, TimeoutError):
        return None
