"""The daemon: every stage of this process, started in the order of the data path's end to its beginning.

In: settings. Out: running stages, stopped in reverse. It alone knows every stage. A stage that fails stops the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from gateway import metrics
from gateway.api.app import serve
from gateway.api.recipients import Recipients
from gateway.config import Settings
from gateway.connector.stage import Stage as ConnectorStage
from gateway.datasets.files import directory_of
from gateway.live import datasets as live_datasets
from gateway.live import endpoints as live_endpoints
from gateway.live import numbers as live_numbers
from gateway.live import sheets as live_sheets
from gateway.live import stops as live_stops
from gateway.live import volumes as live_volumes
from gateway.live.budgets import correct_budgets
from gateway.live.plan import LivePlan, keep_published
from gateway.notifier.stage import Notifier
from gateway.ops.awaited import count_awaited
from gateway.ops.carriers import watch_carriers
from gateway.ops.health import Health, HealthServer, LogCounter, measure_loop_lag
from gateway.ops.movement import measure_movement
from gateway.ops.probes import count_leftovers, probe_postgres, probe_redis
from gateway.ops.queues import measure_queues
from gateway.ops.startup import check_store
from gateway.ops.systemd import Systemd, status_line
from gateway.receipts.chances import run_estimator
from gateway.receipts.matcher import run_matcher
from gateway.recorder.recorder import run_recorder
from gateway.router import stage as router
from gateway.store.pool import Pool
from gateway.streams.link import Redis
from gateway.streams.opening import Openness

log = logging.getLogger("daemon")


DATASETS_S = 15.0
"""How long a start waits for numbering plans and the like, so that no message goes by what was before."""


class ListenError(Exception):
    """An address cannot be listened on; the text names it and says why."""


class StageError(Exception):
    """A stage ended that should have gone on; the cause says why."""


async def run(settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Run the stages of `settings.roles` until cancelled or told to stop by SIGTERM or SIGINT.

    `ready` gets the address once everything serves. Raises RedisAwayError when Redis cannot be reached at the start,
    UnfitStoreError for a PostgreSQL that the stages cannot work with, ListenError when the address is taken, StageError
    when a stage ended by itself.
    """
    stop, failed = _stop_on_signals(), asyncio.Event()
    owner = f"{socket.gethostname()}:{os.getpid()}"
    systemd = Systemd.from_environ(os.environ)
    _begin_metrics(settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(systemd.close)
        redis = await Redis.open(settings.redis_url, settings.shards)
        stack.push_async_callback(redis.close)
        pool = await Pool.open(settings.postgres_url)
        stack.push_async_callback(pool.close)
        await check_store(pool)
        health = Health()
        health.add("redis", lambda: "" if redis.link(None).is_up else f"away: {redis.link(None).error}")
        stages = _Stages(stack, failed)
        stages.start("systemd", systemd.feed(stages.are_alive, lambda: status_line(health.reasons())))
        stages.start("loop lag", measure_loop_lag())
        stages.start("postgres probe", probe_postgres(pool))
        openness = Openness(redis)
        stages.start("open shards", openness.run())
        health.add("shards", openness.closed)
        plan = LivePlan(redis)
        stages.start("plan", plan.watch())
        stages.start("plan mirror", keep_published(pool, redis))
        datasets = live_datasets.LiveDatasets(redis, pool, directory_of(settings.cache_dir, settings.redis_url))
        live_sheets.attach(datasets, plan)
        live_numbers.attach(datasets, plan)
        stages.start("datasets", datasets.watch())
        if not await datasets.settled(DATASETS_S):
            log.warning("datasets_late", extra={"seconds": DATASETS_S})
        stages.start("datasets mirror", live_datasets.keep_published(pool, redis))
        health.add("plan", lambda: "" if plan.current() else "no plan is active: `sluice plan apply FILE --activate`")
        audience = live_endpoints.LiveEndpoints(redis)
        stages.start("endpoints", audience.watch())
        stages.start("endpoints mirror", live_endpoints.keep_published(pool, redis))
        await live_stops.publish_first(pool, redis)
        stops, publisher = live_stops.LiveStops(redis), live_stops.Publisher(pool, redis)
        await stops.load()
        stages.start("stop lists", stops.watch())
        stages.start("stop lists mirror", publisher.run())
        roles = set(settings.roles)
        if "notifier" in roles:
            stages.start("notifier", Notifier(settings, redis, pool, audience, owner).run())
        if "recorder" in roles:
            for shard in range(redis.shards):
                stages.start(f"recorder {shard}", run_recorder(settings, redis, pool, shard, owner, audience.current))
        if "receipts" in roles:
            stages.start(
                "receipts", run_matcher(settings, redis, pool, owner, audience.current, plan.current, publisher.nudge)
            )
            stages.start("chances", run_estimator(settings, redis, pool, owner))
            stages.start("leftovers", count_leftovers(pool, redis))
            stages.start("awaited receipts", count_awaited(pool, redis))
            stages.start("budgets", correct_budgets(settings, redis, pool, owner, plan.current))
            stages.start("month volumes", live_volumes.publish_volumes(settings, redis, pool, owner, plan.current))
        if "connector" in roles:
            sending = ConnectorStage(settings, redis, owner, plan.current, stops.which, stops.is_any)
            stages.start("connector", sending.run())
        volumes = live_volumes.LiveVolumes(redis)
        if roles & {"api", "router"}:
            stages.start("volumes", volumes.watch())
        if "router" in roles:
            routing = router.run(settings, redis, owner, plan.current, volumes.used, stops.which, stops.is_any)
            stages.start("router", routing)
            stages.start("unmapped operators", live_numbers.count_unmapped(plan.current))
            stages.start("queue gauges", measure_queues(redis))
            stages.start("queue movement", measure_movement(redis))
            stages.start("carrier gauges", watch_carriers(redis, plan.current))
            stages.start("redis probe", probe_redis(redis))
        recipients = Recipients(stops.which, plan.current, stops.is_any) if "api" in roles else None
        url = await _listen(settings, redis, pool, plan, health, stack, recipients, volumes.used)
        _settle_garbage()
        log.info("ready", extra={"roles": ",".join(settings.roles), "url": url})
        ready(url)
        systemd.tell("READY=1")
        await _until(stop, failed)
        log.info("stopping")
        systemd.tell("STOPPING=1")
    stages.check()


def _begin_metrics(settings: Settings) -> None:
    metrics.begin(settings.roles)
    metrics.redis_memory_threshold.labels("accept").set(settings.memory_accept)
    metrics.redis_memory_threshold.labels("sending").set(settings.memory_mark)
    logging.getLogger().addHandler(LogCounter())


def _settle_garbage() -> None:
    """What the start made stays for good: the collector need not walk it again, and may look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)


async def _listen(
    settings: Settings,
    redis: Redis,
    pool: Pool,
    plan: LivePlan,
    health: Health,
    stack: contextlib.AsyncExitStack,
    recipients: Recipients | None,
    used: Callable[[str, str, str], int],
) -> str:
    try:
        if recipients is not None:
            server = await serve(settings, redis, pool, plan, health, recipients, used)
            stack.push_async_callback(server.close)
            return server.url
        if settings.metrics_listen:
            pages = await HealthServer.open(settings.metrics_listen, health)
            stack.push_async_callback(pages.close)
            return pages.url
    except OSError as e:
        raise ListenError(
            f"cannot listen on {settings.metrics_listen if recipients is None else settings.listen}: {e.strerror or e}"
        ) from e
    return ""


class _Stages:
    """Owns the stages' tasks: the last started is stopped first."""

    def __init__(self, stack: contextlib.AsyncExitStack, failed: asyncio.Event) -> None:
        self._stack, self._failed = stack, failed
        self._tasks: list[asyncio.Task[Any]] = []
        self._cause: tuple[str, BaseException | None] | None = None

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)
        self._stack.push_async_callback(self._stop, task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or self._cause is not None:
            return
        self._cause = (task.get_name(), task.exception())
        log.error("stage_failed", extra={"task": task.get_name()}, exc_info=task.exception())
        self._failed.set()

    def are_alive(self) -> bool:
        """Whether no stage has ended by itself. A stage that is told to stop is alive until it has."""
        return self._cause is None

    async def _stop(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        await asyncio.wait((task,))
        log.info("stopped", extra={"task": task.get_name()})

    def check(self) -> None:
        if self._cause is not None:
            name, cause = self._cause
            raise StageError(f"the stage {name} ended: {cause!r}") from cause


def _stop_on_signals() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait(), name="until stopped") for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
