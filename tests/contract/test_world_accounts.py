"""What carriers of the world market are asked beside sending: balances, and what became of messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.provider import Asks, Prepaid, Sent
from tests.contract.carrier import Desk, Watch
from tests.contract.world_carriers import InfobipCarrier, TelnyxCarrier, TwilioCarrier, VonageCarrier, WorldCarrier

ALL = [TwilioCarrier, VonageCarrier, InfobipCarrier, TelnyxCarrier]


@pytest.fixture
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A started provider, whose balance is asked for soon."""
    watch = Watch()
    carrier: WorldCarrier = request.param(watch)
    await carrier.start()
    made = carrier.open(Desk(watch).reports())
    await made.start()
    yield made
    await made.close(1.0)
    await carrier.leave()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("opened", ALL, indirect=True)
async def test_the_balance_is_read_soon_after_the_start(opened: Any) -> None:
    assert isinstance(opened, Prepaid)
    await until(lambda: opened.balance is not None)
    assert opened.balance is not None and opened.balance.amount == 12.5 and opened.balance.currency in ("USD", "EUR")


@pytest.mark.parametrize("opened", [TwilioCarrier, InfobipCarrier, TelnyxCarrier], indirect=True)
async def test_messages_are_asked_about_many_at_once(opened: Any) -> None:
    assert isinstance(opened, Asks) and opened.can_query
    await until(lambda: opened.live)
    asked = [opened.query(Sent(f"id-{n}", "Acme", "+79161234567")) for n in range(3)]
    receipts = await asyncio.gather(*asked)
    assert [(r.carrier_message_id, r.state) for r in receipts] == [(f"id-{n}", "delivered") for n in range(3)]


@pytest.mark.parametrize("opened", [VonageCarrier], indirect=True)
async def test_who_cannot_be_asked_is_not(opened: Any) -> None:
    assert not opened.can_query and await opened.query(Sent("id-1", "Acme", "+79161234567")) is None
