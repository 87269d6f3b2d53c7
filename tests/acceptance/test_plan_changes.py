"""A hundred plans one after the other under load: every message goes by exactly one of them, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from gateway.plan.rates import micro
from tests.acceptance.gateway_account import Load, account
from tests.acceptance.gateway_world import FULL, World, world

CHANGES = 100
CARRIERS = ("one", "two")
RATES = dict.fromkeys(CARRIERS, 1_000.0)
MESSAGES = 200_000 if FULL else 20_000
SPLIT = {
    "api": "api",
    "router": "router",
    "other-router": "router",
    "connector": "connector",
    "recorder": "recorder,receipts",
}

# The text that every version has: what differs names the version in each part of the document that a message takes.
_VERSION = """
[[operator]]
name = "net-{n}"
prefixes = ["7"]
[[rate]]
carrier = "{first}"
price = "1.{n:06d}"
currency = "RUB"
[[rate]]
carrier = "{other}"
price = "2.{n:06d}"
currency = "RUB"
[[route]]
name = "route-{n}"
carriers = ["{first}", "{other}"]
"""


async def _change(w: World, carriers: str, names: Sequence[str], n: int) -> int:
    """Keep the n-th document and make it live; its version."""
    first, other = names[n % 2], names[1 - n % 2]
    document = carriers + _VERSION.format(n=n, first=first, other=other)
    status, answer = await w.post("/v1/plans", {"document": document, "activate": True, "note": f"change {n}"})
    assert status == 201, answer
    return int(answer["version"])


async def test_a_hundred_plan_changes_under_load_lose_double_and_mix_nothing(tmp_path: Path, cluster: Path) -> None:
    async with world(tmp_path / "data", carriers=CARRIERS, rates=RATES, processes=SPLIT, cluster=cluster) as w:
        _, live = await w.get("/v1/plans/1")
        blocks = live["document"].split("[[operator]]")[0].split("[[rate]]")
        carriers = "".join("[[carrier]]" + block.split("[[carrier]]")[1] for block in blocks if "[[carrier]]" in block)
        load = Load(w, MESSAGES, ahead=2_000)
        numbers: dict[int, int] = {}  # of the change, by version
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(load.run())
            while len(numbers) < CHANGES:
                numbers[await _change(w, carriers, list(w.carriers), len(numbers))] = len(numbers)
                await w.reached(len(numbers) * MESSAGES // CHANGES * 8 // 10)
            assert not sending.done(), "the load ended before the changes did"
        await account(load)
        sent = await w.rows(
            "select plan_version, carrier, operator, route, price_micro from submissions group by 1, 2, 3, 4, 5"
        )
        for row in sent:
            n = numbers.get(row["plan_version"])
            if n is None:
                continue  # the plan that the gateway began with
            place = list(w.carriers).index(row["carrier"])
            assert (row["route"], row["operator"]) == (f"route-{n}", f"net-{n}")
            assert row["price_micro"] == micro(f"{1 + (place != n % 2)}.{n:06d}")
        used = {row["plan_version"] for row in sent} & set(numbers)
        assert len(used) > CHANGES // 4, f"only {len(used)} of {CHANGES} plans took a message"
        notes = await w.rows("select distinct who, details->>'note' as note from audit where what = 'plan.draft'")
        assert {f"change {n}" for n in range(CHANGES)} <= {row["note"] for row in notes}
