"""Numbering plans and ported numbers beside the plan in use: swapped in every process when a version is activated.

In: the datasets `numbers` and `ported`. Out: a `LivePlan` that knows whose number it is by the newest versions, and the
metrics that tell how many of their operators the plan has no name for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from gateway import logs, metrics
from gateway.live.datasets import Content, LiveDatasets
from gateway.live.plan import LivePlan
from gateway.numbering.directory import Directory
from gateway.numbering.ported import Ported
from gateway.numbering.ranges import Ranges
from gateway.plan.choice import Compiled

log = logs.stage("plan")

_COUNT_EVERY_S: Final = 10.0


def attach(datasets: LiveDatasets, plan: LivePlan) -> None:
    """Keep the plan's tables as the datasets have them. Before `datasets.watch` only."""

    async def take_numbers(content: Content | None) -> None:
        table = None if content is None else await asyncio.to_thread(Ranges.of, content.data)
        plan.use_tables(msgspec.structs.replace(plan.tables, numbers=table))

    async def take_ported(content: Content | None) -> None:
        table = None if content is None else await asyncio.to_thread(Ported.of, content.data)
        plan.use_tables(msgspec.structs.replace(plan.tables, ported=table))

    datasets.on_change("numbers", take_numbers)
    datasets.on_change("ported", take_ported)


async def count_unmapped(plan: Callable[[], Compiled | None]) -> None:
    """Count the names that the plan does not know, after each change of it or of the tables. Runs until cancelled."""
    counted: object = None
    while True:
        current = plan()
        if current is not None and isinstance(current.directory, Directory) and current.directory is not counted:
            counted = current.directory
            unknown = await asyncio.to_thread(current.directory.unmapped)
            for kind in ("numbers", "ported"):
                found = [u.count for u in unknown if u.kind == kind]
                metrics.unmapped_names.labels(kind).set(len(found))
                metrics.unmapped_rows.labels(kind).set(sum(found))
        await asyncio.sleep(_COUNT_EVERY_S)
