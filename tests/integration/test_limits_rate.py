"""A carrier that enforces its rate to the part never has to say no, over real SMPP, from another process."""

from __future__ import annotations

import asyncio
import json
import random
import sys

import pytest

from gateway.connector.connector import Connector, Work
from providers import smpp
from tests.core_path import SHARES, running
from tests.core_redis import until


@pytest.mark.parametrize(("longest", "binds"), [(1, 3), (4, 1)])
async def test_a_carrier_that_enforces_the_rate_of_the_plan_throttles_nothing(
    valkey_url: str, longest: int, binds: int
) -> None:
    """Its bucket holds a tenth of a second and has no tolerance. How much of the rate is used: `bench.limits`."""
    rate, rng = 500, random.Random(longest)
    peer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.enforcer", str(rate), str(rate / 10)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert peer.stdin is not None and peer.stdout is not None
    port = int(await peer.stdout.readline())
    given = {"host": "127.0.0.1", "port": port, "system_id": "me", "password": "secret", "binds": binds, "window": 200}
    async with running(valkey_url) as path:
        work = Work("north", rate, SHARES, lambda reports: smpp.open("north", given, reports))
        path._start("north", Connector(work, path.redis, "north", 5.0, 1.0).run())
        path.start_router()
        for klass in ("otp", "marketing"):
            for _ in range(500 // longest):
                parts = rng.randint(1, longest)
                await path.accept(1, klass=klass, parts=parts, text="x" * (100 if parts == 1 else 153 * parts - 9))
        accepted = 2 * (500 // longest)
        await until(lambda: path.waiting() == 0, "everything", 30)
        await path.stop("north")
        peer.stdin.close()
        said = json.loads(await peer.stdout.readline())
        await peer.wait()
    assert said["throttled"] == 0
    assert said["taken"] >= accepted
    assert said["taken"] <= said["seconds"] * rate + rate / 10 + 1
