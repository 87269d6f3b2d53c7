"""One run of one load: fresh servers, a warm-up, the load, its end in PostgreSQL, the account.

In: the name of a load and how many messages. Out: one flat result with the keys of the benchmark.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import account, calibration
from bench.floors import WINDOW_DELAY_S
from bench.load import Order, Report
from bench.profile import PRELOAD, Profile
from bench.receiver import Count, Receiver
from bench.servers import Loader, World, world
from gateway.message import id_bytes, id_time_ms

OTP_PREFIX = "7999"
OTP_RATE = 100.0
POLL_S = 0.05
STALL_S = 30.0
WARM = 2_000


@dataclass(frozen=True)
class Load:
    """What is sent and how the sandbox behaves."""

    words: str
    kind: str = "batches"
    connections: int = 4
    klass: str = "transactional"
    window: int = 500
    profile: Mapping[str, Any] = field(default_factory=dict)
    otp: bool = False
    queued: bool = False
    """Everything is accepted and recorded first, while the carrier is paused; then it is let go."""
    callbacks: str = ""
    """Who is told of each delivered message: `url` of the message, or an endpoint that takes events `bundled`."""


_SLOW = {"answer_delay_ms": WINDOW_DELAY_S * 1000}
LOADS = {
    "batches": Load("batches of 500, receipts at once"),
    "late": Load("batches of 500, receipts 2 s later", profile={"receipt_delay_s": 2}),
    "singles": Load("single POSTs over 64 connections, receipts at once", kind="singles", connections=64),
    "otp": Load("otp while marketing is queued", klass="marketing", profile={"watch": OTP_PREFIX}, otp=True),
    "callbacks": Load("single POSTs, a callback each", kind="singles", connections=64, callbacks="url"),
    "callbacks_bundled": Load("batches of 500, a callback each, bundled", callbacks="bundled"),
    # alert, because a tenth of the window is kept free of bulk classes: they could not reach the floor by design.
    "window100": Load("queued, answers after 20 ms, window 100", klass="alert", profile=_SLOW, window=100, queued=True),
    "window500": Load("queued, answers after 20 ms, window 500", klass="alert", profile=_SLOW, window=500, queued=True),
}


@dataclass
class Ended:
    """How it ended in PostgreSQL."""

    delivered: int
    at: float


async def run_load(
    name: str, messages: int, folder: Path | None = None, ndjson: bool = False, profile: Path | None = None
) -> dict[str, Any]:
    """The result of one run. `folder`: where the servers' files stay; `profile`: where profiles go."""
    load = LOADS[name]
    loops = [calibration.loop_s()]
    async with AsyncExitStack() as stack:
        w = await stack.enter_async_context(world(load.profile, load.window, folder, PRELOAD if profile else {}))
        receiver = await stack.enter_async_context(w.receiver(load.callbacks == "bundled")) if load.callbacks else None
        more = {"callback_url": receiver.url} if receiver is not None and load.callbacks == "url" else {}
        told = await _warm_up(w, load, receiver, more)
        order = _order(w, load, messages, name, first=0, ndjson=ndjson, **more)
        watcher = Profile(w, profile, name) if profile else None
        if watcher is not None:
            await watcher.start()
        result = await _measure(w, load, order, receiver, told)
        if watcher is not None and profile is not None:
            (profile / f"{name}.txt").write_text(await watcher.stop())
    loops.append(calibration.loop_s())
    measured = sum(loops) / len(loops)
    ref = calibration.reference()
    scale = {"loop_s": round(measured, 4), "reference_s": ref.loop_s, "reference_machine": ref.machine}
    return {"load": name, "words": load.words} | result | {"calibration": scale, "machine": calibration.machine()}


def _order(w: World, load: Load, messages: int, run: str, first: int, **more: Any) -> Order:
    given: dict[str, Any] = {"kind": load.kind, "klass": load.klass, "connections": load.connections} | more
    return Order(address=w.address, key=w.key, messages=messages, run=run, first=first, **given)


async def _warm_up(w: World, load: Load, receiver: Receiver | None, more: dict[str, Any]) -> int:
    """A few messages before, so that nothing is measured for the first time; other numbers, other refs. How many
    callbacks came of them."""
    told = 0
    if receiver is not None and load.callbacks == "bundled":
        told = await _until_known(w, load, receiver)
    loader = Loader(_order(w, load, WARM, "warm", first=9_000_000, batch=100, **more))
    await loader.prepare()
    await loader.go()
    report = await loader.report()
    ended = await _until_delivered(w, "warm", WARM)
    if ended.delivered < WARM:
        raise RuntimeError(
            f"warm-up: {ended.delivered} of {WARM} delivered; {report.words or await _states(w, 'warm')}"
        )
    if receiver is not None:
        count = await _until_told(receiver, told + WARM)
        if count.distinct < told + WARM:
            raise RuntimeError(f"warm-up: {count.distinct - told} of {WARM} callbacks came")
        told = count.distinct
    await w.sandbox("POST", "/stats/reset")
    return told


async def _until_known(w: World, load: Load, receiver: Receiver) -> int:
    """A new endpoint is known everywhere within a second: one message after the other until it is told of one."""
    for number in range(100):
        run = f"probe{number:02d}"
        loader = Loader(_order(w, load, 1, run, first=9_900_000 + number, batch=1))
        await loader.prepare()
        await loader.go()
        await loader.report()
        await _until_delivered(w, run, 1)
        if (count := await receiver.count()).events:
            return count.distinct
        await asyncio.sleep(POLL_S)
    raise RuntimeError("warm-up: the new endpoint was told of no message")


async def _measure(w: World, load: Load, order: Order, receiver: Receiver | None, before_it: int) -> dict[str, Any]:
    loader = Loader(order)
    await loader.prepare()
    otp = Loader(_otp_order(w, load, order.messages)) if load.otp else None
    if otp is not None:
        await otp.prepare()
    if load.queued:
        await w.carrier("pause")
    before, busy = account.cpu_seconds(w.pids), account.busy_seconds()
    await loader.go()
    report = await loader.report()
    began_at = report.began_at
    if load.queued:
        await _until_recorded(w, order.run, report.accepted)
        before, busy = account.cpu_seconds(w.pids), account.busy_seconds()
        began_at = time.time()
        await w.carrier("resume")
    load_cpu = report.cpu_s
    extra: dict[str, Any] = {}
    if otp is not None:
        await otp.go()
        paced = await otp.report()
        load_cpu += paced.cpu_s
        extra = await _otp_times(w, paced, order.messages)
    ended = await _until_delivered(w, order.run, report.accepted)
    if receiver is not None:
        told = await _until_told(receiver, before_it + report.accepted)
        ended = Ended(ended.delivered, max(ended.at, told.last_at))
        extra |= {
            "callbacks": told.distinct - before_it,
            "callbacks_lost": report.accepted + before_it - told.distinct,
            "callbacks_repeated": told.events - told.distinct,
            "callback_requests": told.requests,
        }
    after, busy = account.cpu_seconds(w.pids), account.busy_seconds() - busy
    ours = sum(after.values()) - sum(before.values()) + load_cpu
    extra["foreign_cpu"] = round(max(0.0, busy - ours) / max(0.1, ended.at - began_at), 2)
    cost = account.per_message(before | {"load": 0.0}, after | {"load": load_cpu}, max(1, order.messages))
    return _result(report, began_at, ended, cost) | await _verdict(w, order, report, ended, load.otp) | extra


def _result(report: Report, began_at: float, ended: Ended, cost: dict[str, float]) -> dict[str, Any]:
    took = max(1e-9, ended.at - began_at)
    return {
        "messages": report.accepted,
        "messages_per_s": round(ended.delivered / took, 1),
        "seconds": round(took, 3),
        "accept_per_s": round(report.accepted / max(1e-9, report.ended_at - report.began_at), 1),
        "accept_p50_ms": report.accept_p50_ms,
        "accept_p99_ms": report.accept_p99_ms,
        "accept_retries": report.retried,
        "accept_refused": report.refused,
        "refusal": report.words,
        "cpu_us_per_message": cost,
    }


async def _verdict(w: World, order: Order, report: Report, ended: Ended, shared: bool) -> dict[str, Any]:
    """Lost and doubled, from PostgreSQL and from what the sandbox counted."""
    stats = await w.sandbox("GET", "/stats")
    wire_s = stats["last_submit"] - stats["first_submit"]
    lost_on_wire = 0 if shared else report.accepted - stats["distinct"]
    return {
        "wire_per_s": round(stats["submits"] / wire_s, 1) if wire_s > 0 else 0.0,
        "lost": max(0, report.accepted - ended.delivered, lost_on_wire),
        "doubled": stats["doubled"],
        "states": await _states(w, order.run),
        "submits": stats["submits"],
        "carrier_delay_ms": round(stats["delayed_s"] / max(1, stats["delayed_answers"]) * 1000, 2),
        "receipts_resent": stats["receipts_resent"],
        "receipts_dropped": stats["receipts_dropped"],
        "receipt_backlog": stats["receipts_waiting"] + stats["receipts_unacked"] + stats["receipts_scheduled"],
    }


async def _until_delivered(w: World, tag: str, expected: int) -> Ended:
    """Until the roll-ups show all as delivered, or nothing has moved for `STALL_S`. They are booked in the transaction
    of the rows, and reading them costs next to nothing."""
    delivered, moved_at = 0, time.monotonic()
    query = "select coalesce(sum(messages), 0)::bigint from stats_minute where tag = $1 and state = 'delivered'"
    while time.monotonic() - moved_at < STALL_S:
        found = await w.sql.fetchval(query, tag)
        at = time.time()
        if found >= expected:
            return Ended(found, at)
        if found != delivered:
            delivered, moved_at = found, time.monotonic()
        await asyncio.sleep(POLL_S)
    return Ended(delivered, time.time())


async def _until_told(receiver: Receiver, expected: int) -> Count:
    """Until so many events have come, or none came for `STALL_S`."""
    count, moved_at = await receiver.count(), time.monotonic()
    while count.distinct < expected and time.monotonic() - moved_at < STALL_S:
        await asyncio.sleep(POLL_S)
        before, count = count, await receiver.count()
        if count.events != before.events:
            moved_at = time.monotonic()
    return count


async def _until_recorded(w: World, tag: str, expected: int) -> None:
    """Until every accepted message is a row."""
    query = "select coalesce(sum(messages), 0)::bigint from stats_minute where tag = $1"
    deadline = time.monotonic() + STALL_S * 4
    while await w.sql.fetchval(query, tag) < expected:
        if time.monotonic() > deadline:
            raise RuntimeError("the recorder did not catch up with what was accepted")
        await asyncio.sleep(POLL_S)


async def _states(w: World, tag: str) -> dict[str, int]:
    """The rows themselves, by state."""
    rows = await w.sql.fetch("select state, count(*) from messages where tag = $1 group by state", tag)
    return {row["state"]: row["count"] for row in rows}


def _otp_order(w: World, load: Load, messages: int) -> Order:
    """Paced so that it ends while most of the marketing messages are still queued."""
    count = max(20, messages // 300)
    more = {"kind": "paced", "klass": "otp", "prefix": OTP_PREFIX, "connections": 8, "rate": OTP_RATE}
    return _order(w, load, count, "otp", 0, **more)


async def _otp_times(w: World, report: Report, marketing: int) -> dict[str, Any]:
    """From accepting (the id's own time) and from sending the request to the arrival at the SMSC."""
    stats = await w.sandbox("GET", "/stats")
    await _until_delivered(w, "otp", report.accepted)
    shown = (await w.sandbox("GET", f"/messages?limit={len(report.paced) + 1}"))["messages"]
    arrived = {message["text"]: message["at"] for message in shown}
    on_wire, from_post = [], []
    for sent in report.paced:
        at = arrived.get(f"Benchmark message otp-{sent.number:07d}: your order is on its way")
        if at is not None:
            on_wire.append(max(0.0, at - id_time_ms(id_bytes(sent.id)) / 1000))
            from_post.append(at - sent.sent_at)
    return (
        {
            "otp_messages": report.accepted,
            "otp_arrived": len(on_wire),
            "otp_queued_at_end": max(0, marketing - int(stats["submits"])),
            "otp_accept_p50_ms": report.accept_p50_ms,
            "otp_accept_p99_ms": report.accept_p99_ms,
        }
        | account.milliseconds(on_wire, "otp_wire")
        | account.milliseconds(from_post, "otp_post_to_wire")
    )
