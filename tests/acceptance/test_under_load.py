"""Under load: another client is served at once, and whoever asks for a message just accepted finds it."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

import pytest

from gateway.message import id_bytes, id_time_ms
from tests.acceptance.gateway_account import Load, account
from tests.acceptance.gateway_world import FULL, until, world

QUEUED = 500_000 if FULL else 30_000
SOON_S = 2.0
LOOKS, LOOKERS = 1_000, 8


@pytest.mark.alone
async def test_another_clients_first_message_overtakes_a_queue_of_marketing(tmp_path: Path, cluster: Path) -> None:
    async with world(tmp_path / "data", rates={"one": 400.0}, cluster=cluster) as w:
        other = await w.make_key("other")
        many = Load(w, QUEUED, classes=("marketing",), batch=1_000)
        await many.run()
        for number, klass in enumerate(("marketing", "transactional", "otp")):
            to = f"+7999000000{number}"
            message = {"to": to, "text": f"{klass} of another client", "class": klass}

            async def accepted(message: dict[str, str] = message) -> str:
                status, answer = await w.post("/v1/messages", message, other)
                assert status in (202, 401), answer  # keys are known everywhere within a second
                return str(answer["id"]) if status == 202 else ""

            message_id = await until(accepted, "a new client's key to be known")
            accepted_at = id_time_ms(id_bytes(message_id)) / 1000

            async def shown(to: str = to) -> float:
                messages = (await w.carriers["one"].ask("GET", f"/phone/{to.removeprefix('+')}"))["messages"]
                return float(messages[0]["at"]) if messages else 0.0

            at = await until(shown, f"{klass} on the wire", 10)
            assert at - accepted_at < SOON_S, klass
        assert await w.submits() < QUEUED // 2, "the queue was gone before it could be in the way"
        await w.apply_plan()
        await account(many)


async def test_a_get_straight_after_a_202_always_finds_the_message(tmp_path: Path, cluster: Path) -> None:
    processes = {"api": "api", "other-api": "api", "rest": "router,connector,recorder,receipts"}
    async with world(tmp_path / "data", processes=processes, cluster=cluster) as w:
        load, looks = Load(w, 6_000, ahead=2_000), iter(range(LOOKS))
        began = time.monotonic()

        async def look() -> None:
            for number in looks:
                message = {"to": f"+7999{number:07d}", "text": secrets.token_hex(8), "class": "transactional"}
                status, answer = await w.post("/v1/messages", message)
                assert status == 202, answer
                status, found = await w.get(f"/v1/messages/{answer['id']}")
                assert status == 200, f"{status} for {answer['id']} after {time.monotonic() - began:.3f} s"
                assert found["id"] == answer["id"]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            for _ in range(LOOKERS):
                tasks.create_task(look())
        await account(load)
