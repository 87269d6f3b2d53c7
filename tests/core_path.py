"""Router and connectors on a real Redis with scripted carriers in memory: what a test accepts, cancels and breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from gateway.config import Settings
from gateway.connector.connector import Connector, Work
from gateway.connector.sieve import Sieve
from gateway.events import AnyFact, Ended, Held, Submitted
from gateway.message import Message
from gateway.plan.admission import Admission, Barred
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Operator, Plan, Rate, Route
from gateway.provider import Link, Outcome, Reason, Reports, Submission, accepted, uncertain
from gateway.provider import deferred as deferred_outcome
from gateway.router import stage as router
from gateway.streams.accept import Acceptor
from gateway.streams.allowances import Allowances
from gateway.streams.link import Redis
from gateway.streams.pauses import Pauses
from gateway.streams.seats import Seats
from tests.core_builders import ask
from tests.core_moves import told
from tests.core_redis import client, opened, until

Answer = Callable[[Submission], Outcome | None]
SHARES = {"otp": 50, "alert": 20, "transactional": 20, "marketing": 10}


def always_accepted(s: Submission) -> Outcome | None:
    return accepted(f"{s.message_id.hex()}-{s.attempt}-{s.part}")


class Scripted:
    """A carrier in memory. `answer` decides for each submission; None: it is kept until `release`."""

    whole = False

    def __init__(self, name: str, reports: Reports, window: int, answer: Answer) -> None:
        self.name, self.reports, self.window, self.answer = name, reports, window, answer
        self.sent: list[Submission] = []
        self.kept: list[Submission] = []
        self.most = 0
        self.started = self.closed = False
        self.up = True
        self.unaware = False  # still thinks that there is room although it is down
        self.slow = False
        self._due: list[tuple[Submission, Outcome]] = []
        self._wake: Callable[[], None] = lambda: None
        self._quiet = asyncio.Event()

    def split(self, text: str, encoding: str) -> Sequence[str]:
        return text.split("|")

    async def start(self) -> None:
        self.started = True
        self.reports.on_state(self.links()[0])

    @property
    def in_flight(self) -> int:
        return len(self.kept) + len(self._due)

    @property
    def room(self) -> int:
        return (
            self.window - self.in_flight if self.live or self.unaware else 0
        )  # below zero: taken, and not on the wire yet

    @property
    def live(self) -> bool:
        return self.up and not self.closed

    def links(self) -> Sequence[Link]:
        return [Link("1", "bound" if self.live else "connecting", 0, "", self.in_flight, self.window)]

    def on_room(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def submit(self, batch: Sequence[Submission]) -> None:
        if not self.live:
            back = [(s, deferred_outcome(Reason.NOT_BOUND)) for s in batch]
            asyncio.get_running_loop().call_soon(self.reports.on_outcomes, back)
            return
        for s in batch:
            s.sent_ms, s.bind = 1, "1"
            self.sent.append(s)
            outcome = self.answer(s)
            if outcome is None:
                self.kept.append(s)
            else:
                self._due.append((s, outcome))
        self.most = max(self.most, self.in_flight)
        if self._due and not self.slow:
            asyncio.get_running_loop().call_soon(self.tell)

    def tell(self, count: int | None = None) -> None:
        """Report answers that are due."""
        due, self._due = self._due[:count], self._due[count:] if count else []
        if due:
            self.reports.on_outcomes(due)
            self._freed()

    def release(self, answer: Answer = always_accepted) -> None:
        """Answer what was kept."""
        kept, self.kept = self.kept, []
        self.reports.on_outcomes([(s, o) for s in kept if (o := answer(s)) is not None])
        self._freed()

    def _freed(self) -> None:
        self._wake()
        if not self.in_flight:
            self._quiet.set()

    async def close(self, timeout_s: float) -> None:
        self.closed = True
        if self.in_flight:
            self._quiet.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), min(timeout_s, 0.5))
        self.tell()
        self.release(lambda s: uncertain(Reason.DISCONNECTED))


def plan(carriers: Sequence[str] = ("north",), version: int = 1, routed: Sequence[str] | None = None) -> Compiled:
    """All messages to the first live of the carriers."""
    return Compiled(
        Plan(
            carriers=tuple(Carrier(name=name, provider="scripted") for name in carriers),
            operators=(Operator(name="any", prefixes=("",)),),
            rates=tuple(Rate(carrier=name, price="1.5", currency="RUB") for name in carriers),
            routes=(Route(name="all", carriers=tuple(carriers if routed is None else routed)),),
        ),
        version,
    )


_WAITING = """
local sum = 0
local function has(key, part) return string.find(key, part, 1, true) end
for _, key in ipairs(redis.call('keys', '*')) do
  if not has(key, ':wake') then
    if has(key, ':intake:') or has(key, ':outbox:') or has(key, ':again:') then
      sum = sum + redis.call('xlen', key)
    elseif has(key, ':marks:') then
      sum = sum + redis.call('hlen', key)
    elseif string.sub(key, -6) == ':later' then
      sum = sum + redis.call('zcard', key)
    end
  end
end
return sum
"""


class Path:
    """The path in one process, with what runs in it under the test's hand."""

    def __init__(self, url: str, redis: Redis, settings: Settings) -> None:
        self.url, self.redis, self.settings = url, redis, settings
        self.acceptor = Acceptor(redis, settings)
        self.plan: Compiled | None = plan()
        self.journals: Any = None  # a folder
        self.stopped: dict[str, str] = {}
        """Numbers on a stop list, and which."""
        self._admission = Admission(self._which)
        self.answers: dict[str, Answer] = {}
        self.windows: dict[str, int] = {}
        self.providers: dict[str, list[Scripted]] = defaultdict(list)
        self.connectors: dict[str, Connector] = {}
        self.accepted: list[bytes] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._of: dict[Redis, list[str]] = defaultdict(list)
        self._limits: dict[Redis, tuple[Allowances, Seats, Pauses]] = {}
        self._number = 0

    async def accept(self, count: int, **fields: Any) -> list[bytes]:
        """Accept so many messages on their shards."""
        ids: list[bytes] = []
        by_shard = defaultdict(list)
        for _ in range(count):
            self._number += 1
            to = f"+7916{self._number:07d}"
            shard = self.redis.shard_of(to)
            by_shard[shard].append(ask(self._number, shard=shard, **fields))
        for shard, asks in by_shard.items():
            ids += [v.id for v in await self.acceptor.accept(shard, asks)]
        self.accepted += ids
        return ids

    def start_router(self, name: str = "router", redis: Redis | None = None) -> asyncio.Task[None]:
        """A router as `daemon` runs it."""
        work = router.run(self.settings, redis or self.redis, name, lambda: self.plan, which=self._which)
        return self._start(name, work)

    def start_connector(
        self,
        carrier: str = "north",
        *,
        window: int = 100,
        answer: Answer = always_accepted,
        rate: float = 0,
        shares: Mapping[str, int] = SHARES,
        redis: Redis | None = None,
        name: str = "",
        sandbox: bool = False,
    ) -> Connector:
        """A carrier's connector."""
        self.answers[carrier] = answer
        self.windows[carrier] = window

        def make(reports: Reports) -> Scripted:
            made = Scripted(carrier, reports, self.windows[carrier], lambda s: self.answers[carrier](s))
            self.providers[carrier].append(made)
            return made

        name = name or f"connector {carrier}"
        work = Work(carrier, rate, shares, make, sandbox, self._barred)
        sieve = self._sieve(carrier, redis or self.redis)
        connector = Connector(
            work, redis or self.redis, name, self.settings.lease_s, self.settings.memory_mark, self.journals, sieve
        )
        self.connectors[name] = connector
        self._start(name, connector.run())
        self._of[redis or self.redis].append(name)
        return connector

    def _sieve(self, carrier: str, redis: Redis) -> Sieve:
        """Limits and pauses as a connector stage has them: one set a process, which is a `redis` here."""
        if redis not in self._limits:
            allowances, seats, pauses = self._limits[redis] = Allowances(redis), Seats(redis), Pauses(redis)
            for what, work in (("limits", allowances.run()), ("seats", seats.run()), ("pauses", pauses.run())):
                self._start(f"{what} {len(self._limits)}", work)
                self._of[redis].append(f"{what} {len(self._limits)}")
        allowances, seats, pauses = self._limits[redis]
        return Sieve(carrier, allowances, seats, lambda: self.plan, pauses, redis.clock_ms)

    def _which(self, number: str, client: str, klass: str) -> str:
        return self.stopped.get(number, "")

    def _barred(self, message: Message, now_ms: int) -> Barred | None:
        return self._admission.barred(self.plan, message, now_ms)

    def _start(self, name: str, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks[name] = task
        return task

    async def stop(self, name: str) -> None:
        """Stop one in order."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait((task,), timeout=15)
        if not task.done():
            for t in asyncio.all_tasks():
                t.print_stack(limit=6)
        assert task.done(), f"{name} does not stop"
        if not task.cancelled():
            task.result()

    def task(self, name: str) -> asyncio.Task[None]:
        """A stage's task."""
        return self._tasks[name]

    def forget(self, name: str) -> None:
        """A stage that broke, as it should have."""
        self._tasks.pop(name)

    async def close(self) -> None:
        for name in reversed(list(self._tasks)):
            await self.stop(name)
        await self.acceptor.close()

    # What a test asks ---------------------------------------------------------------------------------------------

    def carrier(self, name: str = "north") -> Scripted:
        """The provider that runs now, or ran last."""
        return self.providers[name][-1]

    def submissions(self, name: str | None = None) -> list[Submission]:
        """All that reached a carrier, in order for each."""
        return [s for n, made in self.providers.items() if name in (None, n) for p in made for s in p.sent]

    def sent(self, name: str | None = None) -> Counter[bytes]:
        """How often each message reached a carrier."""
        return Counter(s.message_id for s in self.submissions(name))

    def waiting(self) -> int:
        """Entries anywhere in Redis, and marks."""
        with client(self.url) as c:
            return int(c.eval(_WAITING, 0))  # at one moment: what is just being moved is somewhere

    async def drained(self, deadline_s: float = 30) -> None:
        """Wait until nothing waits any more."""

        def empty() -> bool:
            for task in self._tasks.values():
                if task.done():
                    task.result()
            return self.waiting() == 0

        try:
            await until(empty, "draining", deadline_s)
        except AssertionError:
            raise AssertionError(f"{self.waiting()} entries are left: {self.left()}") from None

    def left(self) -> dict[str, int]:
        """What waits where."""
        with client(self.url) as c:
            return {k.decode(): c.xlen(k) for k in c.scan_iter() if c.type(k) == b"stream" and b"events" not in k}

    def later(self) -> int:
        """Messages in `later`."""
        with client(self.url) as c:
            return sum(int(c.zcard(k)) for k in c.scan_iter() if k.endswith(b":later"))  # type: ignore[arg-type]

    def kill(self, redis: Redis) -> None:
        """A process with its connectors and limits is gone without a word."""
        for link in redis._links:
            link._task.cancel()
        for name in self._of.pop(redis):
            self._tasks.pop(name).cancel()

    async def facts(self) -> list[AnyFact]:
        """Everything told to the recorder but the accepted messages."""
        return [fact for shard in range(self.redis.shards) for fact in await told(self.redis, shard)]

    async def fates(self) -> dict[str, Counter[bytes]]:
        """How often each message was accepted by a carrier, held, and ended in each state."""
        found: dict[str, Counter[bytes]] = defaultdict(Counter)
        for fact in await self.facts():
            if isinstance(fact, Submitted) and fact.kind == 0:
                found["accepted"][fact.id] += 1
            elif isinstance(fact, Held):
                found["held"][fact.id] += 1
            elif isinstance(fact, Ended):
                found[fact.state][fact.id] += 1
        return found


@contextlib.asynccontextmanager
async def running(url: str, shards: int = 1, redis_url: str = "", **settings: Any) -> AsyncIterator[Path]:
    """A path without stages yet; everything is stopped in order at the end."""
    async with opened(redis_url or url, shards) as redis:
        path = Path(url, redis, Settings(**{"lease_s": 1.0} | settings))
        try:
            yield path
        finally:
            await path.close()
