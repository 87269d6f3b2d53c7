"""One slot of the outbox while its lease is held: fetches what is due, hands it to targets, books what came of it.

In: batches and rows of the store. Out: requests, and results in bulk. Never: more of a target in memory than a few
batches; a result booked under a token that is not the slot's last.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import asyncpg
import msgspec

from gateway import logs, metrics
from gateway.callbacks import audience, event
from gateway.callbacks.backoff import GIVE_UP_MS, retry_after_s
from gateway.instruments import Count, Series
from gateway.message import UnknownVersionError
from gateway.notifier.delivery import Delivery, InHand, Item
from gateway.notifier.dial import Dialer
from gateway.notifier.directory import GONE, Closed, Directory
from gateway.notifier.request import place_of
from gateway.notifier.results import Results, count, label, words
from gateway.notifier.target import Room, Target
from gateway.notifier.wire import Answer
from gateway.store import endpoints, outbox
from gateway.store.outbox import Batch, Due, SlotLostError, Tried
from gateway.store.pool import Pool, StoreAwayError

log = logs.stage("notifier")

FETCH_S: Final = 1.0
"""How often a slot looks into the store when nobody told it to."""

_SWEEP_S: Final = 0.25
_SOON_S: Final = 0.05
_ENOUGH: Final = 500  # events that wait in memory for one target
_CLOGGED: Final = 10_000  # results that could not be booked: nothing more is sent until they are
_FORGET_S: Final = 60.0
_AWAY_S: Final = 0.5
_STOP_S: Final = 3.0
_GONE: Final = 410
_SLOW_DOWN: Final = (429, 503)


class Slot:
    """Life: `run` until the slot is lost or it is cancelled. `wake` when there may be something new."""

    def __init__(
        self,
        number: int,
        pool: Pool,
        clock_ms: Callable[[], int],
        directory: Directory,
        dialer: Dialer,
        room: Room,
        on_disabled: Callable[[], None],
    ) -> None:
        self.number, self._pool, self._clock_ms = number, pool, clock_ms
        self._directory, self._dialer, self._room, self._on_disabled = directory, dialer, room, on_disabled
        self._targets: dict[str, Target] = {}
        self._in_hand: dict[int, InHand] = {}
        self._rows_in_hand: set[tuple[bytes, int, str]] = set()
        self._results = Results()
        self._disabled: dict[str, str] = {}
        self._health: dict[str, tuple[int, str]] = {}
        self._recovered: set[str] = set()
        self._careful = False
        self._generation = -1
        self._token = 0
        self._event = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._new = True
        self._fetch_at = 0.0

    def wake(self) -> None:
        """There may be new batches."""
        self._new = True
        self._event.set()

    async def run(self) -> None:
        """Returns when another notifier has the slot."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    if not self._token:
                        await self._take()
                    await self._turn(loop.time())
                except SlotLostError:
                    log.warning("slot_lost", slot=self.number)
                    return
                except (StoreAwayError, asyncpg.PostgresError) as e:
                    log.warning("notifier_waits_for_postgres", slot=self.number, why=type(e).__name__)
                    self._careful = True
                    await asyncio.sleep(_AWAY_S)
        finally:
            await self._stop()

    async def _take(self) -> None:
        async with self._pool.transaction() as connection:
            self._token = await outbox.take(connection, self.number)

    async def _turn(self, now: float) -> None:
        self._event.clear()
        for target in list(self._targets.values()):
            target.sweep(now)
            if target.is_still and now > max(target.used_at + _FORGET_S, target.rest_until):
                self._targets.pop(target.key.name).close()
        if len(self._results) or self._disabled or self._health or self._recovered:
            await self._book()
        if self._new or now >= self._fetch_at:
            await self._fetch(now)
        await self._pause()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SWEEP_S):
                await self._event.wait()

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON_S, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._event.set()

    # Fetching.

    async def _fetch(self, now: float) -> None:
        await self._directory.refresh()
        if self._generation != self._directory.generation:
            self._generation = self._directory.generation
            await self._lead_anew()
        if len(self._results) > _CLOGGED:
            return
        self._new = False
        full = [t.key.name for t in self._targets.values() if t.is_resting or len(t.waiting) > _ENOUGH]
        # Of a batch in hand something may have been let go: what came later must not overtake it.
        broken = {hand.target for hand in self._in_hand.values() if hand.released}
        async with self._pool.connection() as connection:
            batches = await outbox.batches(connection, self.number, broken.union(full), self._in_hand)
        by_target: dict[str, list[Batch]] = {}
        for batch in batches:
            by_target.setdefault(batch.target, []).append(batch)
        for some in by_target.values():
            await self._hand_out(some)
        if len(batches) >= outbox.BATCHES_A_FETCH:
            self.wake()
        if now >= self._fetch_at:
            self._fetch_at = now + FETCH_S
            await self._fetch_due(full)

    async def _fetch_due(self, full: Sequence[str]) -> None:
        without = {*full, *(name for _, _, name in self._rows_in_hand)}
        async with self._pool.connection() as connection:
            due = await outbox.due(connection, self.number, self._clock_ms(), without)
        by_target: dict[str, list[Due]] = {}
        for row in due:
            by_target.setdefault(row.target, []).append(row)
        now = asyncio.get_running_loop().time()
        for name, rows in by_target.items():
            key = audience.Target(self.number, name, rows[0].client, rows[0].endpoint)
            if (target := await self._target(key)) is None:
                continue
            items = [Item(row.event, None, 0, now, row.tries, row.give_up_ms) for row in rows]
            self._rows_in_hand.update((item.event.id, item.event.seq, name) for item in items)
            target.add(items)

    async def _hand_out(self, batches: Sequence[Batch]) -> None:
        """Batches of one target."""
        first = batches[0]
        key = audience.Target(self.number, first.target, first.client, first.endpoint)
        target = await self._target(key, batches)
        if target is None:
            return
        now = asyncio.get_running_loop().time()
        items: list[Item] = []
        for batch in batches:
            items += self._items(batch, now)
        target.more = len(batches) >= outbox.BATCHES_A_TARGET
        later = {item.event.id for item in items if item.event.seq > 1}
        if later:
            try:
                async with self._pool.connection() as connection:
                    behind = await outbox.waiting(connection, key.endpoint, later)
            except BaseException:
                for batch in batches:  # nobody sends them now: they are to be fetched again
                    self._in_hand.pop(batch.id, None)
                raise
            # What fails while the store is asked is not in its answer.
            if behind := behind | self._results.unbooked(key.name) & later:
                held = [item for item in items if item.event.id in behind]
                items = [item for item in items if item.event.id not in behind]
                self.put_off(target, held)
        target.add(items)
        if target.more and len(target.waiting) < _ENOUGH:
            self.wake()

    def _items(self, batch: Batch, now: float) -> list[Item]:
        try:
            events = event.unpack(batch.events)
        except (UnknownVersionError, msgspec.DecodeError) as e:
            log.error("callback_batch_unreadable", e, batch=batch.id)
            self._in_hand[batch.id] = InHand(batch.id, batch.target, batch.at_ms, 0, b"")  # not looked at again
            return []
        hand = InHand(batch.id, batch.target, batch.at_ms, len(events), batch.settled)
        self._in_hand[batch.id] = hand
        return [Item(told, hand, n, now) for n, told in enumerate(events) if not hand.has(n)]

    async def _target(self, key: audience.Target, batches: Sequence[Batch] = ()) -> Target | None:
        """The target, ready to be given items; None when nobody is to be told there any more."""
        if (known := self._targets.get(key.name)) is not None and key.endpoint:
            return known
        destination = await self._directory.destination(key)
        if isinstance(destination, Closed):
            await self._shut(key, destination, batches)
            return None
        if known is not None:
            known.lead_to(destination)
            return known
        target = self._targets[key.name] = Target(key, destination, self, self._dialer, self._room)
        return target

    async def _lead_anew(self) -> None:
        """Endpoints were read anew: their targets lead where they lead now."""
        for target in [target for target in self._targets.values() if target.key.endpoint]:
            destination = await self._directory.destination(target.key)
            if isinstance(destination, Closed):
                self._forget(target)
            else:
                target.lead_to(destination)

    def _forget(self, target: Target) -> None:
        """Send nothing more there, and take no answer: what it has is in the store, and fetched again if need be."""
        target.rest(_FORGET_S)
        self._targets.pop(target.key.name).close()
        self._rows_in_hand = {row for row in self._rows_in_hand if row[2] != target.key.name}
        for hand in [hand for hand in self._in_hand.values() if hand.target == target.key.name]:
            hand.flying, hand.released = 0, True
            if not hand.dirty:
                del self._in_hand[hand.id]

    async def _shut(self, key: audience.Target, closed: Closed, batches: Sequence[Batch]) -> None:
        now_ms = self._clock_ms()
        async with self._pool.transaction() as connection:
            if closed.removed:
                await outbox.drop(connection, self.number, [key.name], GONE)
                return
            tried = [
                Tried(key, item.event, "", 0, 0, closed.why, 0, now_ms, "failed", 0)
                for batch in batches
                for item in self._items(batch, 0.0)
            ]
            ended = [batch.id for batch in batches]
            for number in ended:
                self._in_hand.pop(number, None)
            await outbox.book(connection, self.number, self._token, outbox.Booking(tried, (), ended, ()))
            await outbox.end_waiting(connection, self.number, key.name, closed.why)

    # What targets tell.

    def report(self, target: Target, delivery: Delivery, answer: Answer, took_s: float) -> None:
        """A request has its answer."""
        now_ms = self._clock_ms()
        items, status = delivery.items, answer.status
        for item in items:
            if item.batch is not None:
                item.batch.flying -= 1
            else:
                self._rows_in_hand.discard((item.event.id, item.event.seq, target.key.name))
        attempts, seconds = _shown(label(answer))
        attempts.inc()
        seconds.observe(took_s)
        if 200 <= status < 300:
            self._results.delivered(target.key, items, delivery.url, status, now_ms)
            metrics.callback_delay.observe(max(0, now_ms - items[0].event.at_ms) / 1000, len(items))
        else:
            self._failed(target, delivery, answer, now_ms)
        if len(self._results) >= _ENOUGH or (target.more and len(target.waiting) < _ENOUGH // 2):
            self._new = self._new or target.more
            self._event.set()
        else:
            self._soon()

    def _failed(self, target: Target, delivery: Delivery, answer: Answer, now_ms: int) -> None:
        pause_s = retry_after_s(answer.retry_after, time.time()) if answer.retry_after else 0.0
        final = ""
        if answer.status == _GONE:
            final = words(answer)
            if target.key.endpoint:
                self._disabled[target.key.endpoint] = final
                target.rest(_FORGET_S)
        elif answer.status in _SLOW_DOWN and pause_s:
            target.rest(pause_s)
        self._results.failed(target.key, delivery.items, delivery.url, answer, now_ms, pause_s, final=final)
        log.info(
            "callback_failed",
            target=target.key.endpoint or target.key.client,
            host=place.label if (place := place_of(delivery.url)) else "",
            status=answer.status,
            why=label(answer),
            tries=delivery.items[0].tries + 1,
            events=len(delivery.items),
        )

    def let_go(self, target: Target, items: Sequence[Item]) -> None:
        """The target does not send these now: they are in the store."""
        for item in items:
            if item.batch is not None:
                item.batch.released = True
            else:
                self._rows_in_hand.discard((item.event.id, item.event.seq, target.key.name))
        for hand in {item.batch for item in items if item.batch is not None}:
            if not hand.flying and not hand.dirty:
                self._in_hand.pop(hand.id, None)
        target.more = True

    def put_off(self, target: Target, items: Sequence[Item]) -> None:
        """An earlier event of their message has to go first, and waits."""
        for item in items:
            self._rows_in_hand.discard((item.event.id, item.event.seq, target.key.name))
        self._results.put_off(target.key, list(items), target.destination.url, self._clock_ms())
        self._soon()

    def changed(self, target: Target, error: str) -> None:
        """It begins to rest, or works again."""
        if target.key.endpoint:
            self._health[target.key.endpoint] = (self._clock_ms() if error else 0, error)
        if not error:
            self._recovered.add(target.key.name)
        what = "callbacks_rest" if error else "callbacks_work_again"
        log.warning(what, target=target.key.endpoint or target.key.client)

    # Booking.

    async def _book(self) -> None:
        booking, touched = self._results.take()
        disabled, self._disabled = self._disabled, {}
        health, self._health = self._health, {}
        recovered, self._recovered = self._recovered, set()
        for hand in touched.values():
            hand.dirty = False
        try:
            async with self._pool.transaction() as connection:
                await outbox.book(connection, self.number, self._token, booking, careful=self._careful)
                for endpoint, why in disabled.items():
                    await endpoints.disable(connection, endpoint, why, who="notifier")
                for endpoint, (failing_ms, error) in health.items():
                    await endpoints.note_health(connection, endpoint, failing_ms, error)
                if recovered:
                    await outbox.hasten(connection, self.number, recovered, self._clock_ms())
        except BaseException:
            for hand in touched.values():
                hand.dirty = True
            self._results.give_back(booking, touched)
            self._disabled = disabled | self._disabled
            self._health = health | self._health
            self._recovered |= recovered
            raise
        self._careful = False
        count(booking)
        for hand in touched.values():
            if not hand.dirty and (not hand.left or (hand.released and not hand.flying)):
                self._in_hand.pop(hand.id, None)
        if recovered:
            self._fetch_at = 0.0
        if disabled:
            log.warning("endpoints_disabled", count=len(disabled), why="answered 410")
            self._directory.mark_stale()
            self._on_disabled()

    async def _stop(self) -> None:
        """Send nothing more, wait a little for answers, book them."""
        for target in self._targets.values():
            target.rest(_FORGET_S)
        loop = asyncio.get_running_loop()
        until = loop.time() + _STOP_S
        while any(target.flying for target in self._targets.values()) and loop.time() < until:
            self._event.clear()
            await self._pause()
        for target in self._targets.values():
            target.close()
        if self._timer is not None:
            self._timer.cancel()
        if len(self._results) and self._token:
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._book()
            except (StoreAwayError, SlotLostError, TimeoutError, asyncpg.PostgresError) as e:
                log.warning("callbacks_not_booked", slot=self.number, why=type(e).__name__, events=len(self._results))

    # Now and then.

    async def keep_house(self) -> None:
        """Give up what nobody could try for three days, forget what is long over, measure. Raises StoreAwayError."""
        now_ms = self._clock_ms()
        async with self._pool.transaction() as connection:
            batches = await outbox.overdue(connection, self.number, now_ms - GIVE_UP_MS, 20)
            batches = [batch for batch in batches if batch.id not in self._in_hand]
            await self._give_up(connection, batches, now_ms)
            waiting, oldest_ms, retries = await outbox.measure(connection, self.number)
        label = str(self.number)
        metrics.callbacks_waiting.labels(label).set(waiting)
        metrics.callbacks_age.labels(label).set(max(0, now_ms - oldest_ms) / 1000 if oldest_ms else 0)
        metrics.callbacks_retrying.labels(label).set(retries)

    async def _give_up(self, connection: asyncpg.Connection, batches: Sequence[Batch], now_ms: int) -> None:
        for batch in batches:
            key = audience.Target(self.number, batch.target, batch.client, batch.endpoint)
            known = self._targets.get(batch.target)
            why = f"given up after three days: {known.last_error if known else 'the endpoint did not answer'}"
            items = self._items(batch, 0.0)
            self._in_hand.pop(batch.id, None)
            tried = [Tried(key, i.event, i.event.url, 0, 0, why, 0, now_ms, "failed", 0) for i in items]
            await outbox.book(connection, self.number, self._token, outbox.Booking(tried, (), [batch.id], ()))


@cache
def _shown(result: str) -> tuple[Count, Series]:
    return metrics.callback_attempts.labels(result), metrics.callback_seconds.labels(result)


def jittered(seconds: float) -> float:
    """Spread, so that slots do not all do the same at once."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
