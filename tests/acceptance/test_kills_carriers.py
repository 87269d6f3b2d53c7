"""A carrier dies, or an operator pauses it, with thousands in its outbox: another carrier of the route takes them."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.gateway_account import Load, account
from tests.acceptance.gateway_world import FULL, World, until, world

COUNT = 40_000 if FULL else 4_000
TRICKLE = {"one": 200.0}


async def fill_outbox(w: World, load: Load) -> None:
    """The preferred carrier has begun, and nearly all of the load waits for it: the other one, which would be given
    what the first has too much of, is paused meanwhile."""
    assert (await w.post("/v1/carriers/two/pause"))[0] == 200
    probes = 0

    async def preferred() -> bool:
        nonlocal probes
        probes += 1
        message = {"to": f"+7999{probes:07d}", "text": "probe", "class": "otp"}
        assert (await w.post("/v1/messages", message))[0] == 202
        return await w.carriers["one"].submits() > 0

    await until(preferred, "the router to see the preferred carrier")
    await until(lambda: sent(w, probes), "the probes to be sent")
    for carrier in w.carriers.values():
        await carrier.ask("POST", "/stats/reset")
    await load.run()
    await w.reached(COUNT // 20)

    async def routed() -> bool:
        lanes = [key async for key in w.redis.scan_iter("{0}:outbox:one:*")]
        return sum([await w.redis.xlen(lane) for lane in lanes]) > COUNT * 3 // 4

    await until(routed, "the outbox to fill")
    assert (await w.post("/v1/carriers/two/resume"))[0] == 200


async def sent(w: World, count: int) -> bool:
    return await w.submits() == count


async def check_both(w: World, load: Load) -> None:
    ended = await account(load)
    assert not ended.doubled
    assert ended.of("delivered") == COUNT
    first, second = await w.carriers["one"].submits(), await w.carriers["two"].submits()
    assert first + second == COUNT
    assert second > COUNT // 2


async def test_what_waits_for_a_carrier_that_dies_reaches_another(tmp_path: Path, cluster: Path) -> None:
    async with world(tmp_path / "data", carriers=("one", "two"), rates=TRICKLE, cluster=cluster) as w:
        load = Load(w, COUNT, classes=("otp",))  # the others wait a minute for their carrier before they leave it
        await fill_outbox(w, load)
        await w.carriers["one"].die()
        await check_both(w, load)


async def test_what_waits_for_a_carrier_that_is_paused_reaches_another(tmp_path: Path, cluster: Path) -> None:
    async with world(tmp_path / "data", carriers=("one", "two"), rates=TRICKLE, cluster=cluster) as w:
        load = Load(w, COUNT)
        await fill_outbox(w, load)
        status, _ = await w.post("/v1/carriers/one/pause")
        assert status == 200
        await check_both(w, load)
