"""A real gateway of somebody else's as our only carrier, by HTTP: it relays to the sandbox SMSC, and dies under load.

In: a `Relay`, which can be killed and started again. Out: a world with it, and the two checks that every relay passes.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.acceptance.gateway_account import Load
from tests.acceptance.gateway_world import SPLIT, World, until, world

DEADLINE_S = 120.0
TOKEN = "a-word-for-reports"
LONG = "Счёт № 17 на 100 € готов, спасибо! 🎈 " * 6
TEXTS = (LONG, "Price: 5 € [net] {x} ~|^")
WRITTEN = ("Привет, €", "STOP it [now] €")
PLAN = """
[[carrier]]
name = "relay"
provider = "{provider}"
rate_per_s = {rate_per_s}
[carrier.settings]
url = "{url}"
username = "{user}"
password = {{ env = "RELAY_PASSWORD" }}
callback_token = {{ env = "RELAY_CALLBACK_TOKEN" }}
reconnect_max_s = 1
[[operator]]
name = "any"
prefixes = ["7"]
[[rate]]
carrier = "relay"
price = "1.25"
currency = "RUB"
[[route]]
name = "all"
carriers = ["relay"]
[[inbound]]
client = "shop"
"""


class Relay(Protocol):
    """Somebody else's gateway."""

    @property
    def url(self) -> str: ...

    async def start(self) -> None: ...

    async def kill(self) -> None: ...


@asynccontextmanager
async def relay_world(
    path: Path,
    cluster: Path,
    patch: pytest.MonkeyPatch,
    *,
    provider: str,
    account: tuple[str, str],
    rate_per_s: int,
    open_relay: Callable[[int, str, str], Awaitable[Relay]],
) -> AsyncIterator[tuple[World, Relay]]:
    """A gateway whose only carrier is the one that `open_relay` starts, with the sandbox as its SMSC. It gets the port
    and the password of `sandbox` there, and the address that reports go to. `rate_per_s`: less than the relay takes, so
    that a load is still being handed over when the relay dies."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        hook = f"127.0.0.1:{s.getsockname()[1]}"
    patch.setenv("SLUICE_CALLBACKS_URL", f"http://{hook}")
    patch.setenv("SLUICE_CALLBACKS_LISTEN", hook)
    patch.setenv("RELAY_PASSWORD", account[1])
    patch.setenv("RELAY_CALLBACK_TOKEN", TOKEN)
    async with world(path / "data", processes=SPLIT, cluster=cluster) as w:
        secret = (w.directory.secrets / "carrier").read_text().strip()
        relay = await open_relay(w.carriers["one"].port, secret, f"http://{hook}/v1/receipts/relay/{TOKEN}")
        plan = path / "relay.toml"
        given = {"provider": provider, "url": relay.url, "user": account[0], "rate_per_s": rate_per_s}
        plan.write_text(PLAN.format(**given))
        await w.sluice("plan", "apply", str(plan), "--activate")
        await until(lambda: _only_the_relay(w), "the plan to be in use everywhere")
        yield w, relay


async def texts_arrive_whole_and_receipts_come_back(w: World) -> None:
    """Long and short ones, in both alphabets, and what a subscriber writes."""
    for text in TEXTS:
        status, sent = await w.post("/v1/messages", {"to": "+79160000001", "text": text, "class": "otp"})
        assert status == 202
        message = await until(lambda of=sent["id"]: delivered(w, of), "the receipt")  # type: ignore[misc]
        assert message["carrier"] == "relay"
        receipts = [event for event in message["timeline"] if event["event"] == "receipt"]
        assert receipts[-1]["matched_by"] == "id"
    shown = [text for text in await w.carriers["one"].texts() if text != "probe"]
    assert sorted(shown) == sorted(TEXTS)

    for text in WRITTEN:
        await w.carriers["one"].ask("POST", "/inbound", {"from": "+79160000001", "to": "1234", "text": text})
    await until(lambda: _heard(w, set(WRITTEN)), "what the subscriber wrote")


async def nothing_is_lost_when_it_is_killed_under_load(w: World, relay: Relay, count: int) -> None:
    """A load, a kill -9 after a fifth of it, a start: every message is on a phone, or held where everybody sees it."""
    load = Load(w, count, classes=("otp", "transactional"))
    before = await w.submits()
    await load.run()
    await w.reached(before + count // 5)
    await relay.kill()
    assert await w.submits() < before + count
    await relay.start()

    async def nothing_waits() -> dict[str, str]:
        rows = await w.rows("select text, state from messages where tag = $1", load.tag)
        settled = len(rows) == count and all(r["state"] not in ("accepted", "routed") for r in rows)
        return {r["text"]: r["state"] for r in rows} if settled else {}

    states = await until(nothing_waits, "all of it to be handed over", DEADLINE_S)
    # What was in doubt when the relay died is sent again (otp) or held where everybody sees it (transactional).
    assert set(states.values()) <= {"submitted", "delivered", "unknown"}
    assert not [text for text, state in states.items() if state == "unknown" and text.startswith("otp")]
    held = {text for text, state in states.items() if state == "unknown"}

    async def all_shown() -> bool:
        shown = set(await w.carriers["one"].texts())
        return {text for text in states if text not in shown} <= held

    await until(all_shown, "every message to be on a phone, or held", DEADLINE_S)


async def delivered(w: World, message_id: str) -> dict[str, Any] | None:
    """The message, once it is."""
    status, message = await w.get(f"/v1/messages/{message_id}")
    assert status == 200
    return message if message["state"] == "delivered" else None


async def _only_the_relay(w: World) -> bool:
    """One carrier, and the router sees it."""
    _, shown = await w.get("/v1/carriers")
    live = [c["name"] for c in shown["carriers"] if c["status"] and c["status"]["live"]]
    status, probe = await w.post("/v1/messages", {"to": "+79160000002", "text": "probe", "class": "otp"})
    assert status == 202
    message = await until(lambda: delivered(w, probe["id"]), "the probe")
    return live == ["relay"] and message["carrier"] == "relay"


async def _heard(w: World, texts: set[str]) -> bool:
    _, shown = await w.get("/v1/inbound")
    return texts <= {message["text"] for message in shown["messages"]}
