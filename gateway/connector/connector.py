"""The connector: joins one carrier's outboxes to one provider. One at a time, leased, with all its binds.

In: the carrier's part of the plan. Out: outcomes and receipts, settled. Life: lease, fence, settle what a dead
predecessor left on the wire, open the provider, pump until the lease or the carrier goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gateway import metrics
from gateway.connector import backlog, gauges
from gateway.connector.admission import Barring, admits
from gateway.connector.asking import serve_asks
from gateway.connector.breaker import Breaker, Operators
from gateway.connector.committer import Committer
from gateway.connector.flight import Flight, Verdict, judge, submitted, unsent
from gateway.connector.journal import Journal, Left
from gateway.connector.lanes import Lanes
from gateway.connector.pump import QUICK_S, Pump
from gateway.connector.shares import Bucket
from gateway.connector.sieve import Sieve
from gateway.connector.takeover import take_over
from gateway.connector.vitals import Vitals
from gateway.events import AnyFact, Came, Received
from gateway.message import id_shard
from gateway.provider import (
    Asks,
    Balance,
    Inbound,
    Kind,
    Link,
    Outcome,
    Provider,
    Reason,
    Receipt,
    Reports,
    Submission,
    Warns,
    deferred,
)
from gateway.streams import carriers, learnt
from gateway.streams.lease import Lease, fence
from gateway.streams.link import Redis, RedisAwayError
from gateway.streams.opening import is_open
from gateway.streams.polls import Polls
from gateway.streams.wakes import Wakes

log = logging.getLogger("connector")

_CLOSE_S = 10.0
_FENCED_S = 0.5
SETTLE_LINGER_S = 0.003  # where the window does not wait for it
_PAGE = 500


class Work(msgspec.Struct):
    """What a connector needs to know of its carrier. `open` makes the provider (provider module's `open`); only to a
    `sandbox` goes what test keys send; `barred` says which recipients may not be sent to now, `bars` whether it may
    say so of any."""

    carrier: str
    rate_per_s: float
    shares: Mapping[str, int]
    open: Callable[[Reports], Provider]
    sandbox: bool = False
    barred: Barring = admits
    bars: Callable[[], bool] = lambda: True


class Connector:
    """Runs one carrier while it holds the lease; `run` returns only by cancellation."""

    def __init__(
        self,
        work: Work,
        redis: Redis,
        owner: str,
        lease_s: float,
        memory_mark: float,
        journals: Path | None = None,
        sieve: Sieve | None = None,
    ) -> None:
        """`journals`: where the journal is kept; None: nowhere. `sieve`: limits and pauses; None: there are none."""
        self.work, self.redis, self.owner, self.memory_mark = work, redis, owner, memory_mark
        self._journals = journals
        self._sieve = sieve
        self._journal: Journal | None = None
        self._hearing = 0  # answers that are being judged
        self._partly: set[Flight] = set()  # answered in some parts
        self.committers: list[Committer] = []
        self.lease = Lease(redis.link(None), f"lease:carrier:{work.carrier}", owner, lease_s)
        self.mode: carriers.Mode = "running"
        self.provider: Provider | None = None
        self.pump: Pump | None = None
        self._lost = asyncio.Event()
        self._down_since = 0
        self._error = ""
        self._vitals = Vitals(work.carrier)
        self._breaker, self._operators = Breaker(), Operators()
        self._queue_s: dict[str, float] = {}
        self._balance: Balance | None = None
        self._counts = {"accepted": 0, "deferred": 0, "refused": 0, "uncertain": 0, "receipts": 0}

    async def run(self) -> None:
        """Serve the carrier again and again, each time under a new lease."""
        gauges.begin(self.work.carrier)
        while True:
            await self.lease.acquire()
            self._lost.clear()
            try:
                await self._serve()
            except RedisAwayError:
                await asyncio.sleep(0.05)
            finally:
                await self.lease.release()

    async def _serve(self) -> None:
        carrier, redis = self.work.carrier, self.redis
        links = [redis.new_link(n) for n in range(redis.shards)]
        committers: list[Committer] = []
        wakes: list[Wakes] = []
        provider: Provider | None = None
        async with contextlib.AsyncExitStack() as stack:
            for link in links:
                stack.push_async_callback(link.close)
                await link.up()
            holding = asyncio.create_task(self._hold(), name=f"lease {carrier}")
            stack.push_async_callback(_end, holding)
            for link in links:
                await _until_open(link)
                if not await fence(link, carrier, self.lease.token):
                    log.warning("fenced", extra={"carrier": carrier, "shard": link.shard, "token": self.lease.token})
                    await asyncio.sleep(_FENCED_S)
                    return
            left = Left(self._journals, carrier)
            self._open_journal()
            stack.callback(self._close_journal)
            lanes = Lanes(carrier, links, self._told, self._sieve)
            if self._sieve is not None:
                stack.callback(self._sieve.close)
                stack.callback(self._sieve.on_more(self._settled))
            for shard, link in enumerate(links):
                again = partial(lanes.tell, shard, again=True)
                committer = Committer(link, carrier, self._lost.set, again, self._settled)
                committer.token = self.lease.token
                committers.append(committer)
                stack.push_async_callback(_close, committer)
            self.committers = committers
            provider = self.provider = self.work.open(
                Reports(
                    self._outcomes,
                    self._receipts,
                    self._inbound,
                    self._state,
                    self.redis.clock_ms,
                    polls=Polls(self.redis, carrier),
                )
            )
            for committer in committers:
                await take_over(committer, provider, left)
            left.remove()
            rate = self.work.rate_per_s
            bucket = Bucket(rate, rate / 20, asyncio.get_running_loop().time())
            self.pump = Pump(
                self.lease.token,
                provider,
                lanes,
                links,
                bucket,
                self.work.shares,
                self,
                self.work.sandbox,
                self.work.barred,
                self.work.bars,
            )
            provider.on_room(self.pump.wake)
            for shard in range(redis.shards):
                wakes.append(Wakes(redis, shard, f"wake:outbox:{carrier}", partial(self._woken, lanes, shard)))
                stack.push_async_callback(wakes[-1].close)
            await provider.start()
            stack.push_async_callback(provider.close, _CLOSE_S)
            stack.push_async_callback(self.pump.close, _CLOSE_S)
            stack.callback(setattr, self, "pump", None)
            self.mode = (await carriers.modes(redis)).get(carrier, "running")
            await self._until_lost(self.pump)

    async def _until_lost(self, pump: Pump) -> None:
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(pump.run(), name=f"pump {self.work.carrier}"),
            asyncio.create_task(self._report(), name=f"status {self.work.carrier}"),
            asyncio.create_task(self._lost.wait(), name=f"lost {self.work.carrier}"),
            asyncio.create_task(
                serve_asks(self.redis, self.work.carrier, pump.provider, self._tell), name=f"asks {self.work.carrier}"
            ),
        ]
        try:
            settling = [committer.task for committer in self.committers]
            done, _ = await asyncio.wait([*tasks, *settling], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                await _end(task)

    async def _hold(self) -> None:
        await self.lease.hold()
        self._lost.set()

    def _settled(self) -> None:
        if self.pump is not None:
            self.pump.wake()

    def _woken(self, lanes: Lanes, shard: int, name: str) -> None:
        if name:
            lanes.tell(shard, name)
        elif self.pump is not None:
            self.pump.missed()

    def _told(self) -> None:
        if self.pump is not None:
            self.pump.told()

    def fenced(self) -> None:
        """Another connector owns the carrier."""
        self._lost.set()

    def give_back(self, batch: Sequence[Submission]) -> None:
        """Marked submissions that were not sent and will not be."""
        self._outcomes([(submission, deferred(Reason.NOT_BOUND)) for submission in batch])

    def may_mark(self) -> bool:
        """Whether sending is allowed now."""
        return (
            self.mode != "paused"
            and self.redis.used() < self.memory_mark
            and not self._lost.is_set()
            and self.allowance > 0
        )

    @property
    def allowance(self) -> int:
        """How many more the breaker lets go now."""
        if self._breaker.is_closed:
            return 1 << 30
        pump, provider = self.pump, self.provider
        under_way = pump.under_way if pump is not None else 0
        under_way += sum(link.in_flight for link in provider.links()) if provider is not None else 0
        return self._breaker.room(self.redis.clock_ms(), under_way)

    def may_send(self) -> bool:
        """Whether the carrier is surely ours now, so that what is marked may go out."""
        return self.lease.is_sure and not self._lost.is_set()

    @property
    def lease_s(self) -> float:
        """How long the carrier is surely ours after we were last told so."""
        return self.lease.ttl_s

    @property
    def unsettled(self) -> int:
        """Entries whose outcome is known but not yet written down."""
        return self._hearing + sum(committer.waiting for committer in self.committers)

    @property
    def journalled(self) -> bool:
        """Whether those outcomes would still be known if this process died."""
        return self._journal is not None and self._journal.is_sound

    def set_mode(self, mode: carriers.Mode) -> None:
        """What the operator ordered."""
        self.mode = mode
        if self.pump is not None:
            self.pump.wake()

    # What the provider reports ---------------------------------------------------------------------------------

    def settle(self, shard: int, flight: Flight, verdict: Verdict) -> None:
        """Write down what became of an entry."""
        flight.settled = True
        if self._sieve is not None:
            if self._sieve.is_watching:
                self._sieve.left(flight.entry.message_id)
            if verdict.op == "a":
                self._sieve.refund(flight.entry, unsent(flight))
        self.committers[shard].put(flight, verdict)

    def _outcomes(self, batch: Sequence[tuple[Submission, Outcome]]) -> None:
        now = self.redis.clock_ms()
        if self._journal is not None:
            self._journal.append(batch, now, [committer.link.run_id for committer in self.committers])
        if self.pump is not None:  # what is marked ahead goes out before the answers that made room for it are judged
            self._hearing = len(batch)
            self.pump.wake()
            self._hearing = 0
        waited = heard = 0
        counts = Counter((outcome.kind, outcome.reason) for _, outcome in batch)
        for (kind, _), number in counts.items():
            self._counts[_KINDS[kind]] += number
        all_well = all(kind == Kind.ACCEPTED for kind, _ in counts)
        if not all_well:
            self._vitals.count_codes(batch)
        self._breaker.heard(batch, now, all_well)
        if self._breaker.is_closed:
            self._operators.heard(batch, now, all_well)
        else:
            self._operators.forget()
        self._vitals.answered(batch, now)
        gauges.count_outcomes(self.work.carrier, {(_KINDS[k], r or ""): number for (k, r), number in counts.items()})
        for submission, outcome in batch:
            flight: Flight = submission.origin
            if flight.settled:
                self.committers[flight.mark.shard].note([submitted(flight, submission, outcome, now, late=True)])
                continue
            if submission.sent_ms:
                waited, heard = waited + now - submission.sent_ms, heard + 1
            flight.answer(submission, outcome)
            if flight.waiting:
                self._partly.add(flight)
            else:
                if self._partly:
                    self._partly.discard(flight)
                self.settle(flight.mark.shard, flight, judge(flight, now))
        if self.pump is not None:
            if heard:  # what came back unsent says nothing about the carrier's speed
                metrics.answers.labels(self.work.carrier).observe(waited / heard / 1000, heard)
                self.pump.answer_s += (waited / heard / 1000 - self.pump.answer_s) * 0.2
                for committer in self.committers:
                    committer.linger_s = SETTLE_LINGER_S if self.pump.answer_s < QUICK_S else 0.0
            self.pump.wake()

    async def _receipts(self, batch: Sequence[Receipt]) -> None:
        now = self.redis.clock_ms()
        self._counts["receipts"] += len(batch)
        for state, number in Counter(r.state for r in batch).items():
            metrics.receipts.labels(self.work.carrier, state).inc(number)
        spelt = self._vitals.respell(batch)
        await self._durable([(r.recipient, Received(self.work.carrier, now, r)) for r in spelt])

    async def _inbound(self, batch: Sequence[Inbound]) -> None:
        now = self.redis.clock_ms()
        metrics.inbound.labels(self.work.carrier).inc(len(batch))
        await self._durable([(m.sender, Came(self.work.carrier, now, m)) for m in batch])

    async def _tell(self, message_id: bytes, facts: Sequence[AnyFact]) -> None:
        """Facts about one message, durable when it returns."""
        await self.committers[id_shard(message_id)].report(facts)

    async def _durable(self, facts: Sequence[tuple[str, AnyFact]]) -> None:
        if self.redis.shards == 1:
            await self.committers[0].report([fact for _, fact in facts])
            return
        by_shard: dict[int, list[AnyFact]] = {}
        for number, fact in facts:
            digits = "".join(c for c in number if c.isdigit())
            by_shard.setdefault(self.redis.shard_of("+" + digits), []).append(fact)
        waits: list[Awaitable[None]] = [self.committers[n].report(some) for n, some in by_shard.items()]
        await asyncio.gather(*waits)

    def _state(self, link: Link) -> None:
        metrics.bind_changes.labels(self.work.carrier, link.state).inc()
        if link.error:
            self._error = link.error
        log.info(
            "bind_state",
            extra={"carrier": self.work.carrier, "bind": link.bind, "state": link.state, "error": link.error},
        )
        if self.pump is not None:
            self.pump.wake()

    # The journal ------------------------------------------------------------------------------------------------

    def _open_journal(self) -> None:
        if self._journals is None:
            return
        try:
            self._journal = Journal(self._journals, self.work.carrier, self.lease.token, self._open_flights)
        except OSError as e:
            why = f"{e.filename or self._journals}: {e.strerror}"
            log.warning("no_journal", extra={"carrier": self.work.carrier, "why": why})

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close(remove=not self.unsettled and not self._partly)
            self._journal = None
        self._partly.clear()

    def _open_flights(self) -> Iterator[Flight]:
        yield from self._partly
        for committer in self.committers:
            yield from committer.open_flights()

    # The state that others see ------------------------------------------------------------------------------------

    async def _report(self) -> None:
        carrier = self.work.carrier
        shown: Sequence[Link] = ()
        try:
            while True:
                shown = gauges.show_links(carrier, self.provider.links() if self.provider is not None else (), shown)
                gauges.show_limits(carrier, self.status()["limited_by"], self.work.rate_per_s, self.unsettled)
                self._balance = gauges.show_balance(carrier, self.provider)
                with contextlib.suppress(RedisAwayError):
                    self._queue_s = await self._queues()
                    self.set_mode((await carriers.modes(self.redis)).get(self.work.carrier, "running"))
                    await learnt.add_forms(self.redis, {(carrier, learnt.RECEIVED): self._vitals.take_received()})
                    self._vitals.learn((await learnt.forms(self.redis)).get(carrier, {}))
                    await carriers.report(self.redis, self.work.carrier, self.status())
                await asyncio.sleep(0.5)
        finally:
            gauges.end(carrier, shown)
            gauges.hide_balance(carrier, self._balance)
            if self.provider is not None and self.redis.link(None).is_up:
                with contextlib.suppress(RedisAwayError):
                    self._down_since = self._down_since or self.redis.clock_ms()
                    gone = self.status() | {"live": False, "down_since_ms": self._down_since}
                    await carriers.report(self.redis, self.work.carrier, gone)

    async def _queues(self) -> dict[str, float]:
        pump, provider = self.pump, self.provider
        if pump is None or provider is None:
            return {}
        window = sum(link.window for link in provider.links() if link.state == "bound")
        per_s = self.work.rate_per_s or (window / pump.answer_s if pump.answer_s else 0.0)
        return backlog.seconds(await backlog.waiting(pump.lanes), per_s, self.work.shares)

    def status(self) -> dict[str, Any]:
        """What `GET /v1/carriers` shows of it."""
        now, provider, pump = self.redis.clock_ms(), self.provider, self.pump
        live = provider is not None and provider.live
        self._down_since = 0 if live else self._down_since or now
        links = provider.links() if provider is not None else ()
        return {
            "at_ms": now,
            "owner": self.owner,
            "mode": self.mode,
            "live": live,
            "down_since_ms": self._down_since,
            "room": provider.room if provider is not None else 0,
            "marking": pump.pending if pump is not None else 0,
            "answer_ms": round(pump.answer_s * 1000, 1) if pump is not None else 0,
            "rate_per_s": self.work.rate_per_s,
            "limited_by": self._limited_by(live),
            "breaker": self._breaker.status(now),
            "operators": self._operators.status(now),
            "queue_s": self._queue_s,
            "last_error": self._error,
            "warnings": list(provider.warnings) if isinstance(provider, Warns) else [],
            "counts": dict(self._counts),
            **self._vitals.figures(now),
            "balance": msgspec.to_builtins(self._balance),
            "can_cancel": isinstance(provider, Asks) and provider.can_cancel,
            "can_query": isinstance(provider, Asks) and provider.can_query,
            "links": [  # each bind as the provider sees it
                {f: getattr(link, f) for f in ("bind", "state", "since_ms", "error", "in_flight", "window")}
                for link in links
            ],
        }

    def _limited_by(self, live: bool) -> str:
        if self.mode != "running":
            return self.mode
        if not live:
            return "no_bind"
        if self._breaker.state(self.redis.clock_ms()) != "closed":
            return "breaker"
        if self.redis.used() >= self.memory_mark:
            return "memory"
        if self.pump is not None and self.pump.bucket.rate and self.pump.bucket.tokens < 1:
            return "rate"
        return "window" if self.provider is not None and self.provider.room <= 0 else ""


_KINDS = {
    Kind.ACCEPTED: "accepted",
    Kind.DEFERRED: "deferred",
    Kind.REFUSED: "refused",
    Kind.UNCERTAIN: "uncertain",
}


async def _until_open(link: Any) -> None:
    while not await is_open(link):  # noqa: ASYNC110 - another process opens it
        await asyncio.sleep(0.05)


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))


async def _close(committer: Committer) -> None:
    await committer.close(_CLOSE_S)
    if not committer.task.cancelled():
        committer.task.result()  # what broke it stops the connector
