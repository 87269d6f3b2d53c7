"""`python -m bench.limits`: what limits cost and how well they are used. One line of JSON a measurement.

rate:     a carrier that enforces L parts a second with a bucket of L/10, `rate_per_s = L`, over several seconds, for
          L = 50, 500, 5,000, with messages of one part and of one to four, over one bind and over three
fairness: 50,000 messages of a slow operator before 1,000 of a fast one in the same lane
cost:     microseconds that a message costs in a lane without limits, and with limits that have room for it
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvloop

from gateway.config import Settings
from gateway.connector.connector import Connector, Work
from gateway.connector.lanes import Lane, Lanes
from gateway.connector.sieve import Sieve
from gateway.embedded.datadir import short_directory
from gateway.embedded.valkey import Valkey
from gateway.message import Journey, Message, id_tail, make_id, pack_journey, pack_message
from gateway.plan.choice import Compiled
from gateway.plan.document import SHARES, Carrier, Limit, Operator, Plan, Route
from gateway.provider import Link, Reports, Submission, accepted
from gateway.router import stage as router
from gateway.streams.accept import Acceptor, Ask
from gateway.streams.allowances import Allowances
from gateway.streams.link import Redis
from gateway.streams.opening import open_shard
from gateway.streams.pauses import Pauses
from gateway.streams.reader import Queued
from gateway.streams.seats import Seats
from providers import smpp

LEFT_OUT_S = 1.0  # the first second, when the bucket is full and everything begins
_numbers = itertools.count(1)


def plan(*limits: Limit) -> Compiled:
    """Numbers that begin with 7916 are slow's, the others fast's; all go to `north`."""
    return Compiled(
        Plan(
            carriers=(Carrier(name="north", provider="smpp"),),
            operators=(Operator(name="slow", prefixes=("7916",)), Operator(name="fast", prefixes=("",))),
            routes=(Route(name="all", carriers=("north",)),),
            limits=limits,
        ),
        1,
    )


def asks(count: int, begin: str, parts: Callable[[], int] = lambda: 1) -> list[Ask]:
    """Messages of the marketing lane of one client."""
    made = []
    for _ in range(count):
        number = parts()
        text = "x" * (100 if number == 1 else 153 * number - 10)
        m = Message("shop", "marketing", f"{begin}{next(_numbers):07d}", "Shop", text, "gsm7", number, 3600)
        made.append(Ask(id_tail(0), pack_message(m), m.klass, m.client))
    return made


@contextlib.asynccontextmanager
async def path(compiled: Compiled, make: Callable[[Reports], Any], rate: float = 0.0) -> AsyncIterator[Acceptor]:
    """A router and a connector on a Valkey of their own."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        valkey = Valkey(base / "data", short_directory(base / "run"), base / "log", maxmemory_bytes=1 << 30)
        await valkey.start()
        redis = await Redis.open(valkey.url, 1)
        await open_shard(redis.link(0), 0, redis.link(0).run_id)
        acceptor, allowances, pauses = Acceptor(redis, Settings()), Allowances(redis), Pauses(redis)
        sieve = Sieve("north", allowances, Seats(), lambda: compiled, pauses, redis.clock_ms)
        connector = Connector(Work("north", rate, SHARES, make), redis, "bench", 5.0, 0.85, sieve=sieve)
        works = [allowances.run(), pauses.run(), router.run(Settings(), redis, "bench", lambda: compiled)]
        tasks = [asyncio.create_task(work) for work in (*works, connector.run())]
        try:
            yield acceptor
        finally:
            for task in reversed(tasks):
                task.cancel()
                await asyncio.wait((task,))
            await acceptor.close()
            await redis.close()
            await valkey.stop()


async def measure_rate(rate: int, seconds: float, longest: int, binds: int) -> dict[str, Any]:
    """How much of a rate is used, and how often the carrier had to say no."""
    peer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.enforcer", str(rate), str(rate / 10)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert peer.stdin is not None and peer.stdout is not None
    port = int(await peer.stdout.readline())
    given = {"host": "127.0.0.1", "port": port, "system_id": "me", "password": "secret", "binds": binds, "window": 500}
    rng = random.Random(rate)
    parts = partial(rng.randint, 1, longest)
    wanted = int(rate * seconds / ((1 + longest) / 2)) + 100
    async with path(plan(), lambda reports: smpp.open("north", given, reports), rate) as acceptor:
        await acceptor.accept(0, asks(wanted, "+7999", parts))
        await asyncio.sleep(seconds - 0.5)
        peer.stdin.close()
        said = json.loads(await peer.stdout.readline())
    used = (said["taken"] - rate / 20) / (said["seconds"] * rate) if said["seconds"] else 0.0
    return {"what": "rate", "rate": rate, "parts": f"1-{longest}", "binds": binds, "used": round(used, 4), **said}


class Memory:
    """A carrier in memory that takes everything, and keeps when."""

    whole = False

    def __init__(self, reports: Reports) -> None:
        self._reports, self._flying = reports, 0
        self.seen: list[tuple[float, str]] = []
        self._wake: Callable[[], None] = lambda: None

    @property
    def room(self) -> int:
        return 500 - self._flying

    live = True

    def split(self, text: str, encoding: str) -> Sequence[str]:
        return [text]

    async def start(self) -> None:
        self._reports.on_state(self.links()[0])

    async def close(self, timeout_s: float) -> None:
        pass

    def links(self) -> Sequence[Link]:
        return [Link("1", "bound", 0, "", self._flying, 500)]

    def on_room(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def submit(self, batch: Sequence[Submission]) -> None:
        now = time.time()
        for s in batch:
            s.sent_ms, s.bind = int(now * 1000), "1"
            self.seen.append((now, s.to))
        self._flying += len(batch)
        asyncio.get_running_loop().call_soon(self._answer, list(batch))

    def _answer(self, batch: list[Submission]) -> None:
        self._flying -= len(batch)
        self._reports.on_outcomes([(s, accepted(s.message_id.hex())) for s in batch])
        self._wake()


async def measure_fairness(slow: int, fast: int, limit: int, seconds: float) -> dict[str, Any]:
    """When the fast ones go, and how well the slow ones' limit is used meanwhile."""
    made: list[Memory] = []

    def make(reports: Reports) -> Memory:
        made.append(Memory(reports))
        return made[-1]

    async with path(plan(Limit(parts=limit, per="second", carrier="north", operator="slow")), make) as acceptor:
        began = time.time()
        await acceptor.accept(0, asks(slow, "+7916"))
        await acceptor.accept(0, asks(fast, "+7903"))
        accepted_s = time.time() - began
        while not made or sum(to.startswith("+7903") for _, to in made[0].seen) < fast:
            await asyncio.sleep(0.01)
        fast_s = time.time() - began
        await asyncio.sleep(seconds)
    times = [at for at, to in made[0].seen if to.startswith("+7916")]
    whole = Counter(int(at) for at in times)
    middle = [n for second, n in whole.items() if int(times[0]) < second < int(times[-1])]
    return {
        "what": "fairness",
        "accepted_s": round(accepted_s, 2),
        "fast_done_s": round(fast_s, 2),
        "limit": limit,
        "most_in_a_second": max(whole.values()),
        "mean_in_a_second": round(sum(middle) / max(len(middle), 1), 1),
    }


def measure_cost(count: int = 200_000) -> dict[str, Any]:
    """Of taking entries out of a lane; who has the lane decoded anyway."""

    def entries() -> list[Queued]:
        journey = pack_journey(Journey(1, "north", "fast", 1, "RUB", 1, "all", 1))
        m = Message("shop", "marketing", "+79991234567", "Shop", "Hello", "gsm7", 1, 3600)
        value = make_id(1, id_tail(0)) + pack_message(m)
        return [Queued(b"%d-1" % n, value, journey, m) for n in range(count)]

    limits = (
        Limit(parts=10**9, per="second", carrier="north", operator="*"),
        Limit(parts=10**9, per="day", client="*"),
        Limit(parts=10**9, per="month", sender="*"),
    )
    found: dict[str, Any] = {"what": "cost"}
    for name, given in (("none", ()), ("one", limits[:1]), ("three", limits)):
        clock = SimpleNamespace(link=lambda _: None, clock_ms=lambda: 1_800_000_000_000)
        pauses = SimpleNamespace(tags=frozenset(), classes=frozenset(), clients=frozenset())
        allowances = Allowances(clock)  # type: ignore[arg-type]
        sieve = Sieve("north", allowances, Seats(), lambda given=given: plan(*given), pauses, clock.clock_ms)  # type: ignore[arg-type, misc]
        compiled = plan(*given)
        sieve._plan = lambda compiled=compiled: compiled  # type: ignore[misc]
        link: Any = SimpleNamespace(prefix="{0}:")
        lanes = Lanes("north", [link], lambda: None, sieve)
        lane = Lane(0, link, "north", "marketing:shop")
        lanes._all[0, lane.name] = lanes._hot["marketing"][0, lane.name] = lane
        lane.outbox.ahead.extend(entries())
        lane.again.told = lane.outbox.told = False
        sieve.begins()
        blockers, _ = sieve._blockers(lane.outbox.ahead[0].message, sieve._journey(lane.outbox.ahead[0].journey))
        for allowance in blockers:
            allowance.room(1_800_000_000_000)
            allowance.tokens = allowance.limit = 1 << 60  # type: ignore[union-attr]
        began = time.perf_counter()
        while lane.outbox.ahead:
            lanes.take("marketing", 100)
        found[name] = round((time.perf_counter() - began) / count * 1e6, 3)
    return found


async def run(options: argparse.Namespace) -> None:
    """What was asked for."""
    if "cost" in options.what:
        say(measure_cost())
    if "fairness" in options.what:
        say(await measure_fairness(50_000, 1_000, 500, options.seconds))
    if "rate" in options.what:
        for rate, (longest, binds) in itertools.product(options.rates, ((1, 1), (4, 1), (1, 3))):
            say(await measure_rate(rate, options.seconds, longest, binds))


def say(result: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(result), flush=True)


def parse() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=__doc__)
    parser.add_argument("--what", default="cost,fairness,rate")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rates", default="50,500,5000")
    options = parser.parse_args()
    options.what, options.rates = options.what.split(","), [int(rate) for rate in options.rates.split(",")]
    return options


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(run(parse()))
