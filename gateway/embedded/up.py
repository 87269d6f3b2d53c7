"""`sluice up`, from an empty directory to a gateway that delivers: servers, schema, sandbox carrier, plan, stages, key.

In: a data directory, an address, what else `sluice run` may be told. Out: a running gateway until `stop` is set, then
everything stopped in reverse. Never: a message; what it starts talks to each other, not to this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec

from gateway.config import Settings
from gateway.embedded import seed
from gateway.embedded.address import ANY_PORT, check_free, parse, reachable
from gateway.embedded.child import STANDS_BACK, StartError, one_line
from gateway.embedded.datadir import DataDir
from gateway.embedded.machine import free_bytes
from gateway.embedded.postgres import Postgres
from gateway.embedded.process import Process
from gateway.embedded.supervise import Supervisor
from gateway.embedded.valkey import Valkey
from gateway.store.migrate import MigrationError, migrate
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import Redis, RedisAwayError, ScriptError

READY_TIMEOUT_S = 30.0
GATEWAY_STOP_S = 20.0
SANDBOX_STOP_S = 5.0
FULL_BYTES = 32 << 20
SPLIT = {"recorder": "recorder,receipts,notifier", "dispatch": "router,connector"}
"""Processes beside the api's own: a long turn of one of them keeps no request and no otp waiting."""
STANDING_BACK = frozenset({"recorder"})
"""Of these, who lets the others go first on a busy machine."""
LOOPBACK = "127.0.0.0/8,::1/128"
"""Where callbacks may go here though it is not public: an application under development is on this machine."""
UNLUCKY = (OSError, StoreAwayError, RedisAwayError, ScriptError, asyncpg.PostgresError)
"""What a machine can do to us between two steps: its disk fills, a server dies."""


class Progress(Protocol):
    """What a person sees meanwhile."""

    def begin(self, step: str) -> None: ...

    def done(self, step: str, detail: str) -> None: ...

    def broken(self, step: str) -> None: ...

    def note(self, line: str) -> None:
        """Something to know once it runs."""
        ...

    def ready(self, up: Ready) -> None: ...


class Ready(msgspec.Struct, frozen=True):
    """What a newcomer needs next."""

    url: str
    data: Path
    client_env: Path
    phones: str  # what the sandbox carrier's phones got
    metrics: tuple[str, ...]  # of each process
    seconds: float


class Up:
    """One run of `sluice up` on one directory."""

    def __init__(
        self,
        directory: DataDir,
        listen: str,
        config: Path | None,
        settings: Settings,
        progress: Progress,
        sandbox_profile: str = "",
    ) -> None:
        """`sandbox_profile`: the name of a profile or an absolute path; empty: a carrier that does everything well."""
        self._sandbox_profile = sandbox_profile
        self._dir = directory
        self._listen = listen
        self._config = config
        self._settings = settings
        self._progress = progress
        self._supervisor = Supervisor(self._noted)
        self._sandbox: Process
        self._carrier: seed.Sandbox
        self._stages: list[Process] = []
        self._launched: list[Process] = []
        self._secret = ""
        self._valkey = Valkey(directory.valkey, directory.run, directory.log("valkey"))
        tcp = parse(settings.bi_listen) if settings.bi_listen else None
        self._postgres = Postgres(directory.postgres, directory.run, directory.log("postgres"), tcp=tcp)

    async def run(self, stop: asyncio.Event) -> None:
        """Start, wait for `stop`, end in reverse order. Raises StartError."""
        stopped = asyncio.create_task(stop.wait(), name="wait for a signal")
        starting = asyncio.create_task(self._start(), name="start")
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return
            try:
                starting.result()
            except UNLUCKY as e:
                raise StartError(self._in_words(e)) from e
            failed = asyncio.create_task(self._supervisor.failed(), name="wait for a failure")
            await asyncio.wait({failed, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failed.result()
            failed.cancel()
        finally:
            stopped.cancel()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            if self._supervisor.services or self._launched:
                self._progress.begin("stop")
                await self._supervisor.stop()
                for process in self._launched:  # before they were started
                    await process.kill()
                self._progress.done("stop", "nothing is left running")

    def _in_words(self, error: Exception) -> str:
        if free_bytes(self._dir.path) < FULL_BYTES:
            return f"the disk of {self._dir.path} is full"
        return f"the start broke off: {one_line(error)} (see {self._dir.logs})"

    async def kill(self) -> None:
        """End at once, as a crash would; nothing that was accepted is lost by it."""
        await self._supervisor.kill()

    async def _start(self) -> None:
        began = time.monotonic()
        self._sandbox, self._stages = self._make_sandbox(), self._make_stages()
        processes = (self._sandbox, *self._stages)
        for process in processes:  # of a start that was killed
            await process.end_leftover()
        check_free(self._listen)
        for process in processes:  # they load while the servers start
            self._launched.append(process)
            await process.launch()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._servers(), name="start servers")
                group.create_task(self._step("sandbox carrier", self._start_sandbox()), name="start sandbox")
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        await self._step("plan", self._seed())
        await self._step("gateway", self._gateway())
        metrics = self._write_client_env()
        url = reachable(self._stages[0].said["ready"])
        self._dir.hold(f"`sluice up` on {url}")
        phones, seconds = f"http://{self._carrier.control}/messages", time.monotonic() - began
        self._progress.ready(Ready(url, self._dir.path, self._dir.client_env, phones, metrics, seconds))

    def _noted(self, line: str) -> None:
        """A process that was started again has its metrics elsewhere."""
        self._progress.note(line)
        if self._stages and all(process.said for process in self._stages):
            with contextlib.suppress(OSError):  # a full disk must not keep a process from being started again
                self._write_client_env()

    def _write_client_env(self) -> tuple[str, ...]:
        """Tell `sluice` where everything is; the processes' pages of metrics."""
        places = {process.name: reachable(process.said["ready"]) for process in self._stages}
        metrics = {name: f"{place}/metrics" for name, place in places.items()}
        seed.write_client_env(self._dir, places["api"], self._secret, metrics)
        return tuple(metrics.values())

    async def _step(self, name: str, work: Coroutine[Any, Any, str]) -> None:
        self._progress.begin(name)
        try:
            detail = await work
        except BaseException:
            self._progress.broken(name)
            raise
        self._progress.done(name, detail)

    async def _servers(self) -> None:
        async def valkey() -> str:
            await self._supervisor.start(self._valkey)
            return f"{self._valkey.version}, every write synced to disk"

        async def postgres() -> str:
            await self._supervisor.start(self._postgres)
            return self._postgres.version

        async def store() -> None:
            await self._step("PostgreSQL", postgres())
            await self._step("schema", self._migrate())

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._step("Valkey", valkey()), name="start valkey")
                group.create_task(store(), name="start postgres")
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _migrate(self) -> str:
        try:
            applied = await migrate(self._postgres.url)
        except MigrationError as e:
            raise StartError(f"the schema cannot be brought up to date: {one_line(e)}") from e
        return f"{len(applied)} migrations applied" if applied else "up to date"

    def _make_sandbox(self) -> Process:
        """The sandbox carrier where it was, if that is free."""
        wanted = seed.recall_sandbox(self._dir).free()
        arguments = ["sandbox", "--smpp", wanted.smpp, "--control", wanted.control, "--web", wanted.web]
        arguments += ["--password-file", str(seed.sandbox_password(self._dir))]
        arguments += ["--profile", self._sandbox_profile] if self._sandbox_profile else []
        return self._process("sandbox", arguments, {}, SANDBOX_STOP_S)

    async def _start_sandbox(self) -> str:
        process = self._sandbox
        try:
            await self._supervisor.start(process)
        except StartError:  # another program may have taken its place since it was seen to be free
            process.arguments[2:7:2] = [ANY_PORT] * 3
            await self._supervisor.start(process)
        self._carrier = seed.Sandbox.told(process.said)
        process.arguments[2:7:2] = self._carrier.smpp, self._carrier.control, self._carrier.web  # there after a crash
        seed.remember_sandbox(self._dir, self._carrier)
        return f"speaks SMPP on {process.said['smpp']}, and HTTP on {process.said['web']}"

    async def _seed(self) -> str:
        async with AsyncExitStack() as stack:
            pool = await Pool.open(self._postgres.url, size=2)
            stack.push_async_callback(pool.close)
            redis = await Redis.open(self._valkey.url, self._settings.shards)
            stack.push_async_callback(redis.close)
            plan = await seed.sample_plan(self._dir, pool, redis, self._carrier)
            self._secret = await seed.first_key(self._dir, pool, redis)
        return plan

    def _make_stages(self) -> list[Process]:
        """The stages, as the default split has them, the api first."""
        servers = {"SLUICE_REDIS_URL": self._valkey.url, "SLUICE_POSTGRES_URL": self._postgres.url}
        if not self._settings.cache_dir:
            servers["SLUICE_CACHE_DIR"] = str(self._dir.cache)
        if not self._settings.state_dir:
            servers["SLUICE_STATE_DIR"] = str(self._dir.state)
        if not self._settings.callbacks_allow:
            servers["SLUICE_CALLBACKS_ALLOW"] = LOOPBACK
        config = ["--config", str(self._config)] if self._config else []
        pages = {} if self._settings.metrics_listen else {"SLUICE_METRICS_LISTEN": ANY_PORT}

        def stages(name: str, roles: str, env: dict[str, str], *arguments: str) -> Process:
            nice = STANDS_BACK if name in STANDING_BACK else 0
            run = ["run", *arguments, "--told", "--roles", roles, *config]
            return self._process(name, run, servers | env, GATEWAY_STOP_S, nice)

        api = stages("api", "api", {}, "--listen", self._listen)
        return [api, *(stages(name, roles, pages) for name, roles in SPLIT.items())]

    async def _gateway(self) -> str:
        """Start the stages; return when the api is ready for requests."""
        api, *others = self._stages
        await self._supervisor.start(api)
        api.arguments[2] = fixed(self._listen, api.said["ready"])  # and there again after a crash
        # The others tell carriers where the api takes webhooks, so it has its port first.
        for process in others:
            process.told = {"SLUICE_CALLBACKS_URL": self._callbacks_url(reachable(api.said["ready"]))}
        try:
            async with asyncio.TaskGroup() as group:
                for process in others:
                    group.create_task(self._supervisor.start(process), name=f"start {process.name}")
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        if not await api.until("able", READY_TIMEOUT_S):
            raise StartError(f"the gateway was not ready within {READY_TIMEOUT_S:.0f} s: {api.said.get('waits')}")
        return "; ".join(("api", *(roles.replace(",", ", ") for roles in SPLIT.values())))

    def _callbacks_url(self, api: str) -> str:
        """Where carriers on this machine reach us, unless the settings say where others do."""
        c = self._settings
        return c.callbacks_url or (reachable(f"http://{c.callbacks_listen}") if c.callbacks_listen else api)

    def _process(self, name: str, arguments: list[str], env: dict[str, str], stop_s: float, nice: int = 0) -> Process:
        log, run = self._dir.log(name), self._dir.run
        return Process(name, arguments, env=env, log=log, run=run, stop_s=stop_s, nice=nice)


@contextmanager
def open_up(
    data: Path, listen: str, config: Path | None, settings: Settings, progress: Progress, sandbox_profile: str = ""
) -> Iterator[Up]:
    """Take the directory. Raises StartError with one line."""
    directory = DataDir.open(data)
    try:
        yield Up(directory, listen, config, settings, progress, sandbox_profile)
    finally:
        directory.close()


def fixed(listen: str, url: str) -> str:
    """The address to listen on after a restart: where it was, when a free port had been asked for."""
    host, _, port = listen.rpartition(":")
    return f"{host}:{url.rpartition(':')[2]}" if port == "0" else listen
