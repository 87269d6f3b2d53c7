"""Connections of web carriers: kept alive, as many as are needed, none that the carrier wants closed."""

from __future__ import annotations

import asyncio

import pytest

from gateway.provider import Kind
from tests.contract.carrier import Desk, Watch
from tests.contract.test_provider_contract import put
from tests.contract.web_carrier import JsonCarrier
from tests.contract.web_peer import Asked


@pytest.mark.parametrize("closing", [False, True])
async def test_a_connection_serves_one_request_after_the_other_unless_the_carrier_closes_it(
    watch: Watch, desk: Desk, closing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if closing:
        plain = Asked.answer

        def answer(self: Asked, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            plain(self, status, body, {"Connection": "close"} | (headers or {}))

        monkeypatch.setattr(Asked, "answer", answer)
    carrier = JsonCarrier(watch)
    await carrier.start()
    provider = carrier.open(desk.reports())
    provider.on_room(watch.touch)
    await provider.start()
    await watch.until(lambda: provider.live)
    before = carrier._carrier.accepted
    for _ in range(20):
        (s,) = put(provider, "hello")
        assert (await desk.outcome(s)).kind is Kind.ACCEPTED
        await asyncio.sleep(0)
    made = carrier._carrier.accepted - before
    assert made >= 19 if closing else made <= 1
    await provider.close(1.0)
    await carrier.leave()
