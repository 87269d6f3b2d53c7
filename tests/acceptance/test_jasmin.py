"""A real Jasmin with its RabbitMQ as a carrier: it relays to the sandbox SMSC, and jasmind dies under load."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.acceptance import relays
from tests.peers.jasmin import PASSWORD, USER, JasminServer, needs_jasmin

COUNT = 120


@pytest.mark.timeout(300)  # RabbitMQ's start alone may take a minute where others have the processors
async def test_texts_arrive_whole_receipts_come_back_and_nothing_is_lost_when_jasmin_is_killed_under_load(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_jasmin()
    (tmp_path / "jasmin").mkdir()
    jasmin = JasminServer(tmp_path / "jasmin")
    opening = asyncio.create_task(jasmin.open(), name="jasmin")  # RabbitMQ takes as long as the gateway

    async def start(smsc: int, secret: str, reports: str) -> JasminServer:
        await opening
        await jasmin.configure(smsc, "sandbox", secret, reports)
        return jasmin

    try:
        async with relays.relay_world(
            tmp_path,
            cluster,
            monkeypatch,
            provider="jasmin",
            account=(USER, PASSWORD),
            rate_per_s=50,
            open_relay=start,
        ) as (w, relay):
            await relays.texts_arrive_whole_and_receipts_come_back(w)
            await relays.nothing_is_lost_when_it_is_killed_under_load(w, relay, COUNT)
    finally:
        await asyncio.gather(opening, return_exceptions=True)
        await jasmin.close()
