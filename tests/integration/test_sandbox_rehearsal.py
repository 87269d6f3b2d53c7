"""Router, connector and our SMPP provider against carriers that misbehave: what is accepted comes to its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.connector.connector import Connector, Work
from gateway.embedded.sandbox.profile import make_profile, read_profile
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from gateway.events import Received
from gateway.router import decide
from providers import smpp
from tests.core_path import SHARES, Path, running
from tests.core_redis import until

ANY = ("127.0.0.1", 0)


@asynccontextmanager
async def carrier(path: Path, name: str, rate: float = 0, **changes: Any) -> AsyncIterator[Smsc]:
    """A sandbox with a shipped profile, and carrier `north` that leads to it. `_settings` are the provider's."""
    settings = changes.pop("_settings", {})
    smsc = Smsc({"me": "secret"}, make_profile(changes, read_profile(name) if name else None), keep=100_000)
    sandbox = Sandbox(smsc)
    await sandbox.open(ANY, ANY)
    host, _, port = sandbox.smpp.rpartition(":")
    given = {"host": host, "port": int(port), "system_id": "me", "password": "secret", "reconnect_s": 0.05} | settings
    connector = Connector(
        Work("north", rate, SHARES, lambda reports: smpp.open("north", given, reports)), path.redis, "north", 1.0, 1.0
    )
    path._start("north", connector.run())
    path.start_router()
    try:
        yield smsc
    finally:
        await path.stop("north")
        await sandbox.close()


async def test_over_a_flaky_carrier_every_urgent_message_is_accepted_in_the_end(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "_BACKOFF_S", (0,))
    links = {"lives_s": {"mean": 0.5}, "away_s": 0.1, "garbage_s": {"mean": 0.2}}
    async with running(valkey_url) as path:
        profile: dict[str, Any] = {"links": links, "answer_delay_ms": 5, "receipt_delay_s": 0.05}
        async with carrier(path, "flaky", **profile, _settings={"answer_timeout_s": 0.4}) as smsc:
            ids: list[bytes] = []
            for _ in range(10):
                ids += await path.accept(40, klass="otp", validity_s=600)
                await asyncio.sleep(0)
            await path.drained(60)
            while not (smsc.report()["links_ended"] and smsc.report()["garbage_sent"]):  # all went while it was well
                ids += await path.accept(40, klass="otp", validity_s=600)
                await path.drained(60)
            fates = await path.fates()
            assert set(fates["accepted"]) == set(ids)
            assert not fates["failed"] and not fates["held"]
            assert smsc.report()["malformed"] == 0


@pytest.mark.parametrize("name", ["unruly-receipts", "grey-route"])
async def test_receipts_in_the_oddest_forms_reach_the_ledger_s_facts(valkey_url: str, name: str) -> None:
    async with running(valkey_url) as path:
        quick = {"answer_delay_ms": 1, "receipt_delay_s": 0.05, "cases": []}
        async with carrier(path, name, **quick) as smsc:
            ids = await path.accept(100, klass="otp")
            await path.drained()
            expected = len(ids) * (3 if name == "unruly-receipts" else 1)
            await until(lambda: smsc.report()["receipts_acked"] >= expected, "receipts")
            receipts = [f.receipt for f in await path.facts() if isinstance(f, Received)]
            states = Counter(r.state for r in receipts)
            assert states["delivered"] == len(ids) and sum(states.values()) == expected
            assert set(states) <= {"accepted", "enroute", "delivered"}
            assert len({r.carrier_message_id for r in receipts}) == len(ids)


async def test_a_rate_that_the_carrier_enforces_is_used_and_never_exceeded(valkey_url: str) -> None:
    """A bucket of a tenth of a second at the carrier, and its rate as ours."""
    rate, seconds = 500, 4
    async with running(valkey_url) as path:
        throttled: dict[str, Any] = {"throttle_per_s": rate, "throttle_burst": rate / 10, "answer_delay_ms": 5}
        async with carrier(path, "", rate=rate, receipts=0, **throttled) as smsc:
            loop, took_s = asyncio.get_running_loop(), list[float]()
            while len(took_s) < 4 and (not took_s or took_s[-1] >= seconds / 0.98 + 0.3):  # a busy machine falls behind
                await path.accept(rate * (seconds + 2), klass="marketing")
                await until(lambda: smsc.report()["submits"] > 0, "the first")
                began, since = smsc.report()["submits"], loop.time()
                await until(lambda began=began: smsc.report()["submits"] - began >= rate * seconds, "messages", 60)  # type: ignore[misc]
                took_s.append(loop.time() - since)
            assert smsc.report()["throttled"] == 0
            assert min(took_s) < seconds / 0.98 + 0.3, took_s
