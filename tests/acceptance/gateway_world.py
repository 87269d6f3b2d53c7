"""A gateway for tests that break it: own Valkey and PostgreSQL, carriers, and processes with the roles one asks for.

In: which carriers, which processes. Out: `World`; every part of it can be killed, stopped, paused and started again.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import asyncpg
import redis.asyncio as redis

from gateway.embedded.child import command, last_line
from gateway.embedded.datadir import DataDir
from gateway.embedded.postgres import Postgres
from gateway.embedded.process import Process
from gateway.embedded.valkey import Valkey
from gateway.live.keys import publish
from gateway.store import keys
from gateway.store.migrate import migrate
from gateway.store.pool import Pool
from gateway.streams.link import Redis

T = TypeVar("T")
READY_S = 30.0
TAKEOVER_S = 10.0
"""Another live process has a dead or paused one's work after this time."""

WINDOW = 100
ON_WIRE = WINDOW
"""At most so many messages are in doubt when a carrier's connector dies or sleeps."""

FULL = bool(os.environ.get("SLUICE_TEST_FULL"))
"""Whether tests run with as much as the guarantees speak of (`make test-full`), and not with a tenth of it."""

SLOW = {"answer_delay_ms": 40, "receipt_delay_s": 0.5}
"""A carrier with which part of a window is always on the wire, and whose receipts come later."""

LEASE_S = 2.0
UNSYNCED = {"fsync": "off", "shared_buffers": "64MB"}  # a killed process loses nothing by it; only a power cut would
SPLIT = {"api": "api", "router": "router", "connector": "connector", "recorder": "recorder,receipts"}
"""One process a role."""

PLAN = """
[[carrier]]
name = "{name}"
provider = "smpp"
{more}
[carrier.settings]
host = "127.0.0.1"
port = {port}
system_id = "sandbox"
password = {{ file = "{password}" }}
window = {window}
reconnect_max_s = 2
[[rate]]
carrier = "{name}"
price = "{price}"
currency = "RUB"
"""
ROUTE = """
[[operator]]
name = "any"
prefixes = ["7"]
[[route]]
name = "all"
carriers = [{names}]
"""


async def until(condition: Callable[[], Awaitable[T]], what: str, deadline_s: float = 60.0) -> T:
    """What `condition` gives as soon as it is true."""
    deadline = time.monotonic() + deadline_s
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"waited {deadline_s} s for {what}"
        await asyncio.sleep(0.02)
    return found


def code_of(release: Path | None) -> dict[str, str]:
    """The environment in which Python finds the code of this folder first, and measures no coverage of it."""
    if release is None:
        return {}
    names = (name for name in os.environ if name.startswith("COVERAGE_PROCESS"))
    return {"PYTHONPATH": str(release), "PYTHONSAFEPATH": "1"} | dict.fromkeys(names, "")


class Carrier:
    """A sandbox SMSC in a process of its own."""

    def __init__(self, name: str, process: Process, http: aiohttp.ClientSession) -> None:
        self.name, self.process = name, process
        self._http = http

    @property
    def port(self) -> int:
        return int(str(self.process.said["smpp"]).rpartition(":")[2])

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask its control port."""
        async with self._http.request(method, str(self.process.said["control"]) + path, json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def submits(self) -> int:
        """Parts that reached it and were taken, so far."""
        stats = await self.ask("GET", "/stats")
        return int(stats["submits"] - stats["refused"])

    async def texts(self) -> list[str]:
        """The text of every message that its phones got; one that came twice is there twice."""
        shown = await self.ask("GET", "/messages?limit=1000000")
        return [message["text"] for message in shown["messages"]]

    async def die(self) -> None:
        """End all binds and refuse new ones."""
        await self.ask("PATCH", "/profile", {"bind_status": 0x0D})
        await self.ask("POST", "/disconnect", {"how": "close"})


class World:
    """The running servers. Made by `world`."""

    def __init__(self, directory: DataDir, shards: int, lease_s: float) -> None:
        self.directory, self.shards = directory, shards
        self.valkey = Valkey(directory.valkey, directory.run, directory.log("valkey"), maxmemory_bytes=512 << 20)
        self.postgres = Postgres(directory.postgres, directory.run, directory.log("postgres"), UNSYNCED)
        self.env = {
            "SLUICE_REDIS_URL": self.valkey.url,
            "SLUICE_POSTGRES_URL": self.postgres.url,
            "SLUICE_SHARDS": str(shards),
            "SLUICE_LEASE_S": str(lease_s),
            "SLUICE_STATE_DIR": str(directory.state),
        }
        self.carriers: dict[str, Carrier] = {}
        self.processes: dict[str, Process] = {}
        self.key = ""
        self.http: aiohttp.ClientSession
        self.redis: redis.Redis

    @property
    def urls(self) -> list[str]:
        """Of the processes that serve the API."""
        said = [str(p.said.get("ready", "")) for p in self.processes.values() if p.pid]
        return [url for url in said if url]

    def process(self, name: str, *arguments: str, release: Path | None = None) -> Process:
        """A `sluice …` process, not yet started; `release`: of the code in this folder instead of ours."""
        log, env = self.directory.log(name), self.env | code_of(release)
        return Process(name, arguments, env=env, log=log, run=self.directory.run, stop_s=25)

    def last_words(self) -> dict[str, str]:
        """What each server and process logged last."""
        return {log.stem: last_line(log) for log in sorted(self.directory.logs.iterdir())}

    async def submits(self) -> int:
        """Parts that carriers took, so far."""
        return sum([await carrier.submits() for carrier in self.carriers.values()])

    async def reached(self, submits: int) -> None:
        """Wait until carriers have taken so many parts."""

        async def enough() -> bool:
            return await self.submits() >= submits

        await until(enough, f"{submits} submits")

    async def rows(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Ask PostgreSQL."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            found: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return found
        finally:
            await connection.close()

    async def post(self, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """Ask some API process; raises aiohttp's errors."""
        headers = {"Authorization": f"Bearer {key or self.key}"}
        async with self.http.post(secrets.choice(self.urls) + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> tuple[int, Any]:
        """Ask some API process."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.http.get(secrets.choice(self.urls) + path, headers=headers) as response:
            return response.status, await response.json()

    async def sluice(self, *arguments: str, release: Path | None = None) -> str:
        """Run a `sluice` command to its end; what it said."""
        run = await asyncio.create_subprocess_exec(
            *command([sys.executable, "-m", "gateway", *arguments], death=signal.SIGKILL),
            env=dict(os.environ) | self.env | code_of(release),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await run.communicate()
        assert run.returncode == 0, said.decode()
        return said.decode()

    async def apply_plan(
        self, *, window: int = WINDOW, rates: Mapping[str, float] | None = None, release: Path | None = None
    ) -> None:
        """Make a plan live that routes everything over all carriers, in their order."""
        text = self.carriers_of_plan(window, {name: f"rate_per_s = {rate}" for name, rate in (rates or {}).items()})
        document = self.directory.path / "plan.toml"
        document.write_text(text + ROUTE.format(names=", ".join(f'"{name}"' for name in self.carriers)))
        await self.sluice("plan", "apply", str(document), "--activate", release=release)

    def carriers_of_plan(self, window: int, more: Mapping[str, str], prices: Mapping[str, str] | None = None) -> str:
        """The carriers' part of a plan; `more`: a line for some of them."""
        password, prices = self.directory.secrets / "carrier", prices or {}
        return "".join(
            PLAN.format(
                name=name,
                more=more.get(name, ""),
                port=carrier.port,
                password=password,
                window=window,
                price=prices.get(name, "1.25"),
            )
            for name, carrier in self.carriers.items()
        )

    async def make_key(self, client: str) -> str:
        """A key of a client, with every scope."""
        pool = await Pool.open(self.postgres.url, size=1)
        link = await Redis.open(self.valkey.url, self.shards)
        try:
            _, secret = await keys.create_key(pool, client, who="test", scopes=keys.SCOPES)
            await publish(pool, link)
        finally:
            await link.close()
            await pool.close()
        return secret

    async def make_key_of(self, release: Path, client: str) -> str:
        """The same, by another release, which knows its own schema."""
        scopes = ",".join(keys.SCOPES)
        said = await self.sluice("keys", "create", "--client", client, "--scopes", scopes, "--json", release=release)
        found = re.search(r'"secret": ?"([^"]+)"', said)
        assert found, "no secret was shown"
        return found[1]

    async def owner(self, lease: str) -> tuple[str, int]:
        """The process that holds a lease, and the lease's token."""
        owner, token = [str(await self.redis.hget(lease, field), "ascii") for field in ("owner", "token")]  # type: ignore
        pid = int(owner.split(":")[1])
        return next(name for name, process in self.processes.items() if process.pid == pid), int(token)

    async def bound(self) -> bool:
        """Whether every carrier has a bind."""
        return all([(await c.ask("GET", "/stats"))["binds_now"] for c in self.carriers.values()])

    async def ready(self) -> bool:
        """Whether every API process says that it is ready."""
        for url in self.urls:
            async with self.http.get(url + "/readyz") as response:
                if response.status != 200:
                    return False
        return True


@asynccontextmanager
async def world(
    path: Path,
    *,
    processes: Mapping[str, str] = SPLIT,
    carriers: Sequence[str] = ("one",),
    profile: Mapping[str, Any] | None = None,
    shards: int = 1,
    lease_s: float = LEASE_S,
    cluster: Path | None = None,
    rates: Mapping[str, float] | None = None,
    release: Path | None = None,
) -> AsyncIterator[World]:
    """Everything running and bound. `processes`: roles by name; `profile`: how carriers behave; `cluster`: a migrated
    PostgreSQL data directory to begin with; `release`: whose schema and processes these are, if not ours."""
    async with AsyncExitStack() as stack:
        directory = DataDir.open(path)
        stack.callback(directory.close)
        w = World(directory, shards, lease_s)
        w.http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(15)))
        await _start_servers(w, stack, cluster)
        await (migrate(w.postgres.url) if release is None else w.sluice("db", "migrate", release=release))
        w.redis = redis.Redis(unix_socket_path=str(w.valkey.socket))
        stack.push_async_callback(w.redis.aclose)
        directory.write_private(directory.secrets / "carrier", secrets.token_hex(4) + "\n")
        started = await asyncio.gather(*(_start_carrier(w, stack, name, profile or {}) for name in carriers))
        w.carriers = {carrier.name: carrier for carrier in started}  # in the order of preference
        await w.apply_plan(rates=rates, release=release)
        w.key = await (w.make_key("shop") if release is None else w.make_key_of(release, "shop"))
        for name, roles in processes.items():
            listen = ("--listen", "127.0.0.1:0") if "api" in roles else ()
            w.processes[name] = w.process(name, "run", "--roles", roles, *listen, release=release)
            stack.push_async_callback(w.processes[name].stop)
        await asyncio.gather(*(process.start() for process in w.processes.values()))
        await until(w.bound, "the carriers to be bound", READY_S)
        await until(w.ready, "readiness", READY_S)
        yield w


async def _start_servers(w: World, stack: AsyncExitStack, cluster: Path | None) -> None:
    if cluster is not None:
        shutil.copytree(cluster, w.postgres.data)
    for server in (w.valkey, w.postgres):
        stack.push_async_callback(server.stop)
    await asyncio.gather(w.valkey.start(), w.postgres.start())


async def _start_carrier(w: World, stack: AsyncExitStack, name: str, profile: Mapping[str, Any]) -> Carrier:
    places = ("--smpp", "127.0.0.1:0", "--control", "127.0.0.1:0", "--keep", "1000000" if FULL else "100000")
    password = str(w.directory.secrets / "carrier")
    carrier = Carrier(name, w.process(f"carrier-{name}", "sandbox", *places, "--password-file", password), w.http)
    stack.push_async_callback(carrier.process.stop)
    await carrier.process.start()
    await carrier.ask("PUT", "/profile", dict(profile))
    return carrier
