"""The pump of one carrier: when there is room, take what may go next, mark it, and hand it to the provider.

In: lanes, shares, the carrier's rate. Out: marked submissions. Nothing reaches a provider that is not marked before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gateway.connector.admission import Barring, admits, turned_away
from gateway.connector.flight import Flight, Mark, Verdict, apply_treatment, astray, expired, judge, submissions
from gateway.connector.gauges import count_parked, marked, observe_to_wire
from gateway.connector.lanes import Lanes, Taken
from gateway.connector.shares import RESERVED, URGENT, Bucket, Shares
from gateway.events import Ended, pack_facts
from gateway.message import Journey, State, UnknownVersionError, unpack_journey
from gateway.provider import Prepares, Provider, Reason, Submission
from gateway.streams.facts import order
from gateway.streams.link import Arg, Link, OutOfMemoryError, RedisAwayError
from gateway.streams.pauses import remember
from gateway.streams.reader import Reader, epoch

MARK = 500
"""Entries in one mark script at the most."""

QUICK_S = 0.005  # answers faster than this: wait for a fifth of the window, so that batches are worth their script
_AHEAD_S, _AHEAD_HALVES = 0.030, 3  # marked ahead of a slow carrier's answers: so long, in half windows, at most 3
_UNSETTLED_WINDOWS = 2  # of a slow carrier's answers that only the journal has
_POLL_S = 0.25
_BESIDE_URGENT, _URGENT_S = 50, 1.0  # parts of bulk in one step, and how long after the last urgent message
_ON_WIRE_BESIDE_URGENT = 150  # at a quick carrier, then, with what is not settled: all of it comes back in one turn
_LINGER_S = 0.004  # between two marks of bulk to a quick carrier, so that scripts are worth their cost
_CLOSED_S = 0.1
DISCOVER_S = 5.0
"""Every lane is looked into this often, whatever was told."""


class _Round(msgspec.Struct, gc=False, eq=False):
    """One mark script under way."""

    shard: int
    turn: int
    taken: list[Taken]
    count: int
    began: float  # loop time
    parks: bool = False


class Owner(Protocol):
    """What a pump asks of its connector."""

    def settle(self, shard: int, flight: Flight, verdict: Verdict) -> None:
        """An entry needs no sending."""

    def give_back(self, batch: Sequence[Submission]) -> None:
        """Marked submissions that were not sent and will not be."""

    def fenced(self) -> None:
        """Another connector owns the carrier."""

    def may_mark(self) -> bool:
        """Whether sending is allowed now."""

    def may_send(self) -> bool:
        """Whether the carrier is surely ours now, so that what is marked may go out."""

    @property
    def lease_s(self) -> float:
        """How long the carrier is surely ours after we were last told so."""

    @property
    def unsettled(self) -> int:
        """Entries whose outcome is known but not yet written down."""

    @property
    def journalled(self) -> bool:
        """Whether those outcomes would still be known if this process died."""

    @property
    def allowance(self) -> int:
        """How many more the carrier's breaker lets go now."""


class Pump:
    """Runs until cancelled."""

    def __init__(
        self,
        token: int,
        provider: Provider,
        lanes: Lanes,
        links: Sequence[Link],
        bucket: Bucket,
        shares: Mapping[str, int],
        owner: Owner,
        sandbox: bool = False,
        barred: Barring = admits,
        bars: Callable[[], bool] = lambda: True,
    ) -> None:
        """`bars`: whether `barred` may say no to anybody now."""
        self.sandbox, self._barred, self._bars = sandbox, barred, bars
        self.carrier, self.token, self.provider, self.lanes, self.links = lanes.carrier, token, provider, lanes, links
        self._prepares = provider if isinstance(provider, Prepares) else None
        self.bucket, self.shares, self._owner = bucket, Shares(shares), owner
        self.answer_s = 0.0  # how long the carrier takes to answer, smoothed
        self._marked_at = 0.0
        self._urgent_at = -_URGENT_S
        self.pending = 0  # taken, and being marked
        self._ready: deque[list[Submission]] = deque()  # marked, and not with the provider yet
        self._ready_count = 0
        self._newest: dict[Reader, Mark] = {}  # by stream
        self._wake, self._told = asyncio.Event(), asyncio.Event()
        self._blind = False
        self._broken: BaseException | None = None
        self._turns = [0] * len(links)
        self._epochs = [b""] * len(links)
        self._undo: list[list[bytes]] = [[] for _ in links]
        self._halted: set[int] = set()  # shards whose entries are being read again
        self._resuming: set[asyncio.Task[None]] = set()
        self._rounds: dict[asyncio.Future[bytes], _Round] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def under_way(self) -> int:
        """What was taken and is not with the provider yet."""
        return self.pending + self._ready_count

    def wake(self) -> None:
        """There may be room, or something to send."""
        if self._ready:
            self._feed()
        self._wake.set()

    def told(self) -> None:
        """Some lane got something."""
        self._told.set()

    def missed(self) -> None:
        """Some lane may have got something without a word."""
        self._blind = True
        self._told.set()

    async def run(self) -> None:
        """Pump."""
        for shard, link in enumerate(self.links):
            self._epochs[shard] = await epoch(link)
        await self.lanes.discover()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fill(), name=f"read ahead {self.carrier}")
            tasks.create_task(self._pump(), name=f"pump {self.carrier}")

    async def close(self, timeout_s: float) -> None:
        """After `run` ended: hand over what is being marked, and undo the marks of what will not be sent."""
        end = self._loop.time() + timeout_s
        while (self._rounds or self._resuming) and (left := end - self._loop.time()) > 0:
            under_way: list[asyncio.Future[Any]] = [*self._rounds]
            await asyncio.wait([*under_way, *self._resuming], timeout=left)
        for task in self._resuming:
            task.cancel()
        while self._ready:
            self._owner.give_back(self._ready.popleft())

    async def _fill(self) -> None:
        look_at = self._loop.time() + DISCOVER_S
        while True:
            self._told.clear()
            try:
                if self._blind or self._loop.time() >= look_at:
                    self._blind = False
                    await self.lanes.discover()
                    look_at = self._loop.time() + DISCOVER_S
                await self.lanes.fill()
            except RedisAwayError:
                self._blind = True
                await asyncio.sleep(0.02)
                continue
            self._wake.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(look_at):
                    await self._told.wait()

    async def _pump(self) -> None:
        while True:
            pause = self._turn_over()
            if self._ready and self.bucket.rate:
                pause = min(pause, max(self.bucket.wait_s(), 0.001))
            if pause > 0:
                # Not wait_for: before Python 3.12 it loses a cancellation that meets the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
            else:
                await asyncio.sleep(0)

    def _turn_over(self) -> float:
        """Start what can be started; how long to wait for more at the most."""
        self._wake.clear()
        if self._broken is not None:
            raise self._broken
        if self._ready:  # nothing waits for a word that never comes: a lease that is sure again, say
            self._feed()
        backlog = self.lanes.backlog()
        window = self._window()
        if not backlog or not self._owner.may_mark():
            return _POLL_S
        slow = self.answer_s >= QUICK_S
        room = self._room(window) - self.pending - self._ready_count
        now = self._loop.time()
        tokens = self.bucket.available(now) - self.pending - self._ready_count
        urgent = any(c in URGENT for c in backlog)
        least = max(int(window * (0.02 if slow else 0.2)), 1)
        if not urgent and room < min(least, sum(backlog.values())):
            return _POLL_S
        gather = 0.0 if urgent or slow or sum(backlog.values()) > MARK // 2 else self._marked_at + _LINGER_S - now
        if gather > 0:
            return gather
        # A slow carrier's window stands empty while a mark is being made, so urgent classes are marked ahead: what is
        # marked and was never sent is sent again after a crash, and only once. No more than a stall of Redis' sync
        # needs: who comes later waits behind it.
        halves = min(round(2 * _AHEAD_S / self.answer_s), _AHEAD_HALVES) if slow and urgent else 0
        ahead = window * halves // 2
        if tokens < 1:
            return min(max(self.bucket.wait_s(1 if urgent else self.bucket.step), 0.001), _POLL_S)
        # Part of the window stays free of bulk, so that an otp never waits for a marketing message's answer; and bulk
        # goes in small steps while urgent messages are about, so that none waits long behind one.
        self._urgent_at = now if urgent else self._urgent_at
        step = _BESIDE_URGENT if now - self._urgent_at < _URGENT_S else MARK
        bulk = min(max(room - int(window * RESERVED), 0), step)
        if step < MARK and not slow:
            on_its_way = window - self.provider.room + self._owner.unsettled + self.pending + self._ready_count
            bulk = min(bulk, max(_ON_WIRE_BESIDE_URGENT - on_its_way, 0))
        count = min(room + ahead, tokens, MARK, self._owner.allowance)
        plan = self.shares.divide(count, backlog, bulk) if count > 0 else {}
        if not plan:
            return _POLL_S
        taken = [run for klass, count in plan.items() for run in self.lanes.take(klass, count)]
        self._marked_at = now
        self._mark(taken)
        if any(run.reader.told for run in taken):
            self._told.set()
        return 0.0 if taken else _POLL_S

    def _window(self) -> int:
        return max(sum(link.window for link in self.provider.links() if link.state == "bound"), 1)

    def _room(self, window: int) -> int:
        """How much more may be on the wire.

        Answers not yet written down are uncertain if we die, so they take up room: with what is in flight they are at
        most a window. With a journal they are not, so a window of them may wait, two of a slow carrier, and the wire
        stays full.
        """
        kept = 0
        if self._owner.journalled:
            kept = window * (_UNSETTLED_WINDOWS if self.answer_s >= QUICK_S else 1)
        return self.provider.room - max(self._owner.unsettled - kept, 0)

    def _feed(self) -> None:
        """Hand over what is marked, as the window opens; all of it when nothing is in flight, so that it comes back.

        None after a pause longer than our lease: a successor may have dealt with these marks, and now would be twice.
        """
        provider = self.provider
        while self._ready and self._owner.may_send():
            batch = self._ready.popleft()
            room = self._room(self._window())
            idle = room <= 0 and not (self._owner.unsettled or any(link.in_flight for link in provider.links()))
            if not idle:  # the rate counts what goes out, so that nothing that waited makes a burst
                room = min(room, self.bucket.available(self._loop.time()))
            if room <= 0 and not idle:
                self._ready.appendleft(batch)
                return
            if 0 < room < len(batch):
                self._ready.appendleft(batch[room:])
                batch = batch[:room]
            self._ready_count -= len(batch)
            if late := self.lanes.late(batch):
                stay = {id(submission) for submission in late}
                batch = [submission for submission in batch if id(submission) not in stay]
                self._owner.give_back(late)
                if not batch:
                    continue
            if not idle:
                self.bucket.spend(len(batch))
            now_ms = self.links[0].clock_ms()
            writing = self.lanes.writing(batch)
            provider.submit(batch)
            self.lanes.wrote(writing)
            observe_to_wire(batch, now_ms)

    def _mark(self, taken: Sequence[Taken]) -> None:
        by_shard: dict[int, list[Taken]] = {}
        for run in taken:
            by_shard.setdefault(run.lane.shard, []).append(run)
        for shard, runs in by_shard.items():
            link = self.links[shard]
            if shard in self._halted:
                self.lanes.rewind(shard, runs)
                continue
            # What is parked leaves before the runs beside it are marked: a mark covers nothing that is not sent.
            for run in runs:
                if run.parked is not None:
                    with contextlib.suppress(RedisAwayError):  # nor is it parked then
                        remember(link, [(p.tag, p.entry.message_id) for p in run.parked if p.tag])
                    self._start("park", shard, [run], 0, self._park_args(link, run))
            args: list[Arg] = [link.run_id, self.carrier, self.token, self._epochs[shard]]
            marks = [run for run in runs if run.parked is None]
            for run in marks:
                args += (run.reader.stream, run.entries[0].entry_id, run.entries[-1].entry_id)
            if marks:
                count = sum(run.parts for run in marks)
                self.pending += count
                self._start("mark", shard, marks, count, args)

    def _start(self, script: str, shard: int, runs: list[Taken], count: int, args: list[Arg]) -> None:
        try:
            future = self.links[shard].start_script(script, (), args)
        except RedisAwayError:
            future = self._loop.create_future()
            future.set_exception(RedisAwayError("away"))
        parks = script == "park"
        self._rounds[future] = _Round(shard, self._turns[shard], runs, count, self._loop.time(), parks)
        future.add_done_callback(self._marked)

    def _park_args(self, link: Link, run: Taken) -> list[Arg]:
        parked = run.parked or []
        args: list[Arg] = [link.run_id, self.carrier, self.token, self._epochs[run.lane.shard], run.reader.stream]
        args += (run.lane.name, pack_facts([p.fact for p in parked]))
        for p in parked:
            args += (p.entry.entry_id, p.due_ms, p.journey)
        return args

    def _marked(self, future: asyncio.Future[bytes]) -> None:
        done = self._rounds.pop(future)
        self.pending -= done.count
        if future.cancelled():
            return
        error = future.exception()
        if self._loop.time() - done.began > self._owner.lease_s:
            # We slept past our lease: whoever took it has dealt with these marks, and sending now would be twice.
            self._owner.fenced()
            return
        if error is None and future.result() == b"ok" and done.parks:
            count_parked(self.carrier, done.taken)
            return
        if error is None and future.result() == b"ok" and done.turn == self._turns[done.shard]:
            self._submit(done)
            return
        if error is None and future.result() == b"fenced":
            self._owner.fenced()
            return
        if error is not None and not isinstance(error, RedisAwayError | OutOfMemoryError):
            self._break(error)
            return
        # A mark may stand although its reply was lost or it came too late: nothing of it was sent, so it is undone.
        if not done.parks:
            self._undo[done.shard] += [mark_of(run).field for run in done.taken]
        if done.turn == self._turns[done.shard]:
            # The rounds behind this one fail too, or are not used: all are read again, in the order of the streams.
            self._turns[done.shard] += 1
            later = [r for r in self._rounds.values() if r.shard == done.shard and r.turn == done.turn]
            again = in_order(done.taken + [run for r in later for run in r.taken])
            self.lanes.rewind(done.shard, again)
            self._halted.add(done.shard)
            refused = isinstance(error, OutOfMemoryError) or (error is None and future.result() == b"closed")
            pause_s = _CLOSED_S if refused else 0.0
            task = self._loop.create_task(self._resume(done.shard, pause_s), name=f"reread {self.carrier}")
            self._resuming.add(task)
            task.add_done_callback(self._resumed)

    def _resumed(self, task: asyncio.Task[None]) -> None:
        self._resuming.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        """Redis answered an error: `run` ends with it."""
        self._broken = self._broken or error
        self._wake.set()

    async def _resume(self, shard: int, pause_s: float) -> None:
        link = self.links[shard]
        await asyncio.sleep(pause_s)
        while True:
            try:
                await link.up()
                self._epochs[shard] = await epoch(link)  # the replies of all rounds under way come before this one
                self.lanes.rewind(shard, ())  # what was read before that may hold what is there no more
                await self.lanes.look_again(shard)
                if self._undo[shard]:
                    await link.call(b"HDEL", link.prefix + "marks:" + self.carrier, *self._undo[shard])
                    self._undo[shard].clear()
                break
            except RedisAwayError:
                await asyncio.sleep(0.02)
        self._halted.discard(shard)
        self._told.set()

    def _submit(self, done: _Round) -> None:
        now = self.links[done.shard].clock_ms()
        batch: list[Submission] = []
        whole, bars = self.provider.whole, self._bars()
        journeys: dict[bytes, Journey] = {}  # many have the same
        for run in done.taken:
            mark = mark_of(run)
            mark.ids, mark.before = [entry.entry_id for entry in run.entries], self._newest.get(run.reader)
            self._newest[run.reader] = mark
            for entry in run.entries:
                try:
                    if (journey := journeys.get(entry.journey)) is None:
                        journey = journeys[entry.journey] = unpack_journey(entry.journey)
                    flight = Flight(entry, mark, entry.message, journey, 0, [])
                except (UnknownVersionError, msgspec.DecodeError):
                    self._owner.settle(done.shard, *_damaged(entry_flight(entry, mark)))
                    continue
                if journey.treatment:
                    apply_treatment(flight)
                m = flight.message
                if m.test and not self.sandbox:
                    self._owner.settle(done.shard, flight, astray(flight))
                    continue
                barred = self._barred(m, now) if bars else None
                if barred is not None and (away := turned_away(flight, barred)) is not None:
                    self._owner.settle(done.shard, flight, away)
                    continue
                texts = (m.text,) if m.parts == 1 else self.provider.split(m.text, m.encoding)
                made = submissions(flight, texts, whole)
                if not made:
                    self._owner.settle(done.shard, flight, judge(flight, now))
                elif made[0].deadline_ms <= now:
                    self._owner.settle(done.shard, flight, expired(flight))
                else:
                    batch += made
        if batch:
            for klass, number in Counter(s.klass for s in batch).items():
                marked(self.carrier, klass).inc(number)
            self._ready.append(batch)
            self._ready_count += len(batch)
            self._feed()
            if self._prepares is not None and self._ready and self._ready[-1] is batch:
                self._prepares.prepare(batch)


def in_order(runs: list[Taken]) -> list[Taken]:
    """By where they began; those that had been held back first."""
    return sorted(runs, key=lambda run: order(run.before) if run.before else (0, 0))


def mark_of(run: Taken) -> Mark:
    """The mark that covers a run."""
    return Mark(run.lane.shard, run.reader.stream, run.entries[0].entry_id, run.entries[-1].entry_id, len(run.entries))


def entry_flight(entry: object, mark: Mark) -> Flight:
    """A flight of an entry whose message or journey cannot be read."""
    return Flight(entry, mark, None, None, 0, [])  # type: ignore[arg-type]


def _damaged(flight: Flight) -> tuple[Flight, Verdict]:
    return flight, Verdict([Ended(flight.entry.message_id, State.FAILED, Reason.DAMAGED)])
