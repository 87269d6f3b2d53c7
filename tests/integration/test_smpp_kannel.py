"""The sandbox as an SMSC of Kannel, a gateway that nobody here wrote: bearerbox binds, sends and gets receipts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web

from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from tests.peers.programs import program

DEADLINE_S = 30
CONFIG = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = secret
smsbox-port = {box}
smsbox-interface = 127.0.0.1
dlr-storage = internal
log-level = 2

{links}
group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {send}
sendsms-interface = 127.0.0.1
log-level = 2

group = sendsms-user
username = tester
password = foobar
concatenation = true
max-messages = 6

group = sms-service
keyword = default
accepted-smsc = sandbox
max-messages = 0
get-url = "http://127.0.0.1:{web}/inbound?from=%p&to=%P&text=%a"
catch-all = true
"""

LINK = """group = smsc
smsc = smpp
smsc-id = sandbox
host = 127.0.0.1
{port}
smsc-username = me
smsc-password = secret
system-type = ""
msg-id-type = 0x00
reconnect-delay = 1
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
        return port


class Kannel:
    """bearerbox and smsbox beside a sandbox, and what they report by HTTP."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox = folder, sandbox
        self.heard: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.ports: dict[str, int] = {}
        self.processes: list[asyncio.subprocess.Process] = []
        self._runner = web.ServerRunner(web.Server(self._hear, access_log=None))

    async def start(self, *links: str) -> None:
        """`links`: what its groups `smsc` say of their port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        names = ("admin", "box", "send")
        smsc = int(self.sandbox.smpp.rpartition(":")[2])
        self.ports = {name: free_port() for name in names} | {"web": self._runner.addresses[0][1]}
        file = self.folder / "kannel.conf"
        joined = "\n".join(LINK.format(port=link.format(port=smsc)) for link in links)
        file.write_text(CONFIG.format(links=joined, **self.ports))
        for name in ("bearerbox", "smsbox"):
            path, quiet = program(name, "apt install kannel"), asyncio.subprocess.DEVNULL
            self.processes.append(
                await asyncio.create_subprocess_exec(path, str(file), stdout=quiet, stderr=quiet, cwd=self.folder)
            )
            await self._listening(self.ports["admin"] if name == "bearerbox" else self.ports["send"])

    async def stop(self) -> None:
        for process in reversed(self.processes):
            if process.returncode is None:
                process.kill()
            await process.wait()
        await self._runner.cleanup()

    async def until_bound(self, kinds: set[str]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while {s.kind for s in self.sandbox.smsc.sessions} != kinds:
                await asyncio.sleep(0.02)

    async def send(self, text: str, **more: str) -> None:
        dlr = f"http://127.0.0.1:{self.ports['web']}/receipt?state=%d&to=%p&id=%F"
        query = {"username": "tester", "password": "foobar", "from": "Shop", "to": "79161234567", "text": text}
        query |= {"dlr-mask": "3", "dlr-url": dlr} | more
        url = f"http://127.0.0.1:{self.ports['send']}/cgi-bin/sendsms?{urlencode(query)}"
        async with aiohttp.ClientSession() as http, http.get(url) as r:
            assert r.status == 202, await r.text()

    async def next(self) -> dict[str, str]:
        async with asyncio.timeout(DEADLINE_S):
            return await self.heard.get()

    async def shown(self, count: int) -> list[str]:
        """What the phone shows, once that many messages are whole."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = self.sandbox.smsc.handset.show("79161234567", 100)
                if len([m for m in found if not m.missing]) >= count:
                    return [m.text for m in found]
                await asyncio.sleep(0.02)

    async def _hear(self, request: web.BaseRequest) -> web.StreamResponse:
        self.heard.put_nowait({"path": request.path, **request.query})
        return web.Response(text="")

    async def _listening(self, port: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return


@pytest.fixture
async def kannel(tmp_path: Path) -> AsyncIterator[Kannel]:
    for name in ("bearerbox", "smsbox"):
        program(name, "apt install kannel")
    sandbox = Sandbox(Smsc({"me": "secret"}))
    await sandbox.open(("127.0.0.1", 0), ("127.0.0.1", 0))
    made = Kannel(tmp_path, sandbox)
    yield made
    await made.stop()
    await sandbox.close()


async def test_it_sends_short_and_long_texts_and_gets_its_receipts(kannel: Kannel) -> None:
    await kannel.start("port = {port}\ntransceiver-mode = 1")
    await kannel.until_bound({"transceiver"})
    await kannel.send("Price: 5 € [net]")
    receipt = await kannel.next()
    assert (receipt["path"], receipt["state"], receipt["to"]) == ("/receipt", "1", "79161234567")
    long = "Счёт на 100 € готов. 🎈 " * 8
    await kannel.send(long, coding="2", charset="UTF-8")
    assert (await kannel.next())["state"] == "1"
    assert await kannel.shown(2) == ["Price: 5 € [net]", long]


async def test_it_gets_what_a_subscriber_writes_on_the_receiver_of_a_pair(kannel: Kannel) -> None:
    await kannel.start("port = {port}\ntransceiver-mode = 0", "receive-port = {port}")
    await kannel.until_bound({"transmitter", "receiver"})
    ask = {"from": "+79160000001", "to": "1234", "text": "Hello"}
    async with aiohttp.ClientSession() as http, http.post(f"{kannel.sandbox.control}/inbound", json=ask) as r:
        assert r.status == 200
    heard = await kannel.next()
    assert (heard["path"], heard["from"].lstrip("+"), heard["text"]) == ("/inbound", "79160000001", "Hello")
