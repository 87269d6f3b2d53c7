"""A real Kannel as a carrier that is reached by HTTP: it relays to the sandbox SMSC, and dies under load."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.gateway_account import Load
from tests.acceptance.gateway_world import SPLIT, World, until, world
from tests.peers.kannel import PASSWORD, USER, KannelServer
from tests.peers.programs import program

COUNT = 1_500
TOKEN = "a-word-for-kannel"
LONG = "Счёт № 17 на 100 € готов, спасибо! 🎈 " * 6
PLAN = """
[[carrier]]
name = "kannel"
provider = "kannel"
[carrier.settings]
url = "{url}"
username = "{user}"
password = {{ env = "KANNEL_PASSWORD" }}
callback_token = {{ env = "KANNEL_CALLBACK_TOKEN" }}
reconnect_max_s = 1
[[operator]]
name = "any"
prefixes = ["7"]
[[rate]]
carrier = "kannel"
price = "1.25"
currency = "RUB"
[[route]]
name = "all"
carriers = ["kannel"]
[[inbound]]
client = "shop"
"""


@asynccontextmanager
async def kannel_world(
    path: Path, cluster: Path, patch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[World, KannelServer]]:
    """A gateway whose only carrier is a Kannel, whose SMSC is the sandbox."""
    for name in ("bearerbox", "smsbox"):
        program(name, "apt install kannel")
    with socket.create_server(("127.0.0.1", 0)) as s:
        hook = f"127.0.0.1:{s.getsockname()[1]}"
    patch.setenv("SLUICE_CALLBACKS_URL", f"http://{hook}")
    patch.setenv("SLUICE_CALLBACKS_LISTEN", hook)
    patch.setenv("KANNEL_PASSWORD", PASSWORD)
    patch.setenv("KANNEL_CALLBACK_TOKEN", TOKEN)
    (path / "kannel").mkdir()
    kannel = KannelServer(path / "kannel")
    async with world(path / "data", processes=SPLIT, cluster=cluster) as w:
        secret = (w.directory.secrets / "carrier").read_text().strip()
        reports = f"http://{hook}/v1/receipts/kannel/{TOKEN}?from=%p&to=%P&text=%b&charset=%C"
        kannel.configure(w.carriers["one"].port, "sandbox", secret, reports)
        await kannel.start()
        try:
            plan = path / "kannel.toml"
            plan.write_text(PLAN.format(url=kannel.url, user=USER))
            await w.sluice("plan", "apply", str(plan), "--activate")
            await until(lambda: only_kannel(w), "the plan to be in use everywhere")
            yield w, kannel
        finally:
            await kannel.kill()


async def test_texts_arrive_whole_receipts_come_back_and_nothing_is_lost_when_kannel_is_killed_under_load(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kannel_world(tmp_path, cluster, monkeypatch) as (w, kannel):
        for text in (LONG, "Price: 5 € [net] {x} ~|^"):
            status, sent = await w.post("/v1/messages", {"to": "+79160000001", "text": text, "class": "otp"})
            assert status == 202
            message = await until(lambda of=sent["id"]: delivered(w, of), "the receipt")  # type: ignore[misc]
            assert message["carrier"] == "kannel"
            receipts = [event for event in message["timeline"] if event["event"] == "receipt"]
            assert receipts[-1]["matched_by"] == "id"
        shown = [text for text in await w.carriers["one"].texts() if text != "probe"]
        assert sorted(shown) == sorted([LONG, "Price: 5 € [net] {x} ~|^"])

        for text in ("Привет, €", "STOP it [now] €"):
            await w.carriers["one"].ask("POST", "/inbound", {"from": "+79160000001", "to": "1234", "text": text})
        await until(lambda: heard(w, {"Привет, €", "STOP it [now] €"}), "what the subscriber wrote")

        load = Load(w, COUNT, classes=("otp", "transactional"))
        before = await w.submits()
        await load.run()
        await w.reached(before + COUNT // 5)
        await kannel.kill()
        assert await w.submits() < before + COUNT
        await kannel.start()

        async def nothing_waits() -> dict[str, str]:
            rows = await w.rows("select id::text, text, state from messages where tag = $1", load.tag)
            settled = len(rows) == COUNT and all(r["state"] not in ("accepted", "routed") for r in rows)
            return {r["text"]: r["state"] for r in rows} if settled else {}

        states = await until(nothing_waits, "all of it to be handed over")

        async def missing() -> set[str]:
            shown = set(await w.carriers["one"].texts())
            return {text for text in states if text not in shown}

        # What was in doubt when Kannel died is sent again (otp) or held where everybody sees it (transactional).
        assert set(states.values()) <= {"submitted", "delivered", "unknown"}
        assert not [text for text, state in states.items() if state == "unknown" and text.startswith("otp")]
        held = {text for text, state in states.items() if state == "unknown"}

        async def all_shown() -> bool:
            return await missing() <= held

        await until(all_shown, "every message to be on a phone, or held")


async def only_kannel(w: World) -> bool:
    """One carrier, and the router sees it."""
    _, shown = await w.get("/v1/carriers")
    live = [c["name"] for c in shown["carriers"] if c["status"] and c["status"]["live"]]
    status, probe = await w.post("/v1/messages", {"to": "+79160000002", "text": "probe", "class": "otp"})
    assert status == 202
    message = await until(lambda: delivered(w, probe["id"]), "the probe")
    return live == ["kannel"] and message["carrier"] == "kannel"


async def delivered(w: World, message_id: str) -> dict[str, Any] | None:
    status, message = await w.get(f"/v1/messages/{message_id}")
    assert status == 200
    return message if message["state"] == "delivered" else None


async def heard(w: World, texts: set[str]) -> bool:
    _, shown = await w.get("/v1/inbound")
    return texts <= {message["text"] for message in shown["messages"]}
