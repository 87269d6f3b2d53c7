"""The daemon: every stage of this process, started in the order of the data path's end to its beginning.

In: settings. Out: running stages, stopped in reverse. It alone knows every stage. A stage that fails stops the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway import metrics
from gateway.config import Settings
from gateway.datasets.files import directory_of
from gateway.live import datasets as live_datasets
from gateway.live import endpoints as live_endpoints
from gateway.live import numbers as live_numbers
from gateway.live import sheets as live_sheets
from gateway.live import stops as live_stops
from gateway.live.plan import LivePlan, keep_published
from gateway.ops.health import Health, LogCounter, measure_loop_lag
from gateway.ops.probes import probe_postgres
from gateway.ops.startup import check_store
from gateway.ops.systemd import Systemd, status_line
from gateway.store.pool import Pool
from gateway.streams.link import Redis
from gateway.streams.opening import Openness

log = logging.getLogger("daemon")


DATASETS_S = 15.0
"""How long a start waits for numbering plans and the like, so that no message goes by what was before."""


_ABLE_EVERY_S = 0.01

_MODULES = {
    "api": "gateway.api.app",
    "router": "gateway.router.stage",
    "connector": "gateway.connector.stage",
    "receipts": "gateway.receipts.matcher",
    "recorder": "gateway.recorder.recorder",
    "notifier": "gateway.notifier.stage",
}
"""What takes long to load of each role."""


class ListenError(Exception):
    """An address cannot be listened on; the text names it and says why."""


class StageError(Exception):
    """A stage ended that should have gone on; the cause says why."""


def load(roles: Iterable[str]) -> None:
    """Load the stages of these roles ahead of `run`."""
    for role in roles:
        if role in _MODULES:
            importlib.import_module(_MODULES[role])


async def run(
    settings: Settings, *, ready: Callable[[str], None], able: Callable[[Mapping[str, str]], None] | None = None
) -> None:
    """Run the stages of `settings.roles` until cancelled or told to stop by SIGTERM or SIGINT.

    `ready` gets the address once everything serves; then `able` what keeps it from working, until nothing does.
    Raises RedisAwayError when Redis cannot be reached at the start, UnfitStoreError for a PostgreSQL that the stages
    cannot work with, ListenError when the address is taken, StageError when a stage ended by itself.
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
        datasets = live_datasets.LiveDatasets(redis, pool, directory_of(settings.cache_dir, settings.redis_url), owner)
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
        world = _World(settings, redis, pool, owner, plan, audience, stops, publisher)
        roles = set(settings.roles)
        if "notifier" in roles:
            _start_notifier(stages, world)
        if "recorder" in roles:
            _start_recorder(stages, world)
        if "receipts" in roles:
            _start_receipts(stages, world)
        if "connector" in roles:
            _start_connector(stages, world)
        used = _start_asking(stages, world) if roles & {"api", "router"} else None
        if used and "router" in roles:
            _start_router(stages, world, used)
        try:
            if used and "api" in roles:
                url = await _serve_api(stack, world, health, used)
            else:
                url = await _serve_pages(stack, settings, health)
        except OSError as e:
            address = settings.listen if "api" in roles else settings.metrics_listen
            raise ListenError(f"cannot listen on {address}: {e.strerror or e}") from e
        _settle_garbage()
        log.info("ready", extra={"roles": ",".join(settings.roles), "url": url})
        ready(url)
        systemd.tell("READY=1")
        if able is not None:
            telling = asyncio.create_task(_tell_until_able(health, able), name="until able")
            stack.push_async_callback(_end, telling)
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


@dataclass(frozen=True)
class _World:
    """What every stage may need."""

    settings: Settings
    redis: Redis
    pool: Pool
    owner: str
    plan: LivePlan
    audience: live_endpoints.LiveEndpoints
    stops: live_stops.LiveStops
    publisher: live_stops.Publisher


Used = Callable[[str, str, str], int]

# Each role imports its own stages: a process starts as fast as what it runs, not as what it could run.


def _start_notifier(stages: _Stages, w: _World) -> None:
    from gateway.notifier.stage import Notifier

    stages.start("notifier", Notifier(w.settings, w.redis, w.pool, w.audience, w.owner).run())


def _start_recorder(stages: _Stages, w: _World) -> None:
    from gateway.recorder.recorder import run_recorder

    for shard in range(w.redis.shards):
        work = run_recorder(w.settings, w.redis, w.pool, shard, w.owner, w.audience.current)
        stages.start(f"recorder {shard}", work)


def _start_receipts(stages: _Stages, w: _World) -> None:
    from gateway.live.budgets import correct_budgets
    from gateway.live.volumes import publish_volumes
    from gateway.ops.awaited import count_awaited
    from gateway.ops.probes import count_leftovers
    from gateway.receipts.chances import run_estimator
    from gateway.receipts.matcher import run_matcher
    from gateway.stats.summing import keep_summed

    settings, redis, pool, plan = w.settings, w.redis, w.pool, w.plan.current
    matcher = run_matcher(settings, redis, pool, w.owner, w.audience.current, plan, w.publisher.nudge)
    stages.start("receipts", matcher)
    stages.start("chances", run_estimator(settings, redis, pool, w.owner))
    stages.start("leftovers", count_leftovers(pool, redis))
    stages.start("awaited receipts", count_awaited(pool, redis))
    stages.start("budgets", correct_budgets(settings, redis, pool, w.owner, plan))
    stages.start("month volumes", publish_volumes(settings, redis, pool, w.owner, plan))
    stages.start("summaries", keep_summed(pool, redis.clock_ms))


def _start_connector(stages: _Stages, w: _World) -> None:
    from gateway.connector.stage import Stage

    sending = Stage(w.settings, w.redis, w.owner, w.plan.current, w.stops.which, w.stops.is_any)
    stages.start("connector", sending.run())


def _start_asking(stages: _Stages, w: _World) -> Used:
    """What those need who ask the plan where a message goes."""
    from gateway.live.volumes import LiveVolumes

    volumes = LiveVolumes(w.redis)
    stages.start("volumes", volumes.watch())
    stages.start("numbers", w.plan.keep_prepared())
    return volumes.used


def _start_router(stages: _Stages, w: _World, used: Used) -> None:
    from gateway.ops.carriers import watch_carriers
    from gateway.ops.movement import measure_movement
    from gateway.ops.probes import probe_redis
    from gateway.ops.queues import measure_queues
    from gateway.router import stage as router

    plan = w.plan.current
    stages.start("router", router.run(w.settings, w.redis, w.owner, plan, used, w.stops.which, w.stops.is_any))
    stages.start("unmapped operators", live_numbers.count_unmapped(plan))
    stages.start("queue gauges", measure_queues(w.redis))
    stages.start("queue movement", measure_movement(w.redis))
    stages.start("carrier gauges", watch_carriers(w.redis, plan))
    stages.start("redis probe", probe_redis(w.redis))


async def _serve_api(stack: contextlib.AsyncExitStack, w: _World, health: Health, used: Used) -> str:
    from gateway.api.app import serve
    from gateway.api.recipients import Recipients

    recipients = Recipients(w.stops.which, w.plan.current, w.stops.is_any)
    server = await serve(w.settings, w.redis, w.pool, w.plan, health, recipients, used)
    stack.push_async_callback(server.close)
    return server.url


async def _serve_pages(stack: contextlib.AsyncExitStack, settings: Settings, health: Health) -> str:
    """Where a process without the api shows its pages; empty: nowhere."""
    if not settings.metrics_listen:
        return ""
    from gateway.ops.pages import HealthServer

    pages = await HealthServer.open(settings.metrics_listen, health)
    stack.push_async_callback(pages.close)
    return pages.url


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


async def _tell_until_able(health: Health, able: Callable[[Mapping[str, str]], None]) -> None:
    told: Mapping[str, str] | None = None
    while told != {}:
        reasons = {name: said for name, said in health.reasons().items() if said}
        if reasons != told:
            able(reasons)
            told = reasons
        await asyncio.sleep(_ABLE_EVERY_S)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


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
