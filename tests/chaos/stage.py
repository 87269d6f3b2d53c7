"""A gateway as `sluice up` splits it, with two carriers that run the profile `chaos` and write down what they took.

In: a directory. Out: `Stage`; each of its processes and servers can be killed and started again at its old address.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import aiohttp
import redis.asyncio as redis

from gateway.embedded.child import StartError, last_line
from gateway.embedded.datadir import DataDir
from gateway.embedded.up import LOOPBACK, SPLIT
from gateway.store.migrate import migrate
from tests.acceptance.gateway_world import Carrier, World, until
from tests.chaos.phones import Phones

PROCESSES = {"api": "api"} | SPLIT
CARRIERS = ("east", "west")
SERVERS = ("valkey", "postgres")
VICTIMS = (*PROCESSES, *CARRIERS, *SERVERS)
WINDOW = 100
LEASE_S = 2.0
GRACE_S = 1
READY_S = 60.0
PRICES_MICRO = {"east": 1_250_000, "west": 2_500_000}

_ROUTE = """
[[operator]]
name = "any"
prefixes = ["7"]
[[route]]
name = "all"
strategy = "weighted"
carriers = ["east", "west"]
"""


class Victim(Protocol):
    """What can be killed."""

    async def kill(self) -> None: ...

    async def start(self) -> None: ...


class Stage:
    """The gateway, its carriers' phones, and who can be killed, by name."""

    def __init__(self, w: World) -> None:
        self.world = w
        self.journals = {name: w.directory.path / f"{name}.jsonl" for name in CARRIERS}
        self.phones = Phones(self.journals)
        self.struck: set[str] = set()
        """Who is dead on purpose just now."""
        self.deaths: list[str] = []
        """Who ended without being killed, and its last words."""

    def victim(self, name: str) -> Victim:
        w = self.world
        if name in SERVERS:
            return w.valkey if name == "valkey" else w.postgres
        return w.carriers[name].process if name in w.carriers else w.processes[name]

    async def revive(self, name: str) -> None:
        """Start it again, as a supervisor does: until it runs. What it needs may be away as well."""
        deadline = time.monotonic() + READY_S
        while True:
            try:
                return await self.victim(name).start()
            except StartError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def supervise(self) -> None:
        """Until cancelled: who ends by himself is started again, as `sluice up` would, and told of in `deaths`."""
        w = self.world
        everybody = w.processes | {name: carrier.process for name, carrier in w.carriers.items()}
        while True:
            for name, process in everybody.items():
                if not process.pid and name not in self.struck:
                    self.deaths.append(f"{name} ended by itself: {last_line(process.log)}")
                    await self.revive(name)
            await asyncio.sleep(0.1)

    async def quiet_carriers(self) -> bool:
        """Whether no carrier has a receipt that it still wants to send."""
        stats = [await carrier.ask("GET", "/stats") for carrier in self.world.carriers.values()]
        waits = ("receipts_scheduled", "receipts_waiting", "receipts_unacked")
        return not sum(found[name] for found in stats for name in waits)

    async def queued(self) -> dict[str, int]:
        """What Redis holds of messages and facts: entries by key, empty ones left out."""
        found: dict[str, int] = {}
        sizes: dict[object, Callable[[str], Awaitable[int]]] = {b"stream": self.world.redis.xlen}
        sizes |= {b"zset": self.world.redis.zcard, b"hash": self.world.redis.hlen}
        parts = (":intake:", ":outbox:", ":again:", ":later", ":marks:", ":events")
        async for key in self.world.redis.scan_iter("{0}:*"):
            name = key.decode("latin-1")
            if any(part in name for part in parts) and (size := sizes.get(await self.world.redis.type(key))):
                found[name] = await size(name)
        return {name: size for name, size in found.items() if size}


@asynccontextmanager
async def stage(path: Path, *, window: int = WINDOW, cluster: Path | None = None) -> AsyncIterator[Stage]:
    """Everything running and bound. `cluster`: a migrated PostgreSQL data directory to begin with."""
    async with AsyncExitStack() as stack:
        directory = DataDir.open(path)
        stack.callback(directory.close)
        w = World(directory, 1, LEASE_S)
        w.env |= {"SLUICE_RECEIPT_GRACE_S": str(GRACE_S), "SLUICE_CALLBACKS_ALLOW": LOOPBACK}
        made = Stage(w)
        w.http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(15)))
        await _start_servers(w, stack, cluster)
        directory.write_private(directory.secrets / "carrier", secrets.token_hex(4) + "\n")
        for carrier in await asyncio.gather(*(_start_carrier(made, stack, name) for name in CARRIERS)):
            w.carriers[carrier.name] = carrier
        await _apply_plan(w, window)
        w.key = await w.make_key("shop")
        for name, roles in PROCESSES.items():
            listen = ("--listen", "127.0.0.1:0") if "api" in roles else ()
            w.processes[name] = w.process(name, "run", "--roles", roles, *listen)
            stack.push_async_callback(w.processes[name].stop)
        await asyncio.gather(*(process.start() for process in w.processes.values()))
        await until(w.bound, "the carriers to be bound", READY_S)
        await until(w.ready, "readiness", READY_S)
        yield made


async def _start_servers(w: World, stack: AsyncExitStack, cluster: Path | None) -> None:
    if cluster is not None:
        shutil.copytree(cluster, w.postgres.data)
    for server in (w.valkey, w.postgres):
        stack.push_async_callback(server.stop)
    await asyncio.gather(w.valkey.start(), w.postgres.start())
    await migrate(w.postgres.url)
    w.redis = redis.Redis(unix_socket_path=str(w.valkey.socket))
    stack.push_async_callback(w.redis.aclose)


async def _start_carrier(made: Stage, stack: AsyncExitStack, name: str) -> Carrier:
    w = made.world
    places = ["--smpp", "127.0.0.1:0", "--control", "127.0.0.1:0", "--keep", "1"]
    habits = ["--profile", "chaos", "--journal", str(made.journals[name])]
    password = ["--password-file", str(w.directory.secrets / "carrier")]
    process = w.process(f"carrier-{name}", "sandbox", *places, *habits, *password)
    stack.push_async_callback(process.stop)
    await process.start()
    for option, said in (("--smpp", "smpp"), ("--control", "control")):  # after a kill it is to be found again
        at = process.arguments.index(option) + 1
        process.arguments[at] = str(process.said[said]).removeprefix("http://")
    return Carrier(name, process, w.http)


async def _apply_plan(w: World, window: int) -> None:
    """The one is paid for what it takes, the other for what arrives."""
    billed = {name: f'billed_on = "{on}"' for name, on in zip(CARRIERS, ("submitted", "delivered"), strict=True)}
    prices = {name: f"{micro / 1e6:.6f}" for name, micro in PRICES_MICRO.items()}
    text = w.carriers_of_plan(window, billed, prices)
    document = w.directory.path / "plan.toml"
    document.write_text(text + _ROUTE)
    await w.sluice("plan", "apply", str(document), "--activate")
