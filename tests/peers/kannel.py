"""A Kannel of its own for a test: bearerbox with one SMPP link, smsbox with sendsms, a store that outlives a kill -9.

In: where its SMSC is, what to call for subscribers' messages. Out: its sendsms URL. It may be killed and started again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from tests.peers.programs import free_port, listening, program

DEADLINE_S: Final = 30
USER, PASSWORD = "tester", "foobar"
_CONFIG: Final = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = secret
smsbox-port = {box}
smsbox-interface = 127.0.0.1
dlr-storage = internal
store-type = spool
store-location = {store}
sms-resend-freq = 1
log-level = 2

group = smsc
smsc = smpp
smsc-id = sandbox
host = 127.0.0.1
port = {smsc}
transceiver-mode = 1
smsc-username = {user}
smsc-password = {password}
system-type = ""
msg-id-type = 0x00
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {send}
sendsms-interface = 127.0.0.1
http-request-retry = 100
http-queue-delay = 1
log-level = 2

group = sendsms-user
username = tester
password = foobar
concatenation = true
max-messages = 10

group = sms-service
keyword = default
accepted-smsc = sandbox
max-messages = 0
get-url = "{get_url}"
catch-all = true
"""


class KannelServer:
    """Life: `start`, perhaps `kill` and `start` again, `kill`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[asyncio.subprocess.Process] = []
        self._ports = {name: free_port() for name in ("admin", "box", "send")}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports['send']}/cgi-bin/sendsms"

    def configure(self, smsc: int, user: str, password: str, get_url: str) -> None:
        store = self._folder / "store"
        store.mkdir(exist_ok=True)
        given = {"smsc": smsc, "user": user, "password": password, "get_url": get_url, "store": store}
        (self._folder / "kannel.conf").write_text(_CONFIG.format(**given, **self._ports))

    async def start(self) -> None:
        quiet = asyncio.subprocess.DEVNULL
        for name, port in (("bearerbox", "admin"), ("smsbox", "send")):
            path = program(name, "apt install kannel")
            self._processes.append(
                await asyncio.create_subprocess_exec(
                    path, str(self._folder / "kannel.conf"), stdout=quiet, stderr=quiet, cwd=self._folder
                )
            )
            await listening(self._ports[port], DEADLINE_S)

    async def kill(self) -> None:
        """kill -9 of both."""
        for process in reversed(self._processes):
            if process.returncode is None:
                process.kill()
            await process.wait()
        self._processes.clear()
