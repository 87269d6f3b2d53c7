"""Asks the carrier what became of a message, or to take it back, for those who have no link to it.

In: asks of other processes. Out: receipts and ends, durable before they are answered. Never: an ask for a carrier whose
settings do not allow it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.events import BY_CARRIER, AnyFact, Ended, Received
from gateway.message import State
from gateway.provider import Asks, Kind, Outcome, Provider, Reason, Receipt
from gateway.streams import asks
from gateway.streams.asks import Ask, Reply
from gateway.streams.link import Redis, RedisAwayError

log = logging.getLogger("connector")

EVERY_S: Final = 0.2
_AT_ONCE: Final = 20

Report = Callable[[bytes, Sequence[AnyFact]], Awaitable[None]]
"""Makes facts about a message durable."""


async def serve_asks(redis: Redis, carrier: str, provider: Provider, report: Report) -> None:
    """Until cancelled."""
    if not isinstance(provider, Asks) or not (provider.can_query or provider.can_cancel):
        await asyncio.get_running_loop().create_future()
    assert isinstance(provider, Asks)
    while True:
        try:
            taken = await asks.take(redis, carrier, _AT_ONCE) if provider.live else []
            await asyncio.gather(*(_ask(redis, carrier, provider, ask, report) for ask in taken))
        except RedisAwayError:
            taken = []
        if not taken:
            await asyncio.sleep(EVERY_S)


async def _ask(redis: Redis, carrier: str, provider: Asks, ask: Ask, report: Report) -> None:
    if ask.kind == "query":
        await _query(redis, carrier, provider, ask, report)
    elif provider.can_cancel:
        await asks.answer(redis, ask, await _cancel(redis, carrier, provider, ask, report))


async def _query(redis: Redis, carrier: str, provider: Asks, ask: Ask, report: Report) -> None:
    if not provider.can_query:
        return
    found = await asyncio.gather(*(provider.query(unit.sent) for unit in ask.units))
    receipts = [r for r in found if r is not None and r.state not in ("enroute", "accepted")]
    if receipts:
        now_ms = redis.clock_ms()
        await report(ask.message_id, [Received(carrier, now_ms, receipt) for receipt in receipts])
    log.info("queried", extra={"carrier": carrier, "asked": len(found), "known": len(receipts)})


async def _cancel(redis: Redis, carrier: str, provider: Asks, ask: Ask, report: Report) -> Reply:
    outcomes = await asyncio.gather(*(provider.cancel(unit.sent) for unit in ask.units))
    taken_back = [unit for unit, o in zip(ask.units, outcomes, strict=True) if o.kind == Kind.ACCEPTED]
    log.info("cancel_asked", extra={"carrier": carrier, "parts": len(outcomes), "taken_back": len(taken_back)})
    if len(taken_back) == len(outcomes):
        ended = Ended(ask.message_id, State.CANCELLED, Reason.CANCELLED, ask.attempt, BY_CARRIER)
        await report(ask.message_id, [ended])
        return Reply("cancelled")
    if not taken_back:
        return _refusal(outcomes)
    # What the carrier kept will be delivered: the message ends as one that did not arrive whole.
    now_ms = redis.clock_ms()
    gone = [Receipt(unit.sent.carrier_message_id, "deleted", reason=Reason.CARRIER_DELETED) for unit in taken_back]
    await report(ask.message_id, [Received(carrier, now_ms, receipt) for receipt in gone])
    return Reply("partly", _refusal(outcomes).code)


def _refusal(outcomes: Sequence[Outcome]) -> Reply:
    refused = next((o for o in outcomes if o.kind == Kind.REFUSED), None)
    return Reply("refused", refused.code) if refused is not None else Reply("unknown")
