"""The examples of docs/http-carriers.md against the sandbox's web carrier: accepted, shown on the phone, refused."""

from __future__ import annotations

import asyncio
import re
import time
import tomllib
from pathlib import Path

import pytest

from gateway.credentials import resolve
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from gateway.provider import Kind, Outcome, Reason, Reports, Submission
from gateway.provider_modules import open_provider

PAGE = Path(__file__).parents[2] / "docs" / "http-carriers.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["json", "form"])
async def test_an_example_sends_to_the_sandbox(example: str) -> None:
    smsc = Smsc({"sandbox": "password"})
    sandbox = Sandbox(smsc)
    await sandbox.open(("127.0.0.1", 0), ("127.0.0.1", 0), ("127.0.0.1", 0))
    (carrier,) = tomllib.loads(example.replace("http://127.0.0.1:2777", sandbox.web))["carrier"]
    settings = resolve(carrier["settings"], {"EXAMPLE_TOKEN": "password", "EXAMPLE_CALLBACK_TOKEN": "a-word-of-ours"})
    outcomes: asyncio.Queue[Outcome] = asyncio.Queue()

    async def never(_: object) -> None:
        raise AssertionError("reports come by webhook")

    reports = Reports(
        lambda batch: [outcomes.put_nowait(outcome) for _, outcome in batch] and None, never, never, lambda link: None
    )
    provider = open_provider("example", carrier["provider"], settings, reports)
    ready = asyncio.Event()
    provider.on_room(ready.set)
    await provider.start()
    try:
        async with asyncio.timeout(20):
            while not provider.live:
                ready.clear()
                await ready.wait()
            until_ms = int(time.time() * 1000) + 60_000
            text = "Привет & {to}"
            provider.submit(
                [Submission(bytes(16), 1, 0, 1, "+79161234567", "Sluice", text, "ucs2", 1, until_ms, "otp", 1)]
            )
            assert (await outcomes.get()).kind is Kind.ACCEPTED
            assert [(m.to, m.sender, m.text) for m in smsc.handset.show()] == [("+79161234567", "Sluice", text)]
            smsc.change({"status": 0x0B}, anew=True)
            provider.submit(
                [Submission(bytes(16), 1, 0, 1, "+79161234567", "Sluice", text, "ucs2", 1, until_ms, "otp", 1)]
            )
            assert (await outcomes.get()).reason is Reason.INVALID_RECIPIENT
    finally:
        await provider.close(1.0)
        await sandbox.close()
