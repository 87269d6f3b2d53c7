"""Everything that a run needs, started fresh: Valkey, PostgreSQL, the sandbox SMSC, the gateway's processes, a key.

In: how the sandbox answers and how wide the window is. Out: addresses and process ids. Everything ends with this
process, and the directory is removed unless its place was named.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec

from bench.load import Order, Report
from bench.receiver import Receiver
from gateway.embedded.child import STANDS_BACK, command
from gateway.embedded.datadir import DataDir
from gateway.embedded.postgres import Postgres
from gateway.embedded.process import Process
from gateway.embedded.up import SPLIT, STANDING_BACK
from gateway.embedded.valkey import Valkey
from gateway.live.keys import publish
from gateway.store import keys
from gateway.store.migrate import migrate
from gateway.store.pool import Pool
from gateway.streams.link import Redis

CARRIER = "bench"
READY_S = 30.0
PLAN = """
[[carrier]]
name = "{carrier}"
provider = "smpp"
[carrier.settings]
host = "{host}"
port = {port}
system_id = "sandbox"
password = {{ file = "{password}" }}
window = {window}

[[operator]]
name = "any"
prefixes = ["7"]
country = "RU"

[[rate]]
carrier = "{carrier}"
price = "1.25"
currency = "RUB"

[[route]]
name = "all"
carriers = ["{carrier}"]
"""


class World:
    """The running servers. Made by `world`."""

    def __init__(self, directory: DataDir, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.valkey = Valkey(directory.valkey, directory.run, directory.log("valkey"))
        self.postgres = Postgres(directory.postgres, directory.run, directory.log("postgres"), settings)
        self.env = {
            "SLUICE_REDIS_URL": self.valkey.url,
            "SLUICE_POSTGRES_URL": self.postgres.url,
            "SLUICE_CALLBACKS_ALLOW": "127.0.0.0/8",
            "SLUICE_STATE_DIR": str(directory.state),
        }
        self.control = ""
        self.address = ""
        self.key = ""
        self.processes: dict[str, Process] = {}
        self.others: dict[str, int] = {}
        self.http: aiohttp.ClientSession
        self.sql: asyncpg.Connection

    @property
    def pids(self) -> dict[str, int]:
        """Roots of the process trees that are accounted for."""
        pids = {name: process.pid for name, process in self.processes.items()}
        return pids | {"valkey": self.valkey.pid, "postgres": self.postgres.pid} | self.others

    async def sandbox(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the sandbox's control port."""
        async with self.http.request(method, self.control + path, json=body) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read())

    @asynccontextmanager
    async def receiver(self, bundled: bool) -> AsyncIterator[Receiver]:
        """Applications' receiver; `bundled`: it is registered as an endpoint that takes many events at once."""
        receiver = await Receiver.start()
        self.others["receiver"] = receiver.pid
        if bundled:
            headers = {"Authorization": f"Bearer {self.key}"}
            body = {"url": receiver.url, "bundle": True}
            async with self.http.post(f"http://{self.address}/v1/endpoints", headers=headers, json=body) as response:
                response.raise_for_status()
        try:
            yield receiver
        finally:
            await receiver.stop()

    async def carrier(self, action: str) -> None:
        """pause or resume the carrier, as an operator does."""
        url, headers = f"http://{self.address}/v1/carriers", {"Authorization": f"Bearer {self.key}"}
        async with self.http.post(f"{url}/{CARRIER}/{action}", headers=headers) as response:
            response.raise_for_status()
        deadline, wanted = time.monotonic() + READY_S, action == "pause"
        while True:  # the order holds once the connector says so
            async with self.http.get(url, headers=headers) as response:
                (found,) = (c for c in (await response.json())["carriers"] if c["name"] == CARRIER)
            if (found["status"]["limited_by"] == "paused") is wanted or time.monotonic() > deadline:
                return
            await asyncio.sleep(0.005)

    def process(self, name: str, *arguments: str) -> Process:
        """A `sluice …` process, not yet started."""
        nice = STANDS_BACK if name in STANDING_BACK else 0
        process = Process(
            name, arguments, env=self.env, log=self.directory.log(name), run=self.directory.run, stop_s=20, nice=nice
        )
        self.processes[name] = process
        return process


@asynccontextmanager
async def world(
    profile: Mapping[str, Any], window: int, folder: Path | None, postgres: Mapping[str, str]
) -> AsyncIterator[World]:
    """Everything running and the carrier bound. `postgres`: settings of the server beside the usual ones."""
    async with AsyncExitStack() as stack:
        if folder is None:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            place = tempfile.mkdtemp(prefix="run-", dir=folder)
        directory = DataDir.open(Path(place))
        stack.callback(directory.close)
        w = World(directory, postgres)
        for server in (w.valkey, w.postgres):
            stack.push_async_callback(server.stop)
            await server.start()
        await migrate(w.postgres.url)
        w.http = await stack.enter_async_context(aiohttp.ClientSession())
        w.sql = await asyncpg.connect(w.postgres.url)
        stack.push_async_callback(w.sql.close)
        smpp = await _start_sandbox(w, stack, profile)
        await _apply_plan(w, smpp, window)
        w.key = await _make_key(w)
        await _start_gateway(w, stack)
        yield w


async def _start_sandbox(w: World, stack: AsyncExitStack, profile: Mapping[str, Any]) -> str:
    password = w.directory.secrets / "sandbox"
    w.directory.write_private(password, secrets.token_hex(4) + "\n")
    smpp = ("--smpp", "127.0.0.1:0", "--control", "127.0.0.1:0", "--password-file", str(password), "--no-keep")
    process = w.process("sandbox", "sandbox", *smpp)
    stack.push_async_callback(process.stop)
    await process.start()
    w.control = str(process.said["control"])
    await w.sandbox("PUT", "/profile", dict(profile))
    return str(process.said["smpp"])


async def _apply_plan(w: World, smpp: str, window: int) -> None:
    host, _, port = smpp.rpartition(":")
    document = w.directory.path / "plan.toml"
    password = w.directory.secrets / "sandbox"
    document.write_text(PLAN.format(carrier=CARRIER, host=host, port=port, password=password, window=window))
    await sluice(w, "plan", "apply", str(document), "--activate")


async def sluice(w: World, *arguments: str) -> None:
    """Run a `sluice` command to its end."""
    argv = [sys.executable, "-m", "gateway", *arguments]
    run = await asyncio.create_subprocess_exec(
        *command(argv, death=signal.SIGKILL),
        env=dict(os.environ) | w.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    if run.returncode:
        raise RuntimeError(f"sluice {' '.join(arguments)}: {said.decode()}")


async def _make_key(w: World) -> str:
    pool = await Pool.open(w.postgres.url, size=1)
    redis = await Redis.open(w.valkey.url, 1)
    try:
        _, secret = await keys.create_key(pool, "bench", who="bench", scopes=keys.SCOPES)
        await publish(pool, redis)
    finally:
        await redis.close()
        await pool.close()
    return secret


async def _start_gateway(w: World, stack: AsyncExitStack) -> None:
    others = [w.process(name, "run", "--roles", roles) for name, roles in SPLIT.items()]
    api = w.process("api", "run", "--roles", "api", "--listen", "127.0.0.1:0")
    for process in (*others, api):
        stack.push_async_callback(process.stop)
        await process.start()
    url = str(api.said["ready"])
    w.address = url.removeprefix("http://")
    deadline = time.monotonic() + READY_S
    while not await _ready(w, url):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the gateway was not ready within {READY_S:.0f} s; its logs: {w.directory.logs}")
        await asyncio.sleep(0.05)


async def _ready(w: World, url: str) -> bool:
    async with w.http.get(url + "/readyz") as response:
        if response.status != 200:
            return False
    return bool((await w.sandbox("GET", "/stats"))["binds_now"])


class Loader:
    """A load generator in a process of its own: `prepare`, then `go`, then `report`."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def prepare(self) -> None:
        """Start it; returns when all its requests are made and its connections open."""
        self._process = await asyncio.create_subprocess_exec(
            *command([sys.executable, "-m", "bench.load"], death=signal.SIGKILL),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=1 << 26,
        )
        await self._say(msgspec.json.encode(self._order))
        if await self._hear() != b"ready\n":
            raise RuntimeError("the load generator did not start")

    async def go(self) -> None:
        """Begin to send."""
        await self._say(b"go")

    async def report(self) -> Report:
        """Wait for its end."""
        line = await self._hear()
        await self._process.wait()
        return msgspec.json.decode(line, type=Report)

    async def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()

    async def _hear(self) -> bytes:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator stopped; see above")
        return line
