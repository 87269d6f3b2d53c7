"""One run: send, kill, wait until everything rests, judge.

In: how many messages, a seed. Out: `Figures` with what is wrong, if anything is.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from gateway.message import RESEND_CLASSES
from tests.acceptance.gateway_world import until
from tests.callback_receiver import receiving
from tests.chaos.account import extra_parts, findings
from tests.chaos.application import Application
from tests.chaos.books import differences
from tests.chaos.evidence import UNCERTAIN, Evidence, ledger
from tests.chaos.figures import Figures
from tests.chaos.kills import schedule, strike
from tests.chaos.stage import CARRIERS, WINDOW, Stage, stage
from tests.chaos.traffic import OWN, Traffic

_REST_S, _RESTS_PER_S = 200.0, 100.0
"""Nobody waits so long, and a second more for each hundred messages, unless something is stuck."""
_OPEN = "select count(*) from messages where state in ('accepted', 'scheduled', 'routed', 'submitted', 'unknown')"
_CALLBACKS = (
    """select (select count(*) from callback_batches) + (select count(*) from callbacks where done_at is null)"""
)


@dataclass(frozen=True)
class Order:
    """What is asked for. `validity_s` of every message: how long those without a receipt are waited for."""

    messages: int
    seed: int
    validity_s: int = 20


class Clock:
    """How long each phase took."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase] = round(now - self._last, 1)
        self.seconds["duration_s"] = round(now - self._began, 1)
        self._last = now


@asynccontextmanager
async def supervised(made: Stage) -> AsyncIterator[None]:
    """Meanwhile, who ends by himself is started again."""
    task = asyncio.create_task(made.supervise(), name="supervisor")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def run(order: Order, path: Path, cluster: Path | None = None) -> Figures:
    """Everything, on a directory that is empty. Raises AssertionError when it does not come to rest."""
    clock, since = Clock(), datetime.now(UTC)
    async with receiving() as receiver, stage(path, cluster=cluster) as made:
        application = Application(receiver)
        await application.register(made.world)
        traffic = Traffic(made, order.seed, order.messages, order.validity_s, application.own_url)
        clock.lap("starting_s")
        async with supervised(made):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(traffic.run(), name="traffic")
                kills = schedule(order.seed, order.messages)
                deeds = strike(made, kills, lambda: len(traffic.accepted), order.messages)
                struck = tasks.create_task(deeds, name="kills")
            clock.lap("sending_s")
            deadline_s = _REST_S + order.messages / _RESTS_PER_S
            await _rest(made, traffic, deadline_s)
            await _stop(made, deadline_s)
        clock.lap("resting_s")
        evidence = await _evidence(made, traffic, application, struck.result())
        wrong = made.deaths + findings(evidence) + await differences(made.world, since)
        clock.lap("judging_s")
        return _figures(order, evidence, struck.result(), traffic, application, wrong, clock)


async def _rest(made: Stage, traffic: Traffic, deadline_s: float) -> None:
    """Until every message has ended and no carrier has anything to report."""
    w = made.world

    async def ended() -> bool:
        try:
            (rows,) = await w.rows(f"select (select count(*) from messages) as all, ({_OPEN}) as open")
        except (OSError, asyncpg.PostgresError):
            return False
        return rows["all"] >= len(traffic.accepted) and not rows["open"] and await made.quiet_carriers()

    await _until(made, ended, "every message to end", deadline_s)


async def _stop(made: Stage, deadline_s: float) -> None:
    """Stop the gateway in order, once nothing is on its way any more: facts, callbacks."""
    w = made.world
    for name in ("api", "dispatch"):
        made.struck.add(name)
        await w.processes[name].stop()

    async def told() -> bool:
        return not await made.queued() and not (await w.rows(_CALLBACKS))[0][0]

    await _until(made, told, "queues to be empty and callbacks to be sent", deadline_s)
    made.struck.add("recorder")
    await w.processes["recorder"].stop()


async def _until(made: Stage, condition: object, what: str, deadline_s: float) -> None:
    try:
        await until(condition, what, deadline_s)  # type: ignore[arg-type]
    except AssertionError as e:
        states = await made.world.rows("select state, reason, count(*) from messages group by 1, 2 order by 3 desc")
        seen = [tuple(row) for row in states]
        raise AssertionError(f"{e}: {seen}; {await made.queued()}; {made.world.last_words()}") from None


async def _evidence(made: Stage, traffic: Traffic, application: Application, struck: Counter[str]) -> Evidence:
    messages, submissions, receipts = await ledger(made.world.postgres.url)
    made.phones.read()
    binds = len(CARRIERS) * struck["dispatch"] + sum(struck[name] for name in CARRIERS)
    return Evidence(
        accepted={f"+7916{number:07d}": one for number, one in traffic.accepted.items()},
        messages=messages,
        submissions=submissions,
        receipts=receipts,
        phones=made.phones.lines,
        heard=application.heard,
        failures=application.failures,
        own=frozenset(one for number, one in traffic.accepted.items() if number % OWN == 0),
        doubtful=WINDOW * binds,
    )


def _figures(
    order: Order,
    e: Evidence,
    struck: Counter[str],
    traffic: Traffic,
    application: Application,
    wrong: list[str],
    clock: Clock,
) -> Figures:
    states, extra = Counter(message.state for message in e.messages.values()), extra_parts(e)
    over = ("delivered", "undeliverable", "rejected", "failed", "expired", "cancelled")
    return Figures(
        seed=order.seed,
        messages=order.messages,
        accepted=len(e.accepted),
        delivered=states["delivered"],
        undelivered=states["undeliverable"] + states["rejected"] + states["failed"],
        expired=states["expired"],
        waiting=sum(number for state, number in states.items() if state not in over),
        lost=len(set(e.accepted.values()) - e.messages.keys()),
        uncertain=len({s.id for s in e.submissions if s.kind == UNCERTAIN or s.late}),
        doubled=extra.total(),
        doubled_held=sum(n for i, n in extra.items() if e.messages[i].klass not in RESEND_CLASSES),
        doubled_allowed=e.doubtful,
        on_phones=len({line.to for _, line in e.phones}),
        callbacks=sum(map(len, e.heard.values())) + sum(map(len, e.failures.values())),
        callbacks_again=application.again,
        requests_repeated=traffic.repeats,
        kills=dict(sorted(struck.items())),
        findings=wrong,
        **clock.seconds,
    )
