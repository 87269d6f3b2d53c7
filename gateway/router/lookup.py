"""Asks an HTTP service (HLR, ported numbers) who has a number, for lanes whose messages are worth it.

In: the plan's `[lookup]`, entries about to be routed. Out: answers in this process' memory and in Redis, which the
directory of `plan()` listens to. Never on the hot path: a lane waits aside for as long as one request may take, once a
number; then its messages go by what is known. Every failure is remembered with its reason, and shows in the source.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from gateway import credentials, logs, metrics
from gateway.message import UnknownVersionError
from gateway.numbering.directory import Directory
from gateway.plan.choice import Compiled
from gateway.plan.document import Lookup
from gateway.plan.rates import micro
from gateway.router.answers import Answers, Listening
from gateway.streams.link import Redis, RedisAwayError, ScriptError
from gateway.streams.packs import Entry

if TYPE_CHECKING:
    import aiohttp  # loaded when the first number is asked for: most plans have no `[lookup]`

log = logs.stage("router")

AT_ONCE: Final = 64
"""Requests under way in one process."""
BREAK_AFTER: Final = 10
BREAK_S: Final = 10.0
"""After so many failures one after the other nobody is asked for so long."""

_GRACE_S: Final = 0.1
_MAX_ANSWER_BYTES: Final = 65_536
_KEPT_DAYS_S: Final = 3 * 86_400


class Lookups:
    """One a process. Life: `run()` until cancelled; before it runs nobody waits."""

    def __init__(self, redis: Redis, plan: Callable[[], Compiled | None]) -> None:
        self._link, self._plan = redis.link(None), plan
        self.answers = Answers()
        self._asked: dict[str, float] = {}  # number → until when its messages wait (loop's clock)
        self._tasks: asyncio.TaskGroup | None = None
        self._closing = AsyncExitStack()
        self._service: _Service | None = None
        self._lock = asyncio.Lock()
        self._heard: tuple[Compiled, Compiled] | None = None  # the plan, and the same with a directory that listens

    def plan(self) -> Compiled | None:
        """The plan in use; where it has a `[lookup]`, numbers belong to whom lookups said."""
        current = self._plan()
        if current is None or current.plan.lookup is None or not isinstance(current.directory, Directory):
            return current
        if self._heard is None or self._heard[0] is not current:
            self._heard = current, current.with_data(directory=Listening(current.directory, self.answers))
        return self._heard[1]

    def wait(self, klass: str, entries: Sequence[Entry], ready: Callable[[], None]) -> float:
        """Until when (loop's clock) these should wait for lookups that are under way or begin now; 0: they need not.
        `ready` is called when all that begin now are over."""
        current = self._plan()
        lookup = current.plan.lookup if current is not None else None
        if lookup is None or self._tasks is None or (lookup.classes and klass not in lookup.classes):
            return 0.0
        assert current is not None
        if not isinstance(current.directory, Directory):
            return 0.0
        now = asyncio.get_running_loop().time()
        until, missing = 0.0, []
        for to in _numbers(entries):
            if self.answers.knows(to):
                continue
            if (deadline := self._asked.get(to)) is not None:
                until = max(until, deadline)
            elif _applies(lookup, current, to):
                missing.append(to)
        if missing:
            until = now + lookup.timeout_ms / 1000 + _GRACE_S
            self._asked.update(dict.fromkeys(missing, until))
            zone = current.plan.defaults.timezone
            self._tasks.create_task(self._look(lookup, zone, missing, ready), name="lookups")
        return until if until > now else 0.0

    async def run(self) -> None:
        """Ask while there is something to ask. Runs until cancelled."""
        async with AsyncExitStack() as self._closing:
            if (current := self._plan()) is not None and current.plan.lookup is not None:
                await self._ready_service()  # else with the first number, which may then be late
            try:
                async with asyncio.TaskGroup() as self._tasks:
                    await asyncio.Event().wait()
            finally:
                self._tasks = None

    async def _ready_service(self) -> _Service:
        async with self._lock:
            if self._service is None:
                http = await asyncio.to_thread(importlib.import_module, "aiohttp")
                connector = http.TCPConnector(limit=AT_ONCE)
                session = http.ClientSession(timeout=http.ClientTimeout(total=None), connector=connector)
                self._service = _Service(await self._closing.enter_async_context(session))
            return self._service

    async def _look(self, lookup: Lookup, zone: str, numbers: list[str], ready: Callable[[], None]) -> None:
        """Learn who has these numbers, or why that cannot be said."""
        try:
            left = await self._remembered(lookup, numbers)
            granted = await self._granted(lookup, zone, len(left))
            for to in left[granted:]:
                self._failed(to, "budget")
            await asyncio.gather(*(self._ask(lookup, to) for to in left[:granted]))
        except (RedisAwayError, ScriptError):
            pass  # routing stands still as well
        finally:
            for to in numbers:
                self._asked.pop(to, None)
                if not self.answers.knows(to):
                    self._failed(to, "failed")
            ready()

    async def _remembered(self, lookup: Lookup, numbers: list[str]) -> list[str]:
        """Take what other processes, or this one before a restart, have asked for; the others."""
        found = await self._link.call(b"MGET", *(self._key(to) for to in numbers))
        until = time.monotonic() + lookup.cache_hours * 3600 / 2  # Redis forgets at its own time: look again half-way
        for to, name in zip(numbers, found, strict=True):
            if name:
                self.answers.put(to, name.decode(), until)
                metrics.lookups.labels("remembered").inc()
        return [to for to, name in zip(numbers, found, strict=True) if not name]

    async def _granted(self, lookup: Lookup, zone: str, wanted: int) -> int:
        """How many of so many lookups the day's budget pays for. What they cost is booked before they are made."""
        price = micro(lookup.price) if lookup.price is not None else 0
        if not (price and wanted and lookup.budget is not None):
            return wanted
        key = f"{self._link.prefix}lookups:{datetime.now(ZoneInfo(zone)):%Y-%m-%d}"
        spent = int(await self._link.call(b"INCRBY", key, price * wanted))
        await self._link.call(b"EXPIRE", key, _KEPT_DAYS_S)
        over = min(max(-(-(spent - micro(lookup.budget)) // price), 0), wanted)
        if over:
            await self._link.call(b"DECRBY", key, price * over)
        return wanted - over

    async def _ask(self, lookup: Lookup, to: str) -> None:
        name, why = await (await self._ready_service()).ask(lookup, to)
        if why:
            self._failed(to, why)
            return
        metrics.lookups.labels("answered").inc()
        kept_s = lookup.cache_hours * 3600
        self.answers.put(to, name, time.monotonic() + kept_s)
        await self._link.call(b"SET", self._key(to), name, b"EX", kept_s)

    def _failed(self, to: str, why: str) -> None:
        metrics.lookups.labels(why).inc()
        self.answers.fail(to, why)

    def _key(self, to: str) -> str:
        return f"{self._link.prefix}lookup:{to[1:]}"


class _Service:
    """The service behind the URL, with a breaker."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._failures = 0
        self._closed_at = 0.0
        self._headers: tuple[Lookup, dict[str, str]] | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def ask(self, lookup: Lookup, to: str) -> tuple[str, str]:
        """The operator's name or MCC-MNC; else why there is none: `paused`, `timeout` or `failed`."""
        import aiohttp

        began = False
        try:
            async with asyncio.timeout(lookup.timeout_ms / 1000), self._turns:
                if time.monotonic() < self._closed_at:
                    return "", "paused"
                began = True
                name = await self._get(lookup, to)
        except TimeoutError:
            return "", self._broke("timeout") if began else "timeout"  # waiting for a turn is not the service's fault
        except (aiohttp.ClientError, OSError, msgspec.DecodeError, credentials.CredentialError, ValueError) as e:
            return "", self._broke("failed", e)
        self._failures = 0
        return (name, "") if name else ("", "failed")

    async def _get(self, lookup: Lookup, to: str) -> str:
        if self._headers is None or self._headers[0] is not lookup:
            given = await asyncio.to_thread(credentials.resolve, lookup.headers)
            self._headers = lookup, {name: str(value) for name, value in given.items()}
        url = lookup.url.replace("{number}", to[1:])
        async with self._session.get(url, headers=self._headers[1], allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = await response.content.read(_MAX_ANSWER_BYTES)
        return pointed(msgspec.json.decode(body), lookup.answer)

    def _broke(self, why: str, error: Exception | None = None) -> str:
        self._failures += 1
        if self._failures >= BREAK_AFTER:
            self._failures = BREAK_AFTER - 1  # after the pause one failure is enough
            self._closed_at = time.monotonic() + BREAK_S
            log.warning("lookups_paused", why=type(error).__name__ if error else why, seconds=BREAK_S)
        return why


def pointed(document: Any, pointer: str) -> str:
    """What a JSON pointer (RFC 6901) leads to, as text; empty when it leads nowhere. MCC-MNC without its dash."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        else:
            return ""
    if isinstance(document, bool) or not isinstance(document, (str, int)):
        return ""
    text = " ".join(str(document).split())[:100]
    code = text.replace("-", "").replace(" ", "")
    return code if code.isdigit() else text


def _numbers(entries: Sequence[Entry]) -> Iterable[str]:
    """Recipients of fresh messages; one that was tried before goes by what is known."""
    for entry in entries:
        for queued in entry.messages:
            if queued.journey:
                continue
            try:
                message = queued.message
            except (UnknownVersionError, msgspec.DecodeError):
                continue  # decide() ends it
            if not message.test:
                yield message.to


def _applies(lookup: Lookup, plan: Compiled, to: str) -> bool:
    """Whether the tables say that this number is one of those to be asked for."""
    if not lookup.countries and not lookup.operators:
        return True
    whose = plan.directory.find(to)
    if whose is None:
        return False
    return (not lookup.countries or whose.country in lookup.countries) and (
        not lookup.operators or whose.operator in lookup.operators
    )
