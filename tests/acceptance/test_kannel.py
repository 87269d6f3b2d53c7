"""A real Kannel as a carrier that is reached by HTTP: it relays to the sandbox SMSC, and dies under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance import relays
from tests.peers.kannel import PASSWORD, USER, KannelServer
from tests.peers.programs import program

COUNT = 1_500


async def test_texts_arrive_whole_receipts_come_back_and_nothing_is_lost_when_kannel_is_killed_under_load(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bearerbox", "smsbox"):
        program(name, "apt install kannel")
    (tmp_path / "kannel").mkdir()
    kannel = KannelServer(tmp_path / "kannel")

    async def start(smsc: int, secret: str, reports: str) -> KannelServer:
        kannel.configure(smsc, "sandbox", secret, f"{reports}?from=%p&to=%P&text=%b&charset=%C")
        await kannel.start()
        return kannel

    try:
        async with relays.relay_world(
            tmp_path,
            cluster,
            monkeypatch,
            provider="kannel",
            account=(USER, PASSWORD),
            rate_per_s=1_000,
            open_relay=start,
        ) as (w, relay):
            await relays.texts_arrive_whole_and_receipts_come_back(w)
            await relays.nothing_is_lost_when_it_is_killed_under_load(w, relay, COUNT)
    finally:
        await kannel.kill()
