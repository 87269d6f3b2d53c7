"""Every PDU that we and the sandbox write, read by a dissector that nobody here wrote: tshark's."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from gateway.embedded.sandbox.profile import make_profile
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from gateway.provider import Sent, Submission
from gateway.smpp import pdu
from providers import smpp
from tests.contract.carrier import Desk, Watch
from tests.peers.capture import Tap
from tests.peers.programs import program

TABLES: tuple[dict[str, Any], ...] = (
    {"query": True, "cancel": True, "priority": {"otp": 3}, "tlvs": {"0x1400": {"string": "1101"}}},
    {"bind_mode": "pair", "concatenation": "sar", "validity_period": "absolute", "flash_classes": ["otp"]},
    {"concatenation": "message_payload", "flash_classes": ["otp"], "flash_by": "dest_addr_subunit"},
    {"concatenation": "udh16", "gsm7_alphabet": "gsm7_packed", "service_type": "CMT", "interface_version": "5.0"},
    {"interface_version": "3.3", "validity_period": "none"},
)


def submissions(provider: Any) -> list[Submission]:
    deadline_ms = int(time.time() * 1000) + 3_600_000
    made = []
    for number, (text, encoding) in enumerate(
        (("Your code is 1234", "gsm7"), ("5 € [net] " * 40, "gsm7"), ("Привет 🎈 " * 20, "ucs2")), 1
    ):
        texts = provider.split(text, encoding)
        parts = [(0, text)] if provider.whole else list(enumerate(texts, 1))
        made += [
            Submission(number.to_bytes(16, "big"), 1, part, len(texts), "+79161234567", "Sluice", one, encoding, 7,
                       deadline_ms, "otp", 10 * number + part)
            for part, one in parts
        ]  # fmt: skip
    return made


async def talk(sandbox: Sandbox, tap: Tap, table: dict[str, Any]) -> int:
    """A whole session: bind, submits, receipts, an inbound message, questions, unbind. How many it submitted."""
    desk, begun = Desk(Watch()), len(tap.passed)
    given = {"host": "127.0.0.1", "port": tap.port, "system_id": "me", "password": "secret", "enquire_link_s": 0.05}
    provider = smpp.open("acme", given | table, desk.reports())
    await provider.start()
    await desk.watch.until(lambda: all(link.state == "bound" for link in provider.links()))
    batch = submissions(provider)
    provider.submit(batch)
    outcomes = [await desk.outcome(s) for s in batch]
    await desk.watch.until(lambda: len(desk.receipts) >= len(batch))
    before = len(desk.inbound)
    ask = {"from": "+79160000001", "to": "1234", "text": "Да, конечно. " * 8}
    async with aiohttp.ClientSession() as http, http.post(f"{sandbox.control}/inbound", json=ask) as r:
        parts = (await r.json())["parts"]
    await desk.watch.until(lambda: len(desk.inbound) == before + parts)
    if provider.can_query:
        sent = Sent(outcomes[0].carrier_message_id, "Sluice", "+79161234567")
        await provider.query(sent)
        await provider.cancel(sent)
    async with asyncio.timeout(20):
        while not any(data[4:8] == b"\0\0\0\x15" for _, _, data in tap.passed[begun:]):  # a quiet moment: enquire_link
            await asyncio.sleep(0.01)
    await provider.close(2.0)
    return len(batch)


def dissected(tshark: str, capture: Path) -> tuple[list[int], list[str]]:
    """The commands, and what the dissector complains of."""
    command = [tshark, "-r", str(capture), "-d", "tcp.port==2775,smpp", "-T", "json", "-e", "smpp.command_id"]
    command += ["-e", "_ws.malformed", "-e", "_ws.expert.message", "-Y", "smpp"]
    command += ["-o", "tcp.check_checksum:FALSE", "-o", "ip.check_checksum:FALSE"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    layers = [packet["_source"]["layers"] for packet in json.loads(done.stdout)]
    commands = [int(one, 16) for layer in layers for one in layer.get("smpp.command_id", ())]
    complaints = [one for layer in layers for one in layer.get("_ws.malformed", ())]
    return commands, complaints + [
        one for layer in layers for one in layer.get("_ws.expert.message", ()) if "alformed" in one
    ]


async def test_not_one_pdu_of_ours_or_the_sandboxs_is_malformed(tmp_path: Path) -> None:
    tshark = program("tshark", "apt install tshark")
    sandbox = Sandbox(Smsc({"me": "secret"}, make_profile({})))
    await sandbox.open(("127.0.0.1", 0), ("127.0.0.1", 0))
    tap = Tap(int(sandbox.smpp.rpartition(":")[2]))
    await tap.open()
    submitted = sum([await talk(sandbox, tap, table) for table in TABLES])
    await tap.close()
    await sandbox.close()
    tap.write(tmp_path / "smpp.pcap")
    commands, complaints = await asyncio.to_thread(dissected, tshark, tmp_path / "smpp.pcap")
    seen = Counter(commands)
    assert not complaints and seen[0x04] == seen[0x80000004] == submitted
    assert {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x09, 0x15} <= set(seen)
    for request in (0x04, 0x05, 0x09, 0x15):
        assert seen[request] and seen[request] <= seen[request | 0x80000000] + 2


def test_a_pdu_that_is_malformed_would_be_noticed(tmp_path: Path) -> None:
    tshark = program("tshark", "apt install tshark")
    tap = Tap(0)
    body = pdu.encode_short_message(pdu.ShortMessage(source=b"1", dest=b"2", message=b"hello"))
    tap.passed = [(1, True, pdu.encode(pdu.SUBMIT_SM, 1, 0, body[:-8]))]
    tap.write(tmp_path / "damaged.pcap")
    assert dissected(tshark, tmp_path / "damaged.pcap")[1]
