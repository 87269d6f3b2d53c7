"""A Jasmin of its own for a test: jasmind with its receipts' parts, RabbitMQ and Valkey, one SMPP connector.

In: where its SMSC is, what to call for subscribers' messages. Out: its HTTP API. jasmind may be killed and started
again; RabbitMQ and Valkey, which hold what it has accepted, live on.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.embedded.child import command
from gateway.embedded.valkey import find_valkey
from tests.peers.programs import REPOSITORY, free_port, leave_out, listening, program

DEADLINE_S: Final = 60
VENV: Final = Path(os.environ.get("SLUICE_JASMIN_VENV") or REPOSITORY / ".jasmin")
INSTALL: Final = (
    "apt install rabbitmq-server; python3 -m venv .jasmin; .jasmin/bin/pip install jasmin==0.11.0; "
    "or SLUICE_JASMIN_VENV names where it is"
)
USER, PASSWORD = "tester", "foobar"
_RABBITMQ: Final = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""The program itself: what Debian has on PATH runs it as a user of its own, on the machine's only data directory."""

_PORTS: Final = ("http", "cli", "router", "clients", "smpps", "smpps_pb", "redis", "amqp", "dist", "epmd")
_DAEMON: Final = """
import runpy, sys
daemon = runpy.run_path(sys.argv[1])
options = daemon["Options"]()
options.parseOptions(sys.argv[2:])
daemon["JasminDaemon"](options).start()
daemon["reactor"].run()
"""
"""What `jasmind.py` does, without its lock: one for the whole machine, which a killed one leaves behind."""

_CONFIG: Final = """
[http-api]
bind = 127.0.0.1
port = {http}
long_content_max_parts = 10
[jcli]
port = {cli}
authentication = no
[router]
bind = 127.0.0.1
port = {router}
[client-management]
bind = 127.0.0.1
port = {clients}
[smpp-server]
bind = 127.0.0.1
port = {smpps}
[smpp-server-pb]
bind = 127.0.0.1
port = {smpps_pb}
[redis-client]
port = {redis}
[amqp-broker]
port = {amqp}
spec = {spec}
[dlr]
dlr_lookup_retry_delay = 1
dlr_lookup_max_retries = 100
[dlr-thrower]
retry_delay = 1
max_retries = 100
[deliversm-thrower]
retry_delay = 1
max_retries = 100
"""
_COMMANDS: Final = """
group -a
gid shop
ok
user -a
uid shop
gid shop
username {user}
password {password}
ok
smppccm -a
cid sandbox
host 127.0.0.1
port {smsc}
username {system_id}
password {secret}
bind transceiver
con_fail_delay 1
con_loss_delay 1
requeue_delay 1
submit_throughput 0
ok
smppccm -1 sandbox
mtrouter -a
type DefaultRoute
connector smppc(sandbox)
rate 0.0
ok
httpccm -a
cid gateway
url {hook}
method POST
ok
morouter -a
type DefaultRoute
connector http(gateway)
ok
persist
"""


class JasminServer:
    """Life: `open`, `configure`, perhaps `kill` and `start` again, `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: free_port() for name in _PORTS}
        self._servers: list[asyncio.subprocess.Process] = []
        self._daemon: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports['http']}"

    @property
    def log(self) -> str:
        """What it says of messages."""
        return (self._folder / "messages.log").read_text()

    async def open(self) -> None:
        """RabbitMQ, Valkey and a jasmind that knows nobody yet."""
        for folder in ("etc/jasmin/store", "etc/jasmin/resource"):
            (self._folder / folder).mkdir(parents=True)
        spec = next(VENV.glob("lib/python*/site-packages/txamqp/specs/standard/amqp0-9-1.stripped.xml"))
        (self._folder / "jasmin.cfg").write_text(_CONFIG.format(**self._ports, spec=spec))
        await asyncio.gather(self._start_rabbitmq(), self._start_valkey())
        await self.start()

    async def start(self) -> None:
        """jasmind, with what it was told to keep."""
        script, config = VENV / "bin" / "jasmind.py", self._folder / "jasmin.cfg"
        argv = [VENV / "bin" / "python", "-c", _DAEMON, script, "-c", config]
        paths = dict.fromkeys(("ROOT_PATH", "LOG_PATH"), str(self._folder))
        self._daemon = await self._spawn("jasmind", [*argv, "--enable-dlr-thrower", "--enable-dlr-lookup"], paths)
        await listening(self._ports["cli"], DEADLINE_S)

    async def configure(self, smsc: int, system_id: str, secret: str, hook: str) -> None:
        """One user, one SMSC, one address for subscribers' messages; kept for the next start."""
        given = {"smsc": smsc, "system_id": system_id, "secret": secret, "hook": hook}
        said = await self._tell(_COMMANDS.format(user=USER, password=PASSWORD, **given).strip().splitlines())
        assert said.count("Successfully") >= 6, said

    async def kill(self) -> None:
        """kill -9 of jasmind."""
        await _end(self._daemon)

    async def close(self) -> None:
        """All of it."""
        for process in (self._daemon, *reversed(self._servers)):
            await _end(process)

    async def _start_rabbitmq(self) -> None:
        ports, folder = self._ports, self._folder / "rabbitmq"
        folder.mkdir()
        here = {"ERL_EPMD_PORT": str(ports["epmd"]), "ERL_EPMD_ADDRESS": "127.0.0.1", "HOME": str(folder)}
        names = program("epmd", INSTALL)
        self._servers.append(await self._spawn("epmd", [names, "-port", ports["epmd"], "-address", "127.0.0.1"], here))
        await listening(ports["epmd"], DEADLINE_S)
        more = {
            "RABBITMQ_NODENAME": f"sluice{ports['amqp']}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(ports["amqp"]),
            "RABBITMQ_DIST_PORT": str(ports["dist"]),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        }
        self._servers.append(await self._spawn("rabbitmq", [_RABBITMQ], here | more))
        await listening(ports["amqp"], DEADLINE_S)

    async def _start_valkey(self) -> None:
        server, _ = find_valkey()
        port = self._ports["redis"]
        argv = [server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", self._folder]
        self._servers.append(await self._spawn("valkey", argv, {}))
        await listening(port, DEADLINE_S)

    async def _spawn(self, name: str, argv: Sequence[object], env: Mapping[str, str]) -> asyncio.subprocess.Process:
        """A process in a group of its own, which dies with us."""
        with (self._folder / f"{name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command([str(a) for a in argv], death=signal.SIGKILL),
                env=os.environ | env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )

    async def _tell(self, lines: Sequence[str]) -> str:
        """Type commands into its console, each when the last one's prompt has come; what it said."""
        async with asyncio.timeout(DEADLINE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._ports["cli"])
            said = await _prompt(reader)
            for line in lines:
                writer.write(f"{line}\r\n".encode())
                said += await _prompt(reader)
            writer.close()
            return said


async def _prompt(reader: asyncio.StreamReader) -> str:
    said = b""
    while not re.search(rb"(jcli : |> |Session ref: \d+\s+)$", said):
        read = await reader.read(65_536)
        assert read, f"the console closed: {said!r}"
        said += read
    return said.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process | None) -> None:
    if process is not None and process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def needs_jasmin() -> None:
    """Skips a test where it is not installed; no run requires it, because its packages are many."""
    if not (VENV / "bin" / "jasmind.py").exists() or not Path(_RABBITMQ).exists():
        leave_out("Jasmin and RabbitMQ", INSTALL)
    if any(VENV.glob("lib/python*/site-packages/jasmin-0.11.1.dist-info")):
        leave_out("a Jasmin that sends receipts", f"0.11.1 sends none; {INSTALL}")
