"""The SMPP provider with an SMSC that nobody here wrote: the npm package `smpp`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.provider import Kind, Sent, Submission
from providers import smpp
from tests.contract.carrier import Desk, Watch
from tests.peers.programs import node_environment, node_module

SCRIPT = Path(__file__).parents[1] / "peers" / "smsc.js"
DEADLINE_S = 20
RECEIPT = "id:{} sub:001 dlvrd:001 submit date:2401010000 done date:2401010001 stat:DELIVRD err:000 text:"


class Smsc:
    """The process: lines of JSON in and out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def next(self, event: str) -> dict[str, Any]:
        """The next event of that kind; an error of its own is one of ours."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found: dict[str, Any] = json.loads(await self.process.stdout.readline())
                assert found["event"] != "error", found
                if found["event"] == event:
                    return found

    def deliver(self, **fields: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(fields).encode() + b"\n")


@pytest.fixture
async def smsc() -> AsyncIterator[tuple[Smsc, int]]:
    node = node_module("smpp")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(node, str(SCRIPT), stdin=pipe, stdout=pipe, env=node_environment())
    made = Smsc(process)
    try:
        yield made, (await made.next("listening"))["port"]
    finally:
        process.kill()
        await process.wait()


async def bound(desk: Desk, port: int, **more: Any) -> Any:
    table = {"host": "127.0.0.1", "port": port, "system_id": "account", "password": "password"}
    provider = smpp.open("acme", table | more, desk.reports())
    await provider.start()
    await desk.watch.until(lambda: provider.live)
    return provider


def submission(text: str, number: int, part: int = 1, total: int = 1, encoding: str = "gsm7") -> Submission:
    deadline_ms = int(time.time() * 1000) + 3_600_000
    message_id = number.to_bytes(16, "big")
    return Submission(
        message_id, 1, part, total, "+79161234567", "Sluice", text, encoding, 7, deadline_ms, "otp", number
    )


async def test_it_reads_our_submissions_and_we_its_answers_and_receipts(smsc: tuple[Smsc, int]) -> None:
    peer, port = smsc
    desk = Desk(Watch())
    provider = await bound(desk, port, priority={"otp": 3}, query=True, cancel=True)
    bind = await peer.next("bind")
    assert (bind["kind"], bind["system_id"], bind["version"]) == ("bind_transceiver", "account", 0x34)
    for number, (text, encoding) in enumerate((("Price: 5 € [net]", "gsm7"), ("Код 1234 🎈", "ucs2")), 1):
        s = submission(text, number, encoding=encoding)
        provider.submit([s])
        seen = await peer.next("submit")
        assert (seen["text"], seen["to"], seen["from"], seen["from_ton"]) == (text, "79161234567", "Sluice", 5)
        assert (seen["priority"], seen["echo"], seen["coding"]) == (3, number, 0 if encoding == "gsm7" else 8)
        outcome = await desk.outcome(s)
        assert (outcome.kind, outcome.carrier_message_id) == (Kind.ACCEPTED, seen["id"])
        receipt = {"esm_class": 4, "short_message": RECEIPT.format(seen["id"])}
        tail = {"receipted_message_id": seen["id"], "message_state": 2}
        peer.deliver(source_addr="79161234567", destination_addr="Sluice", **receipt, **tail)
        assert (await peer.next("delivered"))["status"] == 0
    assert [r.carrier_message_id for r in desk.receipts if r.state == "delivered"] == ["npm-1", "npm-2"]
    answer = await provider.query(Sent("npm-1", "Sluice", "+79161234567"))
    assert answer.state == "delivered"
    assert (await provider.cancel(Sent("npm-1", "Sluice", "+79161234567"))).code == "0x11"
    await provider.close(2.0)
    await peer.next("unbind")


@pytest.mark.parametrize("concatenation", ["udh8", "udh16", "message_payload"])
async def test_it_puts_our_long_messages_together(smsc: tuple[Smsc, int], concatenation: str) -> None:
    peer, port = smsc
    desk = Desk(Watch())
    provider = await bound(desk, port, concatenation=concatenation)
    text = "Счёт на 100 € готов. 🎈 " * 10
    texts = provider.split(text, "ucs2")
    if provider.whole:
        batch = [submission(text, 1, 0, len(texts), "ucs2")]
    else:
        batch = [submission(t, 1, n, len(texts), "ucs2") for n, t in enumerate(texts, 1)]
    provider.submit(batch)
    seen = [await peer.next("submit") for _ in batch]
    assert "".join(one["text"] for one in seen) == text
    assert [(await desk.outcome(s)).kind for s in batch] == [Kind.ACCEPTED] * len(batch)
    await provider.close(2.0)


async def test_a_pair_of_binds_and_a_subscribers_message(smsc: tuple[Smsc, int]) -> None:
    peer, port = smsc
    desk = Desk(Watch())
    provider = await bound(desk, port, bind_mode="pair", interface_version="5.0")
    await desk.watch.until(lambda: all(link.state == "bound" for link in provider.links()))
    kinds = {(await peer.next("bind"))["kind"] for _ in range(2)}
    assert kinds == {"bind_transmitter", "bind_receiver"}
    peer.deliver(source_addr="79161234567", destination_addr="1234", short_message="Да, конечно")
    assert (await peer.next("delivered"))["status"] == 0
    assert [(m.sender, m.text) for m in desk.inbound] == [("79161234567", "Да, конечно")]
    await provider.close(2.0)
