"""The notifier stage: for each slot of the outbox a lease, and while it is held, a `Slot` at work.

In: settings, Redis, PostgreSQL, word of new events and of changed endpoints. Out: callbacks. Several processes take
turns by leases; one that dies is replaced within the lease's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from typing import Final

import asyncpg

from gateway import logs, metrics
from gateway.callbacks import address
from gateway.callbacks.audience import SLOTS
from gateway.config import Settings, SettingsError
from gateway.live import endpoints as live_endpoints
from gateway.live.endpoints import LiveEndpoints
from gateway.message import make_id
from gateway.notifier.dial import Dialer
from gateway.notifier.directory import Directory
from gateway.notifier.slot import Slot, jittered
from gateway.store import endpoints, outbox
from gateway.store.callbacks import CHANNEL
from gateway.store.days import DAY_MS
from gateway.store.pool import Pool, StoreAwayError, connect
from gateway.streams.lease import Lease
from gateway.streams.link import Redis, RedisAwayError, ScriptError

log = logs.stage("notifier")

KEEP_HOUSE_S: Final = 15.0
MANY_CONNECTIONS: Final = 1_000
"""From here on a target gets no more than two connections, so that there are some for everybody."""
_FEW: Final = 2
_FILES: Final = 65_536
_AWAY_S: Final = 1.0


class Connections:
    """Connections of this process to applications."""

    def __init__(self, per_target: int) -> None:
        self._per_target = per_target
        self.open = 0

    def limit(self) -> int:
        """How many one target may have now."""
        return self._per_target if self.open < MANY_CONNECTIONS else _FEW


class Notifier:
    """One a process."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        pool: Pool,
        live: LiveEndpoints,
        owner: str = "",
        dialer: Dialer | None = None,
    ) -> None:
        self._settings, self._redis, self._pool = settings, redis, pool
        self._owner = owner or f"{socket.gethostname()}:{os.getpid()}"
        try:
            allowed = address.networks(settings.callbacks_allow)
        except ValueError as e:
            raise SettingsError(f"callbacks_allow: {e}; write networks such as 10.0.0.0/8") from e
        self._dialer = dialer or Dialer(allowed)
        self._connections = Connections(settings.callbacks_connections)
        self._directory = Directory(pool)
        self._slots: dict[int, Slot] = {}
        self._leftovers: set[asyncio.Task[None]] = set()
        live.on_change(self._endpoints_changed)

    async def run(self) -> None:
        """Until cancelled."""
        _allow_files()
        tasks = [asyncio.create_task(self._serve(number), name=f"notifier slot {number}") for number in range(SLOTS)]
        tasks.append(asyncio.create_task(self._listen(), name="notifier word of events"))
        tasks.append(asyncio.create_task(self._keep_house(), name="notifier housekeeping"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks += self._leftovers
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, number: int) -> None:
        while True:
            lease = Lease(self._redis.link(None), f"lease:notifier:{number}", self._owner, self._settings.lease_s)
            await lease.acquire()
            slot = self._slots[number] = Slot(
                number,
                self._pool,
                self._redis.clock_ms,
                self._directory,
                self._dialer,
                self._connections,
                self._publish_soon,
            )
            try:
                await lease.while_held(slot.run(), f"notifier slot {number} at work")
            finally:
                self._slots.pop(number, None)
                for gauge in (metrics.callbacks_waiting, metrics.callbacks_age, metrics.callbacks_retrying):
                    gauge.remove(str(number))  # whoever has the slot now shows it
                await lease.release()

    async def _listen(self) -> None:
        """PostgreSQL tells of new events; when it cannot, slots look by themselves every second."""
        while True:
            try:
                connection = await connect(self._settings.postgres_url)
            except StoreAwayError:
                await asyncio.sleep(_AWAY_S)
                continue
            try:
                ended = asyncio.Event()
                connection.add_termination_listener(lambda *_, ended=ended: ended.set())
                await connection.add_listener(CHANNEL, self._told)
                for slot in self._slots.values():
                    slot.wake()
                await ended.wait()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as e:
                log.warning("notifier_hears_nothing", why=type(e).__name__)
                await asyncio.sleep(_AWAY_S)
            finally:
                with contextlib.suppress(Exception):  # it is gone, or goes now
                    await connection.close(timeout=1)

    def _told(self, _: object, __: int, ___: str, payload: str) -> None:
        for number in payload.split(","):
            if number.isdigit() and (slot := self._slots.get(int(number))) is not None:
                slot.wake()

    def _endpoints_changed(self) -> None:
        self._directory.mark_stale()
        for slot in self._slots.values():
            slot.wake()

    def _publish_soon(self) -> None:
        task = asyncio.create_task(self._publish(), name="publish endpoints")
        self._leftovers.add(task)
        task.add_done_callback(self._leftovers.discard)

    async def _publish(self) -> None:
        try:
            await live_endpoints.publish(self._pool, self._redis)
        except (StoreAwayError, RedisAwayError, ScriptError) as e:
            log.warning("endpoints_not_published", reason=e)  # made up for within half a minute

    async def _keep_house(self) -> None:
        pause_s = 1.0
        while True:
            await asyncio.sleep(jittered(pause_s))
            pause_s = KEEP_HOUSE_S
            try:
                for slot in list(self._slots.values()):
                    await slot.keep_house()
                if 0 in self._slots:
                    await self._forget()
                disabled, failing = self._directory.counts()
                metrics.endpoints_disabled.set(disabled)
                metrics.endpoints_failing.set(failing)
                metrics.callback_connections.set(self._connections.open)
            except (StoreAwayError, asyncpg.PostgresError, outbox.SlotLostError) as e:
                log.info("housekeeping_put_off", why=type(e).__name__)

    async def _forget(self) -> None:
        """What one notifier does for all: rows of the former release, old rows, endpoints whose time is over."""
        async with self._pool.transaction() as connection:
            await outbox.adopt(connection)
            await endpoints.remove_expired(connection)
        keep_ms = int(self._settings.callbacks_keep_days * DAY_MS)
        before = make_id(self._redis.clock_ms() - keep_ms, bytes(10))
        removed = outbox.DELETE_ROWS
        while removed == outbox.DELETE_ROWS:
            async with self._pool.transaction() as connection:
                removed = await outbox.remove_old(connection, before)


def _allow_files() -> None:
    """As many open connections as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
