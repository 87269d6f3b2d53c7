"""The carriers that the contract suite runs against, and a provider that is connected to each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.provider import Provider
from tests.contract.carrier import Carrier, Desk, Watch
from tests.contract.named_carriers import ExolveCarrier, JasminCarrier, KannelCarrier, SmsAeroCarrier, SmscCarrier
from tests.contract.page_carriers import acme_carrier
from tests.contract.smpp_carrier import SmppCarrier, SmppManyBindsCarrier, SmppPairCarrier, SmppPayloadCarrier
from tests.contract.web_carrier import AskedCarrier, FormCarrier, JsonBatchCarrier, JsonCarrier, JsonPartsCarrier
from tests.contract.world_carriers import (
    InfobipCarrier,
    TelnyxCarrier,
    TwilioCarrier,
    VonageCarrier,
    VonageMessagesCarrier,
)

CARRIERS: list[type[Carrier]] = [
    SmppCarrier,
    SmppPairCarrier,
    SmppManyBindsCarrier,
    SmppPayloadCarrier,
    JsonCarrier,
    JsonPartsCarrier,
    JsonBatchCarrier,
    FormCarrier,
    AskedCarrier,
    KannelCarrier,
    JasminCarrier,
    SmscCarrier,
    ExolveCarrier,
    SmsAeroCarrier,
    TwilioCarrier,
    VonageCarrier,
    VonageMessagesCarrier,
    InfobipCarrier,
    TelnyxCarrier,
    acme_carrier(),
]


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def desk(watch: Watch) -> Desk:
    return Desk(watch)


@pytest.fixture(params=CARRIERS, ids=[kind.__name__ for kind in CARRIERS])
async def carrier(request: pytest.FixtureRequest, watch: Watch) -> AsyncIterator[Carrier]:
    made: Carrier = request.param(watch)
    await made.start()
    yield made
    await made.leave()


@pytest.fixture
async def provider(carrier: Carrier, desk: Desk) -> AsyncIterator[Provider]:
    """Started, and all its links up. Room wakes the desk's watch."""
    made = carrier.open(desk.reports())
    made.on_room(desk.watch.touch)
    await made.start()
    await desk.watch.until(lambda: all(link.state == "bound" for link in made.links()))
    yield made
    desk.durable.set()
    await made.close(1.0)
